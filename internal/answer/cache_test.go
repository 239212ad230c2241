package answer

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// someRecords are one record, of more than there is room for if it is said so.
type someRecords struct{ more bool }

func (r someRecords) full() bool { return r.more }

func (r someRecords) fill(s *rrset) {
	var b builder
	b.addAddress(address(1), noLease)
	b.fill(s)
}

// TestOneBuildsASetAndTheOthersWait: however many ask at once, it is built once.
func TestOneBuildsASetAndTheOthersWait(t *testing.T) {
	var s rrsetCache
	var built atomic.Int32
	begun, build := make(chan struct{}), make(chan struct{})
	got := make([]*rrset, 50)
	var asked, done sync.WaitGroup
	for n := range got {
		asked.Add(1)
		done.Go(func() {
			asked.Done()
			got[n] = s.get("a", dns.TypeA, func(bool) recordSource {
				if built.Add(1) == 1 {
					close(begun)
				}
				<-build
				return someRecords{}
			})
		})
	}
	asked.Wait()
	<-begun
	close(build)
	done.Wait()
	if n := built.Load(); n != 1 {
		t.Errorf("it was built %d times", n)
	}
	for n := range got {
		if got[n] == nil || got[n] != got[0] {
			t.Fatalf("%d of those who asked got %p, another %p", n, got[n], got[0])
		}
	}
}

// TestPartsTakeTurnsAndNobodyWaits: of more than there is room for, another part takes the place of
// the one before when that has been answered a number of times. While it is built the one before
// is answered.
func TestPartsTakeTurnsAndNobodyWaits(t *testing.T) {
	var s rrsetCache
	var from []bool
	part := func(randomStart bool) recordSource {
		from = append(from, randomStart)
		return someRecords{more: true}
	}
	first := s.get("a", dns.TypeA, part)
	if len(from) != 2 || from[0] || !from[1] {
		t.Errorf("gathered %v: want all from the first one on, and then, since that is too much, from anywhere", from)
	}
	for n := range answersPerPart {
		if got := s.get("a", dns.TypeA, part); got != first {
			t.Fatalf("after %d answers it is another part", n)
		}
	}
	second := s.get("a", dns.TypeA, func(randomStart bool) recordSource {
		if !randomStart {
			t.Error("the next part begins with the first instance")
		}
		if got := s.get("a", dns.TypeA, part); got != first {
			t.Errorf("who asks meanwhile gets %p, want the part before, %p", got, first)
		}
		return someRecords{more: true}
	})
	if second == first || s.get("a", dns.TypeA, part) != second {
		t.Error("the next part has not taken its place")
	}
	whole := s.get("b", dns.TypeA, func(bool) recordSource { return someRecords{} })
	for range 3 * answersPerPart {
		if s.get("b", dns.TypeA, part) != whole {
			t.Fatal("what is whole was built anew")
		}
	}
}

// TestShelfIsBounded: it keeps no more than a number of sets, whatever is asked for, and finds each
// of them.
func TestShelfIsBounded(t *testing.T) {
	var s rrsetCache
	for n := range 3 * maxEntries {
		label := string(rune('a' + n))
		made := s.get(label, dns.TypeA, func(bool) recordSource { return someRecords{} })
		other := s.get(label, dns.TypeAAAA, func(bool) recordSource { return someRecords{} })
		if made == other || s.find(label, dns.TypeAAAA) != other {
			t.Fatalf("set %d is not found", n)
		}
		if kept := len(*s.entries.Load()); kept > maxEntries {
			t.Fatalf("%d sets are kept, want at most %d", kept, maxEntries)
		}
	}
}
