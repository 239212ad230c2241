package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// pauseRuns are the lengths of a run that a probe has: with one of a second, some thousand
	// of its queries fall into collections of a large table.
	pauseRuns = 30

	// longWait is what no query shall wait for a collection.
	longWait = 2 * time.Millisecond

	// pauseRate is of registrations and deregistrations a second. With pauseEnvironment a
	// collection of a large table follows every few seconds, and most of two cores is idle.
	pauseRate = 500

	// alignment is how well the clock of a process is known: it starts when Go does in it.
	alignment = 20 * time.Millisecond
)

// pauseEnvironment makes a registry say when it collects garbage, and do so as soon as there
// is a twentieth of what lives. With Go's own 100 percent a collection of a large table
// comes every few minutes; it is no other than these.
var pauseEnvironment = []string{"GODEBUG=gctrace=1", "GOGC=5"}

// pauses are what queries have waited for, on a server with all cores to itself.
type pauses struct {
	peace   []sample // nothing but the prober
	between []sample // garbage is made, and not collected just now
	within  []sample // it is

	cycles  []cycle
	elapsed time.Duration // in which they fell
	changes float64       // a second
}

// pauses probes a registry of a size in peace, and then while it makes garbage and collects it.
//
// A prober on a shared machine also waits for milliseconds when the server does nothing. So
// the queries of one run, under one load, are told apart by whether a collection was under
// way. What they have in common is the machine's and the load's, what they differ in is the
// collector's; a row of its own for peace shows what the machine alone does. Neither the
// worst of thousands nor the 99.9th percentile could be judged on such a machine, where both
// are above the bound between collections too: judged is how many more wait that long.
func (b *bench) pauses(ctx context.Context, size int) (_ *pauses, err error) {
	free := peers[0]
	free.start = func(ctx context.Context, b *bench, s *server) error {
		s.free = pauseEnvironment
		return startRegistry(ctx, b, s)
	}
	s, err := b.serve(ctx, free, world{size / flatEach, flatEach}, false)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	turns, err := b.turnsOf(ctx, s, []string{"A"})
	if err != nil {
		return nil, err
	}
	if err := s.quiet(ctx); err != nil {
		return nil, err
	}
	p := new(pauses)
	length := pauseRuns * b.length()
	if p.peace, err = b.probe(ctx, s, turns[0].queries, length); err != nil {
		return nil, err
	}
	return p, b.loaded(ctx, s, p, turns[0].queries, length)
}

// loaded probes while there is load.
func (b *bench) loaded(ctx context.Context, s *server, p *pauses, queries string, length time.Duration) error {
	type outcome struct {
		tally
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		t, err := b.load(ctx, load{address: s.endpoint, job: "churn", world: s.world, connections: churnConnections, rate: pauseRate, length: length})
		done <- outcome{t, err}
	}()
	samples, err := b.probe(ctx, s, queries, length)
	o := <-done
	if err != nil {
		return err
	}
	if o.err != nil {
		return o.err
	}
	p.changes = float64(o.Requests) / o.Seconds
	log, err := os.Open(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cycles, err := parseTrace(log)
	if err != nil {
		return err
	}
	p.split(samples, cycles, s.began)
	if len(p.within) == 0 || len(p.between) == 0 {
		return fmt.Errorf("%d queries fell into %d collections, %d between them: there is nothing to compare", len(p.within), len(p.cycles), len(p.between))
	}
	return nil
}

// split tells samples under load apart by whether one of the cycles was under way, of a
// process that began then.
func (p *pauses) split(samples []sample, cycles []cycle, began time.Time) {
	first, last := samples[0].sent.Sub(began), samples[len(samples)-1].sent.Sub(began)
	p.elapsed = last - first
	for _, c := range cycles {
		if c.at < last && c.end() > first {
			p.cycles = append(p.cycles, c)
		}
	}
	for _, s := range samples {
		sent := s.sent.Sub(began)
		within := false
		for _, c := range p.cycles {
			within = within || sent+s.took > c.at-alignment && sent < c.end()+alignment
		}
		if within {
			p.within = append(p.within, s)
		} else {
			p.between = append(p.between, s)
		}
	}
}

// A cycle is a garbage collection, on the clock of its process.
type cycle struct {
	at                  time.Duration
	before, mark, after time.Duration // the world stands still before and after it marks
}

func (c cycle) end() time.Duration { return c.at + c.before + c.mark + c.after }

// parseTrace reads what Go says with GODEBUG=gctrace=1, among other lines:
//
//	gc 7 @1.521s 3%: 0.068+12+0.002 ms clock, 0.13+0/12/0+0.004 ms cpu, …
func parseTrace(from io.Reader) (cycles []cycle, err error) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "gc ") || !strings.Contains(lines.Text(), " ms clock") {
			continue
		}
		var number, percent int
		var at, before, mark, after float64
		if _, err := fmt.Sscanf(lines.Text(), "gc %d @%fs %d%%: %f+%f+%f ms clock,", &number, &at, &percent, &before, &mark, &after); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
		cycles = append(cycles, cycle{ms(1000 * at), ms(before), ms(mark), ms(after)})
	}
	return cycles, lines.Err()
}

// percentileOf is that of the waits, in µs; not a number where there are none.
func percentileOf(samples []sample, percent float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	took := make([]time.Duration, len(samples))
	for n, s := range samples {
		took[n] = s.took
	}
	return micros(percentile(took, percent))
}

// shareOfLong is how many in a hundred waited for long; not a number where there are none.
func shareOfLong(samples []sample) float64 {
	long := 0
	for _, s := range samples {
		if s.took > longWait {
			long++
		}
	}
	return 100 * float64(long) / float64(len(samples))
}

// excess is how many more in a hundred wait for long while garbage is collected than between
// collections. With no other noise, 0.1 is a 99.9th percentile of just that wait.
func (p *pauses) excess() float64 { return shareOfLong(p.within) - shareOfLong(p.between) }

func (p *pauses) section() section {
	t := &table{head: []string{"a query waits, µs", "queries", "median", "99th percentile", "99.9th", "worst", fmt.Sprintf("above %s, %%", longWait)}}
	for _, row := range []struct {
		when    string
		samples []sample
	}{
		{"in peace", p.peace},
		{"with changes, between collections", p.between},
		{"with changes, while garbage is collected", p.within},
	} {
		cells := []string{row.when, strconv.Itoa(len(row.samples))}
		for _, percent := range []float64{50, 99, 99.9, 100} {
			cells = append(cells, fmt.Sprintf("%.0f", percentileOf(row.samples, percent)))
		}
		t.row(append(cells, fmt.Sprintf("%.2f", shareOfLong(row.samples)))...)
	}
	return section{p.story(), t}
}

// story says what fell into the run.
func (p *pauses) story() paragraph {
	var marked, longest time.Duration
	for _, c := range p.cycles {
		marked += c.mark
		longest = max(longest, c.before, c.after)
	}
	milliseconds := func(d time.Duration) float64 { return micros(d) / 1000 }
	return paragraph(fmt.Sprintf("What a query waits for while garbage is collected: the largest table, on a server that has started anew and has all cores, with %s. A prober asks for A every %s, one query at a time; a wait ends when the kernel has the answer. With %.0f changes a second, %d collections fell into %.0f s. They marked for %.0f ms each, and the longest stop of the world was of %.2f ms by Go's own account.",
		strings.Join(pauseEnvironment, " "), probeEvery, p.changes, len(p.cycles), p.elapsed.Seconds(),
		milliseconds(marked)/float64(len(p.cycles)), milliseconds(longest)))
}

// quiet returns when the server has used next to nothing of a core for a second.
func (s *server) quiet(ctx context.Context) error {
	for ctx.Err() == nil {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		if after-before < 20*time.Millisecond {
			return nil
		}
	}
	return ctx.Err()
}
