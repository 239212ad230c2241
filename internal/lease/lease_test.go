package lease

import (
	"math"
	"sync"
	"testing"
	"time"
)

func TestLeaseLivesItsLengthFromItsLastRenewal(t *testing.T) {
	const s = Time(time.Second)
	l := new(Wheel).New(30*time.Second, 0, 10*s)
	for _, step := range []struct {
		sentence string
		do       func() bool
		want     bool
		deadline Time
	}{
		{"a new lease has its length before it", func() bool { return !l.Ended() }, true, 40 * s},
		{"it does not end early", func() bool { return l.end(40*s - 1) }, false, 40 * s},
		{"a renewal gives it its full length", func() bool { return l.Renew(20 * s) }, true, 50 * s},
		{"a renewal that comes in late takes nothing away", func() bool { return l.Renew(15 * s) }, true, 50 * s},
		{"it ends when its time has come", func() bool { return l.end(50 * s) }, true, ended},
		{"then no renewal brings it back", func() bool { return l.Renew(50 * s) }, false, ended},
		{"and it stays so", func() bool { return l.Ended() && l.end(0) }, true, ended},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("%s: got %v", step.sentence, got)
		}
		if d, ok := l.Deadline(); d != step.deadline || !ok {
			t.Errorf("%s: deadline %d, %v, want %d", step.sentence, d, ok, step.deadline)
		}
	}
}

func TestStaticLeaseNeverEnds(t *testing.T) {
	var l *Lease
	if _, ok := l.Deadline(); ok || l.Ended() || !l.Renew(1) {
		t.Error("a nil lease has a deadline, has ended, or cannot be renewed")
	}
	var w Wheel
	w.Add(l)
	w.Drop(l, 0)
	if w.Len() != 0 || len(w.Due(1<<62, math.MaxInt)) != 0 {
		t.Error("a nil lease is on the wheel")
	}
}

// A heartbeat and the clock meet at the very deadline. Whoever was told that the lease
// is renewed may rely on it; whoever was told that it is not, registers again.
func TestLeaseIsNeverBothRenewedAndEnded(t *testing.T) {
	const length, heartbeats = 10 * time.Second, 4
	deadline := Time(length)
	for range 5000 {
		var w Wheel
		l := w.New(length, 0, 0)
		w.Add(l)

		var renewed [heartbeats]bool
		var ends []*Lease
		var start, done sync.WaitGroup
		start.Add(1)
		for n := range renewed {
			done.Go(func() {
				start.Wait()
				renewed[n] = l.Renew(deadline - Time(n))
			})
		}
		done.Go(func() {
			start.Wait()
			ends = w.Due(deadline, math.MaxInt)
		})
		start.Done()
		done.Wait()

		dropped := len(ends) == 1
		if l.Ended() != dropped {
			t.Fatalf("ended %v, yielded %v", l.Ended(), ends)
		}
		for n, ok := range renewed {
			if ok && dropped {
				t.Fatalf("heartbeat %d was told that the lease is renewed, and it has ended", n)
			}
			if !ok && !dropped {
				t.Fatalf("heartbeat %d was told that the lease has ended, and it has not", n)
			}
		}
		if at, _ := l.Deadline(); !dropped && at != deadline.Add(length) {
			t.Fatalf("deadline %d after renewals up to %d", at, deadline)
		}
	}
}
