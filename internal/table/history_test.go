package table

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/coredns-registry/registry/service"
)

// noon is when what does not depend on the time takes place.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// publish publishes a revision with that many events.
func publish(t *Table, events int) {
	d := t.Load().Edit()
	id := service.ID{Name: service.Name{Namespace: "n", Service: "s"}, ID: "i"}
	for range events {
		d.Put(static(id, service.Instance{Status: service.Up}))
	}
	t.Publish(noon, d)
}

func TestHistoryBeginsWhereTheTableWasOpened(t *testing.T) {
	var table Table
	if table.Load() != nil {
		t.Error("a table that is not loaded has a state")
	}
	table.Open(Empty(7), noon)
	for revision, want := range map[uint64]bool{0: false, 6: false, 7: true, 8: false} {
		if c, ok := table.Load().Since(revision); ok != want || ok && c.Revision != revision {
			t.Errorf("since %d: got %v, %v", revision, c, ok)
		}
	}
}

// TestHistoryKeepsTenThousandChanges: at least that many, and not many more.
func TestHistoryKeepsTenThousandChanges(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		size     func(*rand.Rand) int // of a commit
		commits  int
	}{
		{"of one change each", func(*rand.Rand) int { return 1 }, 12_000},
		{"of a few each", func(r *rand.Rand) int { return 1 + r.IntN(10) }, 5000},
		{"of some and some large ones", func(r *rand.Rand) int {
			if r.IntN(20) == 0 {
				return 4000
			}
			return 1
		}, 1000},
		{"each larger than all that must be kept", func(*rand.Rand) int { return keptEvents + 1 }, 5},
		{"each just as large", func(*rand.Rand) int { return keptEvents }, 5},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			random := rand.New(rand.NewPCG(8, 8))
			var table Table
			table.Open(Empty(0), noon)
			sizes := []int{0} // by revision
			var first *Commit
			for range tc.commits {
				sizes = append(sizes, tc.size(random))
				publish(&table, sizes[len(sizes)-1])
				if first == nil {
					first = table.Load().Last()
				}
			}
			// The revisions that can be resumed from are those after which no more
			// changes came than are kept, and the first with as many.
			state := table.Load()
			after, oldest := 0, int(state.Revision)
			for ; oldest > 0 && after < keptEvents; oldest-- {
				after += sizes[oldest]
			}
			for revision := range state.Revision + 3 {
				want := revision >= uint64(oldest) && revision <= state.Revision
				if revision%97 != 0 && revision+3 < uint64(oldest) { // a sample of those long past
					continue
				}
				if _, ok := state.Since(revision); ok != want {
					t.Fatalf("since %d: got %v; the table is at %d, the oldest kept is %d", revision, ok, state.Revision, oldest)
				}
			}
			got := 0
			c, _ := state.Since(uint64(oldest))
			if !state.Keeps(c) {
				t.Errorf("commit %d can be resumed from and is not kept", c.Revision)
			}
			for c != state.Last() {
				c = c.Next()
				got += len(c.Events)
			}
			if got != after {
				t.Errorf("after %d: got %d changes, want %d", oldest, got, after)
			}
			if state.Keeps(first) != (oldest <= 1) {
				t.Errorf("the first commit is kept: %v; the oldest kept is %d", state.Keeps(first), oldest)
			}
		})
	}
}

func TestHistoryFreesWhatIsTooOldAndNobodyHolds(t *testing.T) {
	var table Table
	table.Open(Empty(0), noon)
	publish(&table, 1)
	old := weak.Make(table.Load().Last())
	for range 100 {
		publish(&table, keptEvents/10)
	}
	runtime.GC()
	if old.Value() != nil {
		t.Error("a commit that is not kept is still in memory")
	}
	runtime.KeepAlive(&table)
}

// A state that was loaded stays as it was: its history ends with its snapshot.
func TestStateAndItsHistoryAgree(t *testing.T) {
	var table Table
	table.Open(Empty(0), noon)
	publish(&table, 1)
	state := table.Load()
	publish(&table, 1)
	if c := state.Last(); c.Revision != state.Revision {
		t.Errorf("the last commit is %d, the snapshot %d", c.Revision, state.Revision)
	}
	if _, ok := state.Since(2); ok {
		t.Error("a state can be resumed from a revision it has not")
	}
	if c, ok := table.Load().Since(1); !ok || c != state.Last() {
		t.Errorf("resumed from 1: got %v, %v", c, ok)
	}
}

// TestWatcherMissesNothingAndSeesNothingTwice: watchers come while changes are made, and
// each ends with the table as it is, by the snapshot it began with and the events of
// every revision after it. One resumes all the time.
func TestWatcherMissesNothingAndSeesNothingTwice(t *testing.T) {
	const last, watchers = 1500, 6
	var table Table
	table.Open(Empty(0), noon)
	var running sync.WaitGroup
	ends := make([]string, watchers)
	watch := func(n int, resumes bool) {
		state := table.Load()
		is := newTwin()
		for v := range state.Services(service.Name{}) {
			if v.Definition != nil {
				is.define(v.Revision, v.Name, v.Definition)
			}
			for i := range state.InstancesOf(v.Name) {
				is.put(v.Revision, i)
			}
		}
		c := state.Last()
		for c.Revision < last {
			<-c.Grown()
			next := c.Next()
			if next.Revision != c.Revision+1 {
				t.Errorf("watcher %d: revision %d after %d", n, next.Revision, c.Revision)
				return
			}
			is.replay(next.Revision, next.Events)
			c = next
			if resumes {
				var ok bool
				if c, ok = table.Load().Since(next.Revision); !ok || c != next {
					t.Errorf("watcher %d: cannot resume from %d", n, next.Revision)
					return
				}
			}
		}
		select {
		case <-c.Grown():
			t.Errorf("watcher %d: there is more after the last revision", n)
		default:
		}
		ends[n] = is.String()
	}
	p, is := newPlayer(9), newTwin()
	for revision := range last {
		if revision%(last/watchers) == 0 {
			n := revision / (last / watchers)
			running.Go(func() { watch(n, n%2 == 1) })
		}
		d := table.Load().Edit()
		for !d.Changed() {
			p.change(t, d, is)
		}
		table.Publish(noon, d)
	}
	running.Wait()
	want := is.String()
	for n, got := range ends {
		if got != want {
			t.Errorf("watcher %d ends with\n%s\nwant\n%s", n, got, want)
		}
	}
	if got := describe(table.Load().Snapshot); got != want {
		t.Errorf("the table ends with\n%s\nwant\n%s", got, want)
	}
}
