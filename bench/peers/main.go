// Command peers measures the registry side by side with other servers that know the same
// services, and against itself: large and small, busy and idle. The server has one core, but
// where the collection of garbage is measured, which Go does on all that there are;
// whoever asks it has another. What is compared runs in turns.
//
//	go -C bench/peers run . [FLAGS] [peers] [flat] [churn] [writes]
//
// Each mode prints its tables and puts them into its section of bench/RESULTS.md. Without
// a mode it runs all. It needs Linux, and dnsperf; make bench-peers installs that.
// It is a module of its own, so that what the peers need is no requirement of the plugin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// modes are what can be measured, in the order in which they run.
var modes = []struct {
	name string
	run  func(context.Context, *bench) (section, error)
}{
	{"peers", comparePeers},
	{"flat", compareSizes},
	{"churn", compareChurn},
	{"writes", compareWrites},
}

func main() {
	if err := run(); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	// The processes that this program starts of itself.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "load":
			return generate(os.Args[2:])
		case "probe":
			return probe(os.Args[2:])
		case "visible":
			return watchVisible(os.Args[2:])
		case "bare":
			return serveBare(os.Args[2:])
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, chosen, err := parseOptions(os.Args[1:])
	if err != nil {
		return err
	}
	end, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, mode := range modes {
		if !chosen(mode.name) {
			continue
		}
		if err := b.measure(ctx, mode.name, mode.run); err != nil {
			return fmt.Errorf("%s: %w", mode.name, err)
		}
	}
	return nil
}

// measure runs a mode, shows what it found and keeps it in the results.
func (b *bench) measure(ctx context.Context, mode string, run func(context.Context, *bench) (section, error)) error {
	ctx, end := context.WithCancel(ctx) // of all that the mode has started
	defer end()
	defer b.stopAll()
	b.began()
	found, err := run(ctx, b)
	if err != nil {
		return err
	}
	text := b.heading() + found.String()
	fmt.Print("\n## ", mode, "\n\n", text)
	if b.results == "" {
		return nil
	}
	return keep(b.results, mode, text)
}

// command is how this run can be repeated.
func command() string {
	return strings.Join(append([]string{"go -C bench/peers run ."}, os.Args[1:]...), " ")
}
