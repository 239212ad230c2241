package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
)

const (
	instancesEach = 3 // of a service that all peers know

	// outstanding are the queries that dnsperf has under way: the server never waits for one.
	outstanding = 100
)

// A turn is what is measured again and again, in turn with the others: a question to a server.
type turn struct {
	server   *server
	question question
	queries  string    // file
	cost     []float64 // µs of CPU for a query, in each round
	rate     []float64 // queries per second
}

// comparePeers asks every peer every question.
func comparePeers(ctx context.Context, b *bench) (section, error) {
	turns, err := b.turnsOfPeers(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.takeTurns(ctx, turns); err != nil {
		return nil, err
	}
	return section{
		paragraph(fmt.Sprintf("%d services of %d instances each, one service in %d with IPv6 addresses. Each figure is the median of the rounds, with the least and the most.", b.services, instancesEach, familySix)),
		paragraph("CPU time of the server for a query, in µs:"), figures(turns, func(r *turn) []float64 { return r.cost }, 1),
		paragraph("Queries per second, where the server or dnsperf is at its limit:"), figures(turns, func(r *turn) []float64 { return r.rate }, 0),
		paragraph("CPU time of ours divided by that of each other, in the same round:"), ratiosOfPeers(turns),
		paragraph("Targets, of the same ratios:"), verdicts(turns),
		paragraph(`"observed" is with *errors* and *prometheus*. *whoami* looks nothing up and answers everything alike: it is the floor of CoreDNS. *hosts* has no SOA, and where a name does not exist it answers SERVFAIL. NSD and Knot are there when they are installed.`),
	}, nil
}

// turnsOfPeers starts all peers, and looks whether they answer the same.
func (b *bench) turnsOfPeers(ctx context.Context) (all []*turn, err error) {
	w := world{b.services, instancesEach}
	for _, p := range peers {
		if !wants(b.names, p.name) {
			continue
		}
		if !p.installed() {
			b.say("%s is not installed", p.name)
			continue
		}
		for _, observed := range []bool{false, true} {
			if observed && p.alone {
				continue
			}
			s, err := b.serve(ctx, p, w, observed)
			if err != nil {
				return nil, err
			}
			b.say("%s serves", s)
			turns, err := b.turnsOf(ctx, s, b.kinds)
			if err != nil {
				return nil, err
			}
			all = append(all, turns...)
		}
	}
	slices.SortStableFunc(all, func(x, y *turn) int { return indexOf(x.question) - indexOf(y.question) })
	return all, nil
}

// turnsOf has a turn for each question that is wanted. Each name has been asked once afterwards:
// what a server prepares at the first query for a name is not measured.
func (b *bench) turnsOf(ctx context.Context, s *server, kinds []string) (all []*turn, err error) {
	for _, q := range questions {
		if !s.answers(q) || !wants(kinds, q.name) {
			continue
		}
		names := q.names(s.world)
		if err := s.verifyAll(q, names); err != nil {
			return nil, err
		}
		queries, err := b.write("queries-*", func(f *os.File) error { return q.writeQueries(f, names) })
		if err != nil {
			return nil, err
		}
		if err := b.warm(ctx, s, queries); err != nil {
			return nil, err
		}
		all = append(all, &turn{server: s, question: q, queries: queries})
	}
	return all, nil
}

// warm asks for every name once.
func (b *bench) warm(ctx context.Context, s *server, queries string) error {
	_, err := b.dnsperf(ctx, s.address, queries, s.dialect("-n", "1")...)
	return err
}

// dialect adds what dnsperf must say to get answers in full.
func (s *server) dialect(args ...string) []string {
	if s.edns() {
		args = append(args, "-e")
	}
	return args
}

func indexOf(q question) int {
	return slices.IndexFunc(questions, func(other question) bool { return other.name == q.name })
}

// takeTurns does each run once a round, every second round backwards: who comes first is
// not the better for it.
func (b *bench) takeTurns(ctx context.Context, turns []*turn) error {
	for round := range b.rounds {
		b.say("round %d of %d: %d turns", round+1, b.rounds, len(turns))
		for _, r := range turns {
			if err := b.once(ctx, r); err != nil {
				return fmt.Errorf("ask %s for %s: %w", r.server, r.question.name, err)
			}
		}
		slices.Reverse(turns)
	}
	if b.rounds%2 == 1 {
		slices.Reverse(turns)
	}
	return nil
}

// once measures one run once.
func (b *bench) once(ctx context.Context, r *turn) error {
	before, err := r.server.cpu()
	if err != nil {
		return err
	}
	report, err := b.dnsperf(ctx, r.server.address, r.queries, r.server.dialect("-l", seconds(b.seconds), "-q", strconv.Itoa(outstanding))...)
	if err != nil {
		return err
	}
	after, err := r.server.cpu()
	if err != nil {
		return err
	}
	if err := report.check(r.server.rcode(r.question)); err != nil {
		return err
	}
	r.cost = append(r.cost, micros(after-before)/float64(report.completed))
	r.rate = append(r.rate, report.rate)
	return nil
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

// find is the turn of a question to a peer; nil if there is none.
func find(turns []*turn, peer, question string, observed bool) *turn {
	for _, r := range turns {
		if r.server.name == peer && r.question.name == question && r.server.observed == observed {
			return r
		}
	}
	return nil
}
