package main

import (
	"context"
	"fmt"
	"os"
)

// severalConnections are those that a durable store is given at most: the more wait, the more go
// into one commit.
const severalConnections = 256

// A writing is a load on a server, and what it came to.
type writing struct {
	what       string
	server     *server
	load       load
	cost, rate []float64 // µs of CPU a request, instances a second
}

// compareWrites measures the registration endpoint.
func compareWrites(ctx context.Context, b *bench) (section, error) {
	w := world{b.services, instancesEach}
	memory, err := b.serve(ctx, peers[0], w, false)
	if err != nil {
		return nil, err
	}
	bare, err := b.bare(ctx)
	if err != nil {
		return nil, err
	}
	disk, err := b.durable(ctx, w)
	if err != nil {
		return nil, err
	}
	// Batches make a table grow fast. Theirs is another one, so that the rest is measured on one
	// of a size.
	memoryBulk, err := b.serve(ctx, peers[0], w, false)
	if err != nil {
		return nil, err
	}
	diskBulk, err := b.durable(ctx, w)
	if err != nil {
		return nil, err
	}
	on := func(what string, s *server, job string, connections int) *writing {
		return &writing{what: what, server: s, load: load{address: s.endpoint, job: job, world: w, connections: connections, length: b.length()}}
	}
	all := []*writing{
		on("heartbeats", memory, "heartbeat", manyConnections),
		on("bare server, 204", bare, "heartbeat", manyConnections),
		on("registrations", memory, "register", manyConnections),
		on("bare server, the same JSON", bare, "register", manyConnections),
		on("batches of 1,000", memoryBulk, "batch", 4),
		on("durable registrations, 32 connections", disk, "register", manyConnections),
		on("durable registrations, 256 connections", disk, "register", severalConnections),
		on("durable batches of 1,000", diskBulk, "batch", 4),
	}
	var flushes []float64
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		n, err := b.flushes(b.length())
		if err != nil {
			return nil, err
		}
		flushes = append(flushes, n)
		for n, on := range all {
			// No two runs register the same: a number has its place, and a batch needs a thousand of them.
			on.load.from = (round*len(all) + n) * 1_000_000
			if on.load.job == "batch" {
				on.load.from /= mostOperations
			}
			if err := b.measureWriting(ctx, on); err != nil {
				return nil, fmt.Errorf("%s: %w", on.what, err)
			}
		}
	}
	seen, err := b.visible(ctx, memory, 2*b.length())
	if err != nil {
		return nil, err
	}
	kept, err := b.visible(ctx, disk, 2*b.length())
	if err != nil {
		return nil, err
	}
	return writesSection(all, flushes, seen, kept), nil
}

// durable starts a registry that knows the world and keeps it on disk.
func (b *bench) durable(ctx context.Context, w world) (*server, error) {
	p := peers[0]
	p.start = func(ctx context.Context, b *bench, s *server) error {
		dir, err := os.MkdirTemp(b.dir, "store-*")
		if err != nil {
			return err
		}
		if err := b.emptyRegistry(ctx, s, "store disk "+dir); err != nil {
			return err
		}
		return fill(ctx, s)
	}
	return b.serve(ctx, p, w, false)
}

func (b *bench) measureWriting(ctx context.Context, w *writing) error {
	t, cost, err := b.loadCost(ctx, w.server, w.load)
	if err != nil {
		return err
	}
	w.cost, w.rate = append(w.cost, cost), append(w.rate, t.rate())
	return nil
}

func writesSection(all []*writing, flushes []float64, seen, kept visibility) section {
	t := &table{head: []string{"", "instances a second", "requests per second of CPU", "CPU µs per request"}}
	for _, w := range all {
		t.row(w.what, spreadOf(w.rate).text(0), spreadOf(perSecond(w.cost)).text(0), spreadOf(w.cost).text(1))
	}
	t.row("flushes of a page of 4 KiB to disk", spreadOf(flushes).text(0), "", "")

	r := &table{head: []string{"ratio", ""}}
	r.row("CPU of a heartbeat to that of the bare server's 204", spreadOf(ratios(all[0].cost, all[1].cost)).text(2))
	r.row("CPU of a registration to that of the bare server's", spreadOf(ratios(all[2].cost, all[3].cost)).text(2))
	r.row("durable registrations over 32 connections to flushes", spreadOf(ratios(all[5].rate, flushes)).text(2))
	r.row("durable registrations over 256 connections to flushes", spreadOf(ratios(all[6].rate, flushes)).text(2))
	r.row("durable instances in batches of 1,000 to flushes", spreadOf(ratios(all[7].rate, flushes)).text(2))

	v := &table{head: []string{"store", "registrations", "seen by the first query", "median µs", "99th percentile µs", "plain query, median µs", "99th percentile µs"}}
	line := func(store string, s visibility) {
		v.row(store, fmt.Sprint(s.Registrations), fmt.Sprint(s.AtFirst), fmt.Sprintf("%.0f", s.P50), fmt.Sprintf("%.0f", s.P99), fmt.Sprintf("%.0f", s.PlainP50), fmt.Sprintf("%.0f", s.PlainP99))
	}
	line("memory", seen)
	line("disk", kept)
	return section{
		paragraph("Requests over 32 connections that are kept alive, each of which waits for its answer; 4 connections for batches. The bare server is Go's net/http: it answers heartbeats with 204, and reads and writes the JSON of a registration with the strict library that the registry has, by reflection. The disk is that of the directory for temporary files."),
		t, r,
		paragraph("From the moment at which the answer 201 has come to that at which an answer of DNS with the instance has:"), v,
	}
}

// perSecond turns µs for each into how many a second.
func perSecond(cost []float64) []float64 {
	all := make([]float64, len(cost))
	for n := range cost {
		all[n] = 1e6 / cost[n]
	}
	return all
}
