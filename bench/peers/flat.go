package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	flatEach        = 10 // instances of a service, in tables of every size
	manyConnections = 32
)

// A flat is a registry of one size, and what was measured there.
type flat struct {
	*server
	turns    []*turn
	p50, p99 []float64 // of a registration, µs
	cost     []float64 // of a registration and a deregistration, µs of CPU
	rate     []float64 // of both, a second
	memory   float64   // bytes an instance
}

// compareSizes measures registries with tables of different sizes.
func compareSizes(ctx context.Context, b *bench) (section, error) {
	var all []*flat
	var turns []*turn
	for _, size := range b.sizes {
		f, err := b.flat(ctx, size)
		if err != nil {
			return nil, err
		}
		all, turns = append(all, f), append(turns, f.turns...)
	}
	if err := b.takeTurns(ctx, turns); err != nil {
		return nil, err
	}
	for round := range b.rounds {
		b.say("registrations, round %d of %d", round+1, b.rounds)
		for _, f := range all {
			if err := b.registrations(ctx, f, round); err != nil {
				return nil, err
			}
		}
	}
	b.stopAll()
	size := b.sizes[len(b.sizes)-1]
	p, err := b.pauses(ctx, size)
	if err != nil {
		return nil, err
	}
	took, restart, err := b.restart(ctx, size)
	if err != nil {
		return nil, err
	}
	found := append(flatSection(all), p.section()...)
	return append(found, restart, bounds(all[len(all)-1], took, p)), nil
}

// flat starts a registry of a size.
func (b *bench) flat(ctx context.Context, size int) (*flat, error) {
	began := time.Now()
	s, err := b.serve(ctx, peers[0], world{size / flatEach, flatEach}, false)
	if err != nil {
		return nil, err
	}
	f := &flat{server: s}
	full, _, err := s.memory()
	if err != nil {
		return nil, err
	}
	f.memory = float64(full-s.empty) / float64(s.world.instances())
	b.say("%d instances are there after %s", size, time.Since(began).Round(time.Second/10))
	f.turns, err = b.turnsOf(ctx, s, []string{"A", "SRV"})
	return f, err
}

// registrations measures them one at a time, and then as many as there can be.
func (b *bench) registrations(ctx context.Context, f *flat, round int) error {
	l := load{address: f.endpoint, job: "churn", world: f.world, connections: 1, from: round * 100_000_000, length: b.length()}
	t, err := b.load(ctx, l)
	if err != nil {
		return err
	}
	f.p50, f.p99 = append(f.p50, t.P50), append(f.p99, t.P99)

	l.connections, l.from = manyConnections, l.from+50_000_000
	t, cost, err := b.loadCost(ctx, f.server, l)
	if err != nil {
		return err
	}
	f.cost, f.rate = append(f.cost, cost), append(f.rate, float64(t.Requests)/t.Seconds)
	return nil
}

// loadCost runs a load, and returns the µs of CPU that a request of it has taken.
func (b *bench) loadCost(ctx context.Context, s *server, l load) (t tally, cost float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return t, 0, err
	}
	if t, err = b.load(ctx, l); err != nil {
		return t, 0, err
	}
	after, err := s.cpu()
	if err != nil {
		return t, 0, err
	}
	return t, micros(after-before) / float64(t.Requests), nil
}

func flatSection(all []*flat) section {
	first, second, last := all[0], all[1], all[len(all)-1]
	t := &table{head: []string{"instances"}}
	for _, f := range all {
		t.head = append(t.head, strconv.Itoa(f.world.instances()))
	}
	t.head = append(t.head, "ratio", "target", "")

	line := func(what string, of func(*flat) []float64, from *flat, decimals int, want target) {
		cells := []string{what}
		for _, f := range all {
			cells = append(cells, spreadOf(of(f)).text(decimals))
		}
		got := spreadOf(ratios(of(last), of(from)))
		t.row(append(cells, got.text(2), want.String(), want.verdict(got.median))...)
	}
	line("A, CPU µs per query", func(f *flat) []float64 { return f.turns[0].cost }, first, 1, atMost(1.15))
	line("SRV, CPU µs per query", func(f *flat) []float64 { return f.turns[1].cost }, first, 1, atMost(1.15))
	line("one registration at a time, median µs", func(f *flat) []float64 { return f.p50 }, first, 0, target{})
	line("one registration at a time, 99th percentile µs", func(f *flat) []float64 { return f.p99 }, first, 0, atMost(1.5))
	line("changes a second over 32 connections", func(f *flat) []float64 { return f.rate }, second, 0, atLeast(0.8))
	line("CPU µs per change, over 32 connections", func(f *flat) []float64 { return f.cost }, second, 1, target{})
	line("memory of its own per instance, bytes", func(f *flat) []float64 { return []float64{f.memory} }, second, 0, target{})
	return section{
		paragraph(fmt.Sprintf("Services of %d instances, so that A has %d records; store in memory. A registration adds an instance to a service, and a deregistration takes it away. The ratio is that of the largest table to the smallest; of changes over 32 connections and of memory, to that of %d instances.", flatEach, flatEach, second.world.instances())),
		t,
	}
}

// bounds judges what of the largest table has a bound of its own, and not by a smaller one.
func bounds(largest *flat, restart spread, p *pauses) *table {
	t := &table{head: []string{fmt.Sprintf("with %d instances", largest.world.instances()), "measured", "target", ""}}
	for _, row := range []struct {
		what   string
		got    float64
		target float64
	}{
		{"memory of its own per instance, bytes", largest.memory, 700},
		{"restart until ready, seconds", restart.median, 5},
		{fmt.Sprintf("more queries above %s while garbage is collected than between collections, %%", longWait), p.excess(), 0.1},
	} {
		want := atMost(row.target)
		t.row(row.what, fmt.Sprintf("%.2f", row.got), want.String(), want.verdict(row.got))
	}
	return t
}
