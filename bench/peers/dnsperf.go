package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// mostLost is the share of queries that may be lost before a run is worth nothing.
const mostLost = 0.001

// buffer is that of dnsperf's socket, in kilobytes: all answers that are outstanding fit, also
// those that take a page each.
const buffer = "1024"

// A report is what dnsperf says of a run.
type report struct {
	completed, lost int
	rcodes          map[string]int
	rate            float64         // queries per second
	latencies       []time.Duration // of each query, if they were asked for
}

// dnsperf runs dnsperf against an address. The arguments say what for, and how long.
func (b *bench) dnsperf(ctx context.Context, address, queries string, args ...string) (report, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return report{}, err
	}
	out, err := os.CreateTemp(b.dir, "dnsperf-*") // a pipe would wake this process for each line
	if err != nil {
		return report{}, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := pinned(ctx, b.loadCore, "dnsperf", append([]string{"-s", host, "-p", port, "-d", queries, "-b", buffer}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := runs(cmd); err != nil {
		return report{}, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return report{}, err
	}
	r, err := parseReport(out)
	if err != nil {
		return report{}, fmt.Errorf("read what %s says: %w", cmd, err)
	}
	return r, nil
}

// runs runs a command to its end.
func runs(cmd *exec.Cmd) error {
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", cmd, err)
	}
	return nil
}

// parseReport reads the end of what dnsperf prints:
//
//	Queries completed:    178230 (100.00%)
//	Queries lost:         0 (0.00%)
//	Response codes:       NOERROR 178230 (100.00%)
//	Queries per second:   89104.1
//
// and before it, where it was told to be verbose, a line for each query:
//
//	> NOERROR www.example.org. A 0.000214
func parseReport(from io.Reader) (report, error) {
	r := report{rcodes: map[string]int{}}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "> ") {
			if err := r.add(line); err != nil {
				return r, err
			}
			continue
		}
		what, value, ok := strings.Cut(line, ":")
		words := strings.Fields(value)
		if !ok || len(words) == 0 {
			continue
		}
		var err error
		switch what {
		case "Queries lost":
			r.lost, err = strconv.Atoi(words[0])
		case "Queries completed":
			r.completed, err = strconv.Atoi(words[0])
		case "Queries per second":
			r.rate, err = strconv.ParseFloat(words[0], 64)
		case "Response codes":
			for part := range strings.SplitSeq(value, ",") {
				words := strings.Fields(part)
				if len(words) < 2 {
					return r, fmt.Errorf("%q: no number", line)
				}
				if r.rcodes[words[0]], err = strconv.Atoi(words[1]); err != nil {
					break
				}
			}
		}
		if err != nil {
			return r, fmt.Errorf("%q: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return r, err
	}
	if r.completed == 0 || r.rate == 0 {
		return r, fmt.Errorf("no query was completed")
	}
	return r, nil
}

// add takes the latency of one query. One that was lost has none.
func (r *report) add(line string) error {
	words := strings.Fields(line)
	if len(words) != 5 {
		return nil
	}
	seconds, err := strconv.ParseFloat(words[4], 64)
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	r.latencies = append(r.latencies, time.Duration(seconds*float64(time.Second)))
	return nil
}

// check returns an error when the run says nothing: queries were lost, or answered
// otherwise than they should be.
func (r report) check(rcode int) error {
	if sent := r.completed + r.lost; float64(r.lost) > mostLost*float64(sent) {
		return fmt.Errorf("%d of %d queries were lost", r.lost, sent)
	}
	want := dns.RcodeToString[rcode]
	if got := r.rcodes[want]; got != r.completed {
		return fmt.Errorf("%d of %d answers were %s: %v", got, r.completed, want, r.rcodes)
	}
	return nil
}
