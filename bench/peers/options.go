package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench is how to measure, and where.
type bench struct {
	rounds               int
	seconds              float64 // of a run
	services             int
	sizes                [3]int // instances in the tables of flat
	serverCore, loadCore int
	kinds, names         []string // of questions and of peers; none is all
	results              string   // the file, or nothing

	self    string // this program
	commit  string // of the checkout, before results were written into it
	program string // our build of CoreDNS
	dir     string // of all that is written on the way
	out     io.Writer
	start   time.Time

	launched []*process
}

func parseOptions(args []string) (b *bench, chosen func(mode string) bool, err error) {
	b = &bench{out: os.Stderr}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 5, "how often each run is repeated")
	flags.Float64Var(&b.seconds, "seconds", 1, "length of a run")
	flags.IntVar(&b.services, "services", 10_000, "services that each peer is told, of 3 instances each")
	flags.IntVar(&b.sizes[2], "instances", 1_000_000, "instances in the largest table of flat")
	flags.IntVar(&b.serverCore, "server-core", 1, "core of the server")
	flags.IntVar(&b.loadCore, "load-core", 0, "core of those who ask it")
	types := flags.String("types", "", "questions to ask, with commas between (default all)")
	names := flags.String("peers", "", "peers to ask, with commas between (default all that are installed)")
	flags.StringVar(&b.results, "results", "../RESULTS.md", "file that keeps the tables, or nothing")
	flags.StringVar(&b.program, "program", "", "CoreDNS to measure (default built from bench/peers/coredns)")
	quick := flags.Bool("quick", false, "small and short, to see that all works; keeps nothing")
	if err := flags.Parse(args); err != nil {
		return nil, nil, err
	}
	b.sizes[0], b.sizes[1] = 1000, 10_000
	if *quick {
		b.rounds, b.seconds, b.services, b.sizes, b.results = 1, 0.2, 200, [3]int{100, 1000, 5000}, ""
	}
	b.kinds, b.names = list(*types), list(*names)
	for _, mode := range flags.Args() {
		if !isMode(mode) {
			return nil, nil, fmt.Errorf("%q is no mode: there are peers, flat, churn and writes, and flags stand in front", mode)
		}
	}
	return b, func(mode string) bool { return flags.NArg() == 0 || slices.Contains(flags.Args(), mode) }, nil
}

func isMode(name string) bool {
	for _, mode := range modes {
		if mode.name == name {
			return true
		}
	}
	return false
}

// list("a,b") is the list of a and b.
func list(words string) []string {
	return strings.FieldsFunc(words, func(r rune) bool { return r == ',' })
}

// wants reports whether a name is in a list, or the list empty.
func wants(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }

// prepare looks for what is needed, and builds CoreDNS. The function that it returns takes away
// what was written.
func (b *bench) prepare(ctx context.Context) (end func(), err error) {
	for _, need := range [][2]string{{"dnsperf", "dnsperf"}, {"taskset", "util-linux"}} {
		if _, err := exec.LookPath(need[0]); err != nil {
			return nil, fmt.Errorf("%w: it is in Debian's package %s", err, need[1])
		}
	}
	b.commit = commit()
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "peers-"); err != nil {
		return nil, err
	}
	end = func() { os.RemoveAll(b.dir) }
	if b.program == "" {
		b.program = filepath.Join(b.dir, "coredns")
		b.say("build CoreDNS with the peers")
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", b.program, "./coredns")
		cmd.Stderr = b.out
		if err := runs(cmd); err != nil {
			end()
			return nil, err
		}
	}
	return end, nil
}

// began starts the clock of a mode.
func (b *bench) began() { b.start = time.Now() }

// say tells how far it has come.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// length is that of a run.
func (b *bench) length() time.Duration { return time.Duration(b.seconds * float64(time.Second)) }
