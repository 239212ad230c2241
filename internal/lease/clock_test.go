package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

// hands is an outside clock that only the test moves.
type hands struct{ at time.Time }

func newHands() *hands { return &hands{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (h *hands) now() time.Time       { return h.at }
func (h *hands) pass(d time.Duration) { h.at = h.at.Add(d) }

func TestClockStandsStillWhileNobodyCouldBeHeard(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		sentence string
		ticks    []time.Duration // between one and the next
		now      time.Duration
		gap      time.Duration // told by the last
	}{
		{"no time has passed", nil, 0, 0},
		{"ticks on time", []time.Duration{100 * ms, 100 * ms, 100 * ms}, 300 * ms, 0},
		{"late ones count: somebody could be heard", []time.Duration{100 * ms, 200 * ms}, 300 * ms, 0},
		{"a pause does not", []time.Duration{100 * ms, 201 * ms}, 100 * ms, 201 * ms},
		{"however long it is", []time.Duration{100 * ms, 24 * time.Hour}, 100 * ms, 24 * time.Hour},
		{"after it the clock goes on", []time.Duration{100 * ms, time.Hour, 100 * ms}, 200 * ms, 0},
		{"a pause after a pause", []time.Duration{time.Hour, time.Hour, 100 * ms}, 100 * ms, 0},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			h := newHands()
			c := NewClock(h.now)
			var gap time.Duration
			for _, d := range tc.ticks {
				h.pass(d)
				_, gap = c.Tick()
			}
			if now := c.Now(); now != Time(tc.now) || gap != tc.gap {
				t.Errorf("got %s and a gap of %s, want %s and %s", time.Duration(now), gap, tc.now, tc.gap)
			}
		})
	}
}

// Between ticks Now goes on, so that a renewal counts from when it came. In a gap it
// shows what Tick is about to say.
func TestNowGoesOnBetweenTicksAndStopsInAGap(t *testing.T) {
	h := newHands()
	c := NewClock(h.now)
	for _, tc := range []struct{ outside, want time.Duration }{
		{0, 0}, {99, 99}, {150, 150}, {200, 200}, {201, 0}, {10_000, 0},
	} {
		h.at = newHands().at.Add(tc.outside * time.Millisecond)
		if got := c.Now(); got != Time(tc.want*time.Millisecond) {
			t.Errorf("%s after the tick: got %s", tc.outside*time.Millisecond, time.Duration(got))
		}
	}
	h.at = newHands().at.Add(-time.Second)
	if got := c.Now(); got != 0 {
		t.Errorf("with an outside clock that is set back: got %s, want 0", time.Duration(got))
	}
}

func TestWallIsWhenTheClockWillShowIt(t *testing.T) {
	h := newHands()
	c := NewClock(h.now)
	h.pass(time.Hour)
	c.Tick() // a gap
	h.pass(150 * time.Millisecond)
	deadline := c.Now().Add(30 * time.Second)
	if got, want := c.Wall(deadline), h.at.Add(30*time.Second); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	h.pass(time.Hour) // while it lasts, all of it is still to come
	if got, want := c.Wall(deadline), h.at.Add(30*time.Second+150*time.Millisecond); !got.Equal(want) {
		t.Errorf("in a gap: got %s, want %s", got, want)
	}
}

// Against a twin that adds up the time between ticks.
func TestClockNeverRunsAheadOfTheTimeItCouldHear(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		h := newHands()
		c := NewClock(h.now)
		var heard Time
		for range 100 {
			d := time.Duration(random.Int64N(int64(longestGap)))
			if random.IntN(5) == 0 {
				d = time.Duration(random.Int64N(int64(time.Hour)))
			}
			h.pass(d / 2)
			if now := c.Now(); now < heard || now > heard.Add(min(d/2, longestGap)) {
				t.Fatalf("%s after a tick at %d: got %d", d/2, heard, now)
			}
			h.pass(d - d/2)
			if d <= longestGap {
				heard = heard.Add(d)
			}
			if now, gap := c.Tick(); now != heard || (gap > 0) != (d > longestGap) {
				t.Fatalf("tick after %s: got %d and a gap of %s, want %d", d, now, gap, heard)
			}
			if now := c.Now(); now != heard {
				t.Fatalf("now at a tick: got %d, want %d", now, heard)
			}
		}
	}
}
