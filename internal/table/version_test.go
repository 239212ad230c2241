package table

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// at returns a time so many milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func TestASerialIsTheSecondOfTheNewestChangeOnceThatIsOver(t *testing.T) {
	type step struct {
		ms       int
		change   bool   // else only time has passed
		serial   uint32 // after noon
		revision uint64 // of what is transferred
	}
	for _, tc := range []struct {
		sentence string
		steps    []step
	}{
		{"a table begins with the second that it is opened in", []step{{0, false, 0, 0}}},
		{"and stays as it is while nothing changes", []step{{5000, false, 0, 0}, {99999, false, 0, 0}}},
		{"a change is told when its second is over", []step{{3400, true, 0, 0}, {3999, false, 0, 0}, {4000, false, 3, 1}, {9000, false, 3, 1}}},
		{"with all that came in the same second", []step{{3000, true, 0, 0}, {3500, true, 0, 0}, {3999, true, 0, 0}, {4100, false, 3, 3}}},
		{"and without what came later", []step{{3900, true, 0, 0}, {4000, true, 3, 1}, {4900, true, 3, 1}, {5000, true, 4, 3}}},
		{"a change tells what was before it, though nobody looked in time", []step{{3900, true, 0, 0}, {7000, true, 3, 1}, {8000, false, 7, 2}}},
		{"what came in the second of the start counts for the next one", []step{{100, true, 0, 0}, {1000, false, 0, 0}, {1999, false, 0, 0}, {2000, false, 1, 1}}},
		{"with all of that", []step{{100, true, 0, 0}, {1500, true, 0, 0}, {2000, false, 1, 2}}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			var table Table
			table.Open(Empty(0), noon)
			for _, s := range tc.steps {
				if s.change {
					d := table.Load().Edit()
					d.Define(service.Name{Namespace: "n", Service: "s"}, &service.Definition{})
					table.Publish(at(s.ms), d)
				} else {
					table.Settle(at(s.ms))
				}
				state := table.Load()
				version := state.Version()
				if got := version.Serial() - uint32(noon.Unix()); got != s.serial || version.Revision != s.revision || state.Serial() != version.Serial() {
					t.Fatalf("after %d ms: got serial %d with revision %d, want %d with %d", s.ms, got, version.Revision, s.serial, s.revision)
				}
			}
		})
	}
}

// TestASerialStandsForOneContentAndNeverGoesBack has random changes and restarts with a table
// that has nothing to do with the one before.
func TestASerialStandsForOneContentAndNeverGoesBack(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		now := at(random.IntN(1000))
		table := new(Table)
		table.Open(Empty(0), now)
		opened, began, tables := now.Unix(), now, 0
		type content struct {
			table    int
			revision uint64
		}
		told := map[uint32]content{}
		newest := uint32(0)
		look := func(what string) {
			version := table.Load().Version()
			is := content{tables, version.Revision}
			switch was, known := told[version.Serial()]; {
			case known && was != is:
				t.Fatalf("seed %d: %s: serial %d stands for %v, and for %v", seed, what, version.Serial(), was, is)
			case newest != 0 && int32(version.Serial()-newest) < 0:
				t.Fatalf("seed %d: %s: serial %d after %d", seed, what, version.Serial(), newest)
			case int64(version.Serial()) > now.Unix():
				t.Fatalf("seed %d: %s: serial %d is ahead of the time", seed, what, version.Serial())
			}
			newest = version.Serial()
			told[newest] = is
		}
		look("open")
		for range 300 {
			now = now.Add(time.Duration(random.IntN(700)) * time.Millisecond)
			switch n := random.IntN(20); {
			case n < 10:
				d := table.Load().Edit()
				d.Define(service.Name{Namespace: "n", Service: "s"}, &service.Definition{})
				table.Publish(now, d)
				look("change")
			case n < 19 || now.Unix() == opened:
				table.Settle(now)
				look("settle")
			default: // with a revision that says nothing
				table, tables = new(Table), tables+1
				table.Open(Empty(uint64(random.IntN(9))), now)
				opened = now.Unix()
				look("restart")
			}
		}
		if most := int(now.Sub(began)/time.Second) + 2; len(told) > most {
			t.Errorf("seed %d: %d serials in %s", seed, len(told), now.Sub(began))
		}
		table.Settle(now.Add(3 * time.Second))
		if state := table.Load(); state.Version().Revision != state.Revision {
			t.Errorf("seed %d: revision %d is transferred of %d, though all is quiet", seed, state.Version().Revision, state.Revision)
		}
	}
}

// Ticks come from another goroutine than changes, and between any two of its steps.
func TestASerialStandsForOneContentWhileOthersSettle(t *testing.T) {
	var table Table
	table.Open(Empty(0), noon)
	var ms atomic.Int64
	now := func() time.Time { return at(int(ms.Add(1))) }
	var told sync.Map // revisions by serial
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				table.Settle(now())
				version := table.Load().Version()
				if was, known := told.LoadOrStore(version.Serial(), version.Revision); known && was != version.Revision {
					t.Errorf("serial %d stands for revision %d, and for %d", version.Serial(), was, version.Revision)
					return
				}
			}
		})
	}
	for range 20_000 {
		d := table.Load().Edit()
		d.Define(service.Name{Namespace: "n", Service: "s"}, &service.Definition{})
		table.Publish(now(), d)
	}
	close(stop)
	running.Wait()
}

func TestSecondsGoOnWhereTheClockIsSetBack(t *testing.T) {
	var c calendar
	const hour = 3600
	for _, tc := range []struct {
		sentence string
		told     int64
		passed   time.Duration // since the beginning
		want     int64
	}{
		{"the clock goes", 1_000_000, 0, 1_000_000},
		{"and goes on", 1_000_005, 5 * time.Second, 1_000_005},
		{"set back an hour, it is counted on", 1_000_006 - hour, 6 * time.Second, 1_000_006},
		{"and on", 1_000_600 - hour, 600 * time.Second, 1_000_600},
		{"until it has caught up", 1_000_605, 605 * time.Second, 1_000_605},
		{"set forward, it is followed", 2_000_000, 606 * time.Second, 2_000_000},
		{"from there", 2_000_001, 607 * time.Second, 2_000_001},
	} {
		if got := c.count(tc.told, tc.passed); got != tc.want {
			t.Errorf("%s: the clock tells %d after %s: got %d, want %d", tc.sentence, tc.told, tc.passed, got, tc.want)
		}
	}
}

// What a serial stands for does not change when time passes, as the answers do.
func TestAVersionKeepsWhoseLeaseHasEnded(t *testing.T) {
	name := service.Name{Namespace: "n", Service: "s"}
	alone, shared := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	d := Empty(0).Edit()
	for _, id := range []string{"a", "b"} {
		is := service.Instance{Addresses: []netip.Addr{shared}, Status: service.Up, Lease: service.LeaseOf(2)}
		if id == "a" {
			is.Addresses = append(is.Addresses, alone)
		}
		d.Put(NewInstance(service.ID{Name: name, ID: id}, is, noon, 0))
	}
	s, _ := d.Done()
	for i := range s.Instances() {
		s.Leases().Add(i.Lease())
	}
	var table Table
	table.Open(s, noon)
	state := table.Load()
	for _, tc := range []struct {
		sentence string
		at       lease.Time
		now      bool // answered
	}{
		{"while they last", 0, true},
		{"when they have ended", lease.Time(3 * time.Second), false},
	} {
		s.Leases().Due(tc.at, lease.Rule{Percent: 100, Floor: 10, Span: time.Second})
		for what, want := range map[*Snapshot]bool{state.Snapshot: tc.now, state.Version().Snapshot: true} {
			host, ok := what.SoleHost(alone)
			if !ok || host.Answers() != want {
				t.Errorf("%s: who has the address is answered: %v, want %v", tc.sentence, host.Answers(), want)
			}
			n := 0
			for h := range what.Holders(shared) {
				if n++; what.Answers(h.Instance) != want {
					t.Errorf("%s: %s, who shares one, is answered: %v, want %v", tc.sentence, h.Instance.ID(), !want, want)
				}
			}
			for v := range what.Services(service.Name{}) {
				for i := range v.Instances {
					if n++; v.Answers(i) != want {
						t.Errorf("%s: %s is answered: %v, want %v", tc.sentence, i.ID(), !want, want)
					}
				}
			}
			if listed := n - 2; listed != map[bool]int{true: 2, false: 0}[want] {
				t.Errorf("%s: %d instances are listed, where they are answered: %v", tc.sentence, listed, want)
			}
		}
	}
}
