package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// probeEvery is the distance of a prober's queries.
const probeEvery = 200 * time.Microsecond

// A latency is what a prober saw, in microseconds.
type latency struct {
	Queries int     `json:"queries"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p999"`
	Most    float64 `json:"most"`
}

// probe sends a query every now and then, from a process of its own.
func (b *bench) probe(ctx context.Context, s *server, queries string, length time.Duration) (l latency, err error) {
	return l, b.other(ctx, &l, "probe", "-address", s.address, "-queries", queries, "-length", length.String())
}

// probe is the process of a prober.
func probe(args []string) error {
	flags := flag.NewFlagSet("probe", flag.ExitOnError)
	address := flags.String("address", "", "")
	queries := flags.String("queries", "", "")
	length := flags.Duration("length", time.Second, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names, err := readNames(*queries)
	if err != nil {
		return err
	}
	took, err := probeFor(*address, names, *length)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(latency{len(took), micros(percentile(took, 50)),
		micros(percentile(took, 99)), micros(percentile(took, 99.9)), micros(percentile(took, 100))})
}

// mostProbed is how many names a prober goes around.
const mostProbed = 10_000

func readNames(path string) (names []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); len(names) < mostProbed && lines.Scan(); {
		name, _, _ := strings.Cut(lines.Text(), " ")
		names = append(names, name)
	}
	return names, nil
}

// probeFor asks for A records. The time of a query runs from when it was due: one that
// had to wait for the answer before it counts the wait.
func probeFor(address string, names []string, length time.Duration) (took []time.Duration, err error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer := make([]byte, dns.MaxMsgSize)
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * probeEvery)
		if n > 0 && max(time.Since(began), due.Sub(began)) >= length { // also when far behind
			return took, nil
		}
		query, err := new(dns.Msg).SetQuestion(names[n%len(names)], dns.TypeA).Pack()
		if err != nil {
			return nil, err
		}
		for time.Now().Before(due) { // to sleep is to wake late, and the core is ours
		}
		if _, err := conn.Write(query); err != nil {
			return nil, err
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(answer); err != nil {
			return nil, fmt.Errorf("the answer to query %d: %w", n, err)
		}
		took = append(took, time.Since(due))
	}
}
