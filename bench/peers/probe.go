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

// probeEvery is the distance of a prober's queries, if each is answered in time. They cost a
// twentieth of a core, which leaves the server idle.
const probeEvery = time.Millisecond

// A sample is a query, and how long its answer took.
type sample struct {
	sent time.Time
	took time.Duration
}

// probe sends a query every now and then, from a process of its own. That may run on any
// core: pinned, it would wait for whatever else the kernel has put there.
func (b *bench) probe(ctx context.Context, s *server, queries string, length time.Duration) (samples []sample, err error) {
	var all [][2]int64
	cmd := unpinned(ctx, []string{"GOMAXPROCS=1"}, b.self, "probe", "-address", s.address, "-queries", queries, "-length", length.String())
	if err := b.told(cmd, &all); err != nil {
		return nil, err
	}
	for _, one := range all {
		samples = append(samples, sample{time.Unix(0, one[0]), time.Duration(one[1])})
	}
	return samples, nil
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
	samples, err := probeFor(*address, names, *length)
	if err != nil {
		return err
	}
	all := make([][2]int64, len(samples))
	for n, one := range samples {
		all[n] = [2]int64{one.sent.UnixNano(), int64(one.took)}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
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

// probeFor asks for A records, one at a time. The time of a query runs from when it is sent,
// and not from when it was due: a late answer makes the next query late, but is counted once.
// It ends when the kernel has the answer: that this process then waits for a core is not the
// server's doing.
func probeFor(address string, names []string, length time.Duration) (samples []sample, err error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := stampArrivals(conn); err != nil {
		return nil, fmt.Errorf("ask the kernel for the times of answers: %w", err)
	}
	answer, control := make([]byte, dns.MaxMsgSize), make([]byte, 128)
	began := time.Now()
	for n := 0; time.Since(began) < length; n++ {
		query, err := new(dns.Msg).SetQuestion(names[n%len(names)], dns.TypeA).Pack()
		if err != nil {
			return nil, err
		}
		sent := time.Now()
		if _, err := conn.Write(query); err != nil {
			return nil, err
		}
		conn.SetReadDeadline(sent.Add(5 * time.Second))
		_, controls, _, _, err := conn.ReadMsgUDP(answer, control)
		if err != nil {
			return nil, fmt.Errorf("the answer to query %d: %w", n, err)
		}
		came, ok := arrival(control[:controls])
		if !ok {
			return nil, fmt.Errorf("the answer to query %d: the kernel does not say when it came", n)
		}
		samples = append(samples, sample{sent, came.Sub(sent)})
		time.Sleep(time.Until(sent.Add(probeEvery)))
	}
	return samples, nil
}
