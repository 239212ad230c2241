package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTraceOfCollections(t *testing.T) {
	const ms = time.Millisecond
	log := `.:1053
CoreDNS-1.15.0
gc 1 @0.012s 2%: 0.026+0.39+0.10 ms clock, 0.21+0.88/0.52/0+0.83 ms cpu, 4->5->1 MB, 5 MB goal, 0 MB stacks, 0 MB globals, 2 P
[INFO] gc is what this line is not about
gc 473 @68.707s 17%: 0.17+1183+0.006 ms clock, 0.34+0.18/602/1219+0.013 ms cpu, 433->440->421 MB, 439 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
`
	got, err := parseTrace(strings.NewReader(log))
	want := []cycle{
		{12 * ms, 26 * time.Microsecond, 390 * time.Microsecond, 100 * time.Microsecond},
		{68707 * ms, 170 * time.Microsecond, 1183 * ms, 6 * time.Microsecond},
	}
	if err != nil || !slices.EqualFunc(got, want, near) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, line := range []string{
		"gc 1 0.012s 2%: 0.026+0.39+0.10 ms clock,",
		"gc 1 @0.012s 2%: 0.026+0.39 ms clock,",
		"gc one @0.012s 2%: 0.026+0.39+0.10 ms clock,",
	} {
		if got, err := parseTrace(strings.NewReader(line)); err == nil {
			t.Errorf("%q: got %v, want an error", line, got)
		}
	}
}

// near leaves the last nanosecond to the arithmetic of fractions.
func near(x, y cycle) bool {
	within := func(x, y time.Duration) bool { return (x - y).Abs() <= 1 }
	return within(x.at, y.at) && within(x.before, y.before) && within(x.mark, y.mark) && within(x.after, y.after)
}

func TestQueriesAreToldApartByCollections(t *testing.T) {
	const ms = time.Millisecond
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	before := cycle{at: 10 * ms, mark: 20 * ms} // the first query
	during := cycle{at: 1000 * ms, before: ms, mark: 98 * ms, after: ms}
	for _, tt := range []struct {
		sentence   string
		sent, took time.Duration
		within     bool
	}{
		{"long before it", 500 * ms, ms, false},
		{"answered before it, as far as the clocks tell", 970 * ms, 5 * ms, false},
		{"answered when it may have begun", 970 * ms, 15 * ms, true},
		{"sent before it, answered after it", 900 * ms, 300 * ms, true},
		{"sent in it", 1050 * ms, ms, true},
		{"sent when it may not have ended", 1110 * ms, ms, true},
		{"sent after it", 1130 * ms, ms, false},
	} {
		samples := []sample{
			{began.Add(100 * ms), ms},
			{began.Add(tt.sent), tt.took},
			{began.Add(2000 * ms), ms},
		}
		var p pauses
		p.split(samples, []cycle{before, during}, began)
		if len(p.cycles) != 1 || p.elapsed != 1900*ms {
			t.Fatalf("%s: got %v in %s, want one collection in 1.9s", tt.sentence, p.cycles, p.elapsed)
		}
		if got := len(p.within) == 1; got != tt.within || len(p.within)+len(p.between) != 3 {
			t.Errorf("%s: got %v within it, %v not", tt.sentence, p.within, p.between)
		}
	}
}

func TestShareOfLongWaits(t *testing.T) {
	waits := func(all ...time.Duration) (samples []sample) {
		for _, took := range all {
			samples = append(samples, sample{took: took})
		}
		return samples
	}
	for _, tt := range []struct {
		sentence string
		samples  []sample
		want     float64
	}{
		{"none was long", waits(1, 2), 0},
		{"the bound itself is not", waits(longWait, longWait+1), 50},
		{"all were", waits(longWait + 1), 100},
		{"there were no queries", nil, math.NaN()},
	} {
		if got := shareOfLong(tt.samples); got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("%s: got %v, want %v", tt.sentence, got, tt.want)
		}
	}
	p := pauses{between: waits(1, 2, 3, longWait+1), within: waits(1, longWait+1)}
	if got := p.excess(); got != 25 {
		t.Errorf("excess: got %v, want 25", got)
	}
	if got := percentileOf(nil, 50); !math.IsNaN(got) {
		t.Errorf("percentile of no waits: got %v", got)
	}
}
