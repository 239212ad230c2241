package main

import (
	"fmt"
	"slices"
)

// figures is a table with a line for each server and a column for each question.
func figures(turns []*turn, of func(*turn) []float64, decimals int) *table {
	kinds := kindsOf(turns)
	t := &table{head: append([]string{"server"}, kinds...)}
	for _, s := range serversOf(turns) {
		cells := []string{s.String()}
		for _, kind := range kinds {
			cell := ""
			if r := find(turns, s.name, kind, s.observed); r != nil {
				cell = spreadOf(of(r)).text(decimals)
			}
			cells = append(cells, cell)
		}
		t.row(cells...)
	}
	return t
}

// ratiosOfPeers is a table with a line for each peer and a column for each question.
func ratiosOfPeers(turns []*turn) *table {
	kinds := kindsOf(turns)
	t := &table{head: append([]string{"ours to"}, kinds...)}
	for _, s := range serversOf(turns) {
		if s.name == ours {
			continue
		}
		cells := []string{s.String()}
		for _, kind := range kinds {
			cells = append(cells, spreadOf(against(turns, kind, s.name, kind, s.observed)).text(2))
		}
		t.row(cells...)
	}
	return t
}

// against are the costs of a question to us, divided by those of a question to a peer.
func against(turns []*turn, kind, peer, theirKind string, observed bool) []float64 {
	mine, theirs := find(turns, ours, kind, observed), find(turns, peer, theirKind, observed)
	if mine == nil || theirs == nil {
		return nil
	}
	return ratios(mine.cost, theirs.cost)
}

// peerTargets are what we want of the ratio of a question to us and one to a peer.
var peerTargets = []struct {
	kind, peer, theirKind string
	target
}{
	{"A", "hosts", "A", atMost(0.95)},
	{"AAAA", "hosts", "AAAA", atMost(0.95)},
	{"PTR", "hosts", "PTR", atMost(0.95)},
	{"NXDOMAIN", "hosts", "NXDOMAIN", atMost(0.95)},
	{"A", "kubernetes", "A", atMost(0.37)},
	{"AAAA", "kubernetes", "AAAA", atMost(0.37)},
	{"PTR", "kubernetes", "PTR", atMost(0.37)},
	{"SRV", "kubernetes", "SRV", atMost(0.33)},
	{"NODATA", ours, "A", atMost(1.3)},
	{"TXT of a host", ours, "A", atMost(1.3)},
	{"A of a host", ours, "A", atMost(1.3)},
}

// verdicts is a table with a line for each target, without and with the plugins for observation.
func verdicts(turns []*turn) *table {
	t := &table{head: []string{"ours to theirs", "target", "plain", "", "observed", ""}}
	for _, want := range peerTargets {
		cells := []string{fmt.Sprintf("%s to %s of %s", want.kind, want.theirKind, want.peer), want.target.String()}
		for _, observed := range []bool{false, true} {
			got := spreadOf(against(turns, want.kind, want.peer, want.theirKind, observed))
			cells = append(cells, got.text(2), want.verdict(got.median))
		}
		if cells[2] != "" || cells[4] != "" {
			t.row(cells...)
		}
	}
	return t
}

func kindsOf(turns []*turn) (kinds []string) {
	for _, r := range turns {
		if !slices.Contains(kinds, r.question.name) {
			kinds = append(kinds, r.question.name)
		}
	}
	return kinds
}

// serversOf are the servers in the order of the peers, those with observation last.
func serversOf(turns []*turn) (servers []*server) {
	for _, observed := range []bool{false, true} {
		for _, p := range peers {
			for _, r := range turns {
				if r.server.name == p.name && r.server.observed == observed && !slices.Contains(servers, r.server) {
					servers = append(servers, r.server)
				}
			}
		}
	}
	return servers
}
