package lease

import (
	"sync"
	"testing"
	"time"
)

func TestLeaseLivesItsLengthFromItsLastRenewal(t *testing.T) {
	const s = Time(time.Second)
	var w Wheel
	l := w.New(30*time.Second, Tenant{}, 10*s)
	for _, step := range []struct {
		sentence string
		do       func() bool
		want     bool
		deadline Time
	}{
		{"a new lease has its length before it", func() bool { return !l.Ended() }, true, 40 * s},
		{"it does not end early", func() bool { return l.end(40*s - 1) }, false, 40 * s},
		{"a renewal gives it its full length", func() bool { return w.Renew(l, 20*s) }, true, 50 * s},
		{"a renewal that comes in late takes nothing away", func() bool { return w.Renew(l, 15*s) }, true, 50 * s},
		{"it ends when its time has come", func() bool { return l.end(50 * s) }, true, ended},
		{"then no renewal brings it back", func() bool { return w.Renew(l, 50*s) }, false, ended},
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
	var w Wheel
	if _, ok := l.Deadline(); ok || l.Ended() || !w.Renew(l, 1) {
		t.Error("a nil lease has a deadline, has ended, or cannot be renewed")
	}
	w.Add(l)
	w.Drop(l, 0)
	if w.Len() != 0 || len(w.Due(1<<62, Rule{Percent: 100})) != 0 {
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
		l := w.New(length, Tenant{}, 0)
		w.Add(l)

		var renewed [heartbeats]bool
		var ends []*Lease
		var start, done sync.WaitGroup
		start.Add(1)
		for n := range renewed {
			done.Go(func() {
				start.Wait()
				renewed[n] = w.Renew(l, deadline-Time(n))
			})
		}
		done.Go(func() {
			start.Wait()
			ends = w.Due(deadline, Rule{Percent: 100})
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
