package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	churnRate        = 2000 // registrations and deregistrations a second, in all
	churnConnections = 8
	leastOfRate      = 0.95 // of the changes, else the comparison is void
)

// A phase is what is measured with changes going on, or without them.
type phase struct {
	rate, cost, used []float64 // queries per second, µs of CPU per query, share of the server's core
	p99              []float64 // µs, at half the idle rate
	changes          []float64 // per second
}

// compareChurn asks a registry while it is idle, and while instances come and go.
func compareChurn(ctx context.Context, b *bench) (section, error) {
	s, err := b.serve(ctx, peers[0], world{b.services, instancesEach}, false)
	if err != nil {
		return nil, err
	}
	q := questionNamed("A")
	names := q.names(s.world)
	queries, err := b.write("queries-*", func(f *os.File) error { return q.writeQueries(f, names) })
	if err != nil {
		return nil, err
	}
	if err := s.verifyAll(q, names); err != nil {
		return nil, err
	}
	if err := b.warm(ctx, s, queries); err != nil {
		return nil, err
	}
	var idle, busy phase
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		if err := b.phase(ctx, s, queries, &idle, 0); err != nil {
			return nil, fmt.Errorf("idle: %w", err)
		}
		if err := b.busy(ctx, s, queries, &busy, idle.rate[round], round); err != nil {
			return nil, fmt.Errorf("with changes: %w", err)
		}
	}
	return churnSection(b, &idle, &busy), nil
}

// busy is a phase with changes going on.
func (b *bench) busy(ctx context.Context, s *server, queries string, p *phase, idleRate float64, round int) error {
	// The phase has two runs and dnsperf's own start and end; the load must outlast them.
	length := 2*b.length() + 2*time.Second
	type outcome struct {
		tally
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		t, err := b.load(ctx, load{address: s.endpoint, job: "churn", world: s.world, connections: churnConnections,
			rate: churnRate, from: (round + 1) * 10_000_000, length: length})
		done <- outcome{t, err}
	}()
	time.Sleep(200 * time.Millisecond) // the changes have begun
	if err := b.phase(ctx, s, queries, p, idleRate); err != nil {
		return err
	}
	select {
	case o := <-done:
		return fmt.Errorf("the changes ended before the queries: %w", o.err)
	default:
	}
	o := <-done
	if o.err != nil {
		return o.err
	}
	changes := float64(o.Requests) / o.Seconds
	if changes < leastOfRate*churnRate {
		return fmt.Errorf("there were only %.0f changes a second, want %d", changes, churnRate)
	}
	p.changes = append(p.changes, changes)
	return nil
}

// phase measures the most that is answered, and then the latency at half of what is
// answered when idle.
func (b *bench) phase(ctx context.Context, s *server, queries string, p *phase, idleRate float64) error {
	t := &turn{server: s, question: questionNamed("A"), queries: queries}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := b.once(ctx, t); err != nil {
		return err
	}
	elapsed := time.Since(began)
	after, err := s.cpu()
	if err != nil {
		return err
	}
	p.rate, p.cost = append(p.rate, t.rate[0]), append(p.cost, t.cost[0])
	p.used = append(p.used, 100*float64(after-before)/float64(elapsed))
	if idleRate == 0 {
		idleRate = t.rate[0]
	}
	r, err := b.dnsperf(ctx, s.address, queries, "-v", "-l", seconds(b.seconds), "-Q", fmt.Sprintf("%.0f", idleRate/2))
	if err != nil {
		return err
	}
	if err := r.check(s.rcode(t.question)); err != nil {
		return err
	}
	if len(r.latencies) == 0 {
		return errors.New("dnsperf did not tell the latency of each query")
	}
	p.p99 = append(p.p99, micros(percentile(r.latencies, 99)))
	return nil
}

func churnSection(b *bench, idle, busy *phase) section {
	t := &table{head: []string{"queries for A", "idle", "with changes", "ratio", "target", ""}}
	line := func(what string, idle, busy []float64, decimals int, want target) {
		got := spreadOf(ratios(busy, idle))
		t.row(what, spreadOf(idle).text(decimals), spreadOf(busy).text(decimals), got.text(2), want.String(), want.verdict(got.median))
	}
	line("queries per second", idle.rate, busy.rate, 0, atLeast(0.8))
	line("99th percentile of the latency at half the idle rate, µs", idle.p99, busy.p99, 0, atMost(2))
	line("CPU of the server for a query, changes included, µs", idle.cost, busy.cost, 1, target{})
	line("share of the server's core in use, %", idle.used, busy.used, 0, target{})
	return section{
		paragraph(fmt.Sprintf("%d services of %d instances, store in memory. The changes are %s a second (%d wanted), half of them registrations of one more instance and half of them deregistrations, over %d connections; who makes them and who asks share a core.",
			b.services, instancesEach, spreadOf(busy.changes).text(0), churnRate, churnConnections)),
		t,
	}
}
