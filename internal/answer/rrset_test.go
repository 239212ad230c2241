package answer

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// address is one of 192.0.2.0/24.
func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

func lastOctet(rr dns.RR) int { return int(rr.(*dns.A).A[3]) }

// TestEachInstanceComesFirstEquallyOften builds sets as the table gives them, and counts.
func TestEachInstanceComesFirstEquallyOften(t *testing.T) {
	for _, tc := range []struct {
		sentence  string
		instances [][]int // the records of each
		most      int
		want      map[int]float64 // by its first record, how often a record comes first
	}{
		{"one record each", [][]int{{1}, {2}, {3}, {4}}, 100, map[int]float64{1: .25, 2: .25, 3: .25, 4: .25}},
		{"also when fewer are answered than there are", [][]int{{1}, {2}, {3}, {4}}, 2, map[int]float64{1: .25, 2: .25, 3: .25, 4: .25}},
		{"however many records it has", [][]int{{1}, {2, 3, 4, 5}, {6, 7}}, 3, map[int]float64{1: 1. / 3, 2: 1. / 3, 6: 1. / 3}},
		{"one without records is not counted", [][]int{{1}, {}, {2}}, 100, map[int]float64{1: .5, 2: .5}},
		{"nor the last", [][]int{{1}, {2}, {}}, 100, map[int]float64{1: .5, 2: .5}},
		{"a record that instances share comes first for each", [][]int{{1}, {1}, {2}}, 100, map[int]float64{1: 2. / 3, 2: 1. / 3}},
		{"a single instance always", [][]int{{1, 2}}, 100, map[int]float64{1: 1}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			b := builder{maxRecords: tc.most}
			different := map[int]bool{}
			for _, records := range tc.instances {
				b.beginInstance()
				for _, n := range records {
					b.addAddress(address(n), noLease)
					different[n] = true
				}
			}
			s := b.set()
			const rounds = 50_000 // 6 standard deviations are less than 0.014
			first := map[int]int{}
			for range rounds {
				c := s.choose(math.MaxInt)
				seen := map[int]bool{}
				for n := range s.chosen(c) {
					rr := s.record(n, "x.")
					if len(seen) == 0 {
						first[lastOctet(rr)]++
					}
					seen[lastOctet(rr)] = true
				}
				if want := min(len(different), tc.most); len(seen) != want || c.n != want {
					t.Fatalf("got %d different records of %d, want %d", len(seen), c.n, want)
				}
			}
			for n, count := range first {
				if got := float64(count) / rounds; math.Abs(got-tc.want[n]) > 0.014 {
					t.Errorf("record %d comes first in %.3f, want %.3f", n, got, tc.want[n])
				}
			}
			if len(first) != len(tc.want) {
				t.Errorf("%d records come first, want %d", len(first), len(tc.want))
			}
		})
	}
}

func TestChoiceOfNothingIsEmpty(t *testing.T) {
	s := (&builder{}).set()
	for n := range s.chosen(s.choose(10)) {
		t.Errorf("got record %d", n)
	}
	if got := s.earliestEnd(s.choose(10), 0); got != math.MaxInt64 {
		t.Errorf("it ends at %d, want never", got)
	}
}

// What a set remembers of its leases must stay true while they are renewed and end.
func TestEndOfASetIsItsEarliestLease(t *testing.T) {
	const s = lease.Time(time.Second)
	var w lease.Wheel
	first, second := w.New(10*time.Second, lease.Tenant{}, 0), w.New(30*time.Second, lease.Tenant{}, 0)
	b := builder{wheel: &w}
	b.addAddress(address(1), second.Number())
	b.addAddress(address(1), first.Number())
	b.addAddress(address(2), second.Number())
	b.addAddress(address(3), noLease)
	set := b.set()
	all := choice{0, 3}
	for _, step := range []struct {
		sentence string
		of       choice
		enough   lease.Time
		want     lease.Time // or later, if it is no sooner than enough
	}{
		{"the earliest of all", all, 60 * s, 10 * s},
		{"again, as it is remembered", all, 60 * s, 10 * s},
		{"as far as one asks", all, 5 * s, 10 * s},
		{"of some records only", choice{1, 2}, 60 * s, 30 * s},
		{"around the end", choice{2, 2}, 60 * s, 10 * s},
		{"a static record never", choice{2, 1}, 60 * s, math.MaxInt64},
	} {
		if got := set.earliestEnd(step.of, step.enough); got != step.want && (got < step.enough || step.want < step.enough) {
			t.Errorf("%s: got %d, want %d", step.sentence, got, step.want)
		}
	}
	w.Renew(first, 50*s)
	if got := set.earliestEnd(all, 90*s); got != 30*s {
		t.Errorf("after a renewal: got %d, want %d", got, 30*s)
	}
	w.Renew(second, 100*s)
	if got := set.earliestEnd(all, 55*s); got < 55*s || got > 60*s {
		t.Errorf("after another: got %d, want from 55 s to 60 s", got)
	}
	w.Add(first)
	if w.Due(60*s, lease.Rule{Percent: 100}); !first.Ended() {
		t.Fatal("the lease has not ended")
	}
	if got := set.earliestEnd(all, 61*s); got >= 60*s {
		t.Errorf("after its end: got %d, want a time that has passed", got)
	}
}

// Records come out of a set as they went in, and other plugins may change what they are
// handed: nothing of it may be the set's.
func TestRecordOfASetIsItsOwn(t *testing.T) {
	for _, text := range []string{
		"x. 0 IN A 192.0.2.1", "x. 0 IN AAAA 2001:db8::1", "x. 0 IN SRV 1 2 3 y.",
		`x. 0 IN TXT "a" "b"`, `x. 0 IN TXT "a\\b" "c\"d" "\200\001"`, "x. 0 IN PTR y.", "x. 0 IN CNAME y.", "x. 0 IN NS y.",
	} {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		in := record{body: packBody(rr)}
		if TargetName(rr) != "" {
			var addresses builder
			addresses.addAddress(address(7), noLease)
			name, _ := packName(TargetName(rr))
			in.target = newTarget(name, &addresses)
		}
		var b builder
		b.add(in)
		s := b.set()
		out := s.record(0, "x.")
		if out.String() != rr.String() {
			t.Errorf("%s: it came out as %s", rr, out)
		}
		if number, ok := s.targetOf(0); ok != (in.target != nil) {
			t.Errorf("%s: it has a target: %v", rr, ok)
		} else if ok {
			if got := s.appendGlue(nil, number, TargetName(out)); len(got) != 1 || got[0].String() != "y.\t0\tIN\tA\t192.0.2.7" {
				t.Errorf("%s: its target has the addresses %v", rr, got)
			}
		}
		out.Header().Name, out.Header().Ttl = "changed.", 99
		switch out := out.(type) {
		case *dns.A:
			out.A = nil
		case *dns.AAAA:
			out.AAAA = nil
		case *dns.TXT:
			out.Txt[0] = "changed"
		}
		if again := s.record(0, "x."); again.String() != rr.String() {
			t.Errorf("%s has become %s", rr, again)
		}
	}
}

// A name that has no place in a message has no record either: nobody could be sent it.
func TestNameThatIsTooLongIsLeftOut(t *testing.T) {
	label := strings.Repeat("x", 63)
	long := strings.Repeat(label+".", 3)
	for _, tc := range []struct {
		sentence string
		name     string
		fits     bool
	}{
		{"255 bytes", long + strings.Repeat("y", 61) + ".", true},
		{"256 bytes", long + strings.Repeat("y", 62) + ".", false},
		{"a label of 64", label + "x.", false},
	} {
		wire, ok := packName(tc.name)
		if ok != tc.fits || ok && len(wire) != len(tc.name)+1 {
			t.Errorf("%s: %d bytes, %v, want %v", tc.sentence, len(wire), ok, tc.fits)
		}
		first, body, _ := strings.Cut(tc.name, ".")
		if name, ok := packName(body); ok && len(first) < 64 {
			if below, ok := packBelow(name, first); ok != tc.fits || ok && !slices.Equal(below, wire) {
				t.Errorf("%s, label by label: %q, %v, want %v", tc.sentence, below, ok, tc.fits)
			}
		}
	}
	if _, ok := packBelow(nil, "x"); ok {
		t.Error("a label is below a name that is too long")
	}
}

func TestBitsetRemembersEachNumber(t *testing.T) {
	for _, size := range []int{1, 64, 65, 256, 257, 5000} {
		var b bitset
		for range 2 {
			var added []int
			for n := range size {
				if b.add(n, size) {
					added = append(added, n)
				}
			}
			if len(added) != size && len(added) != 0 {
				t.Errorf("of %d numbers: added %d", size, len(added))
			}
		}
		if i := slices.IndexFunc(slices.Repeat([]int{0, size - 1}, 2), func(n int) bool { return b.add(n, size) }); i >= 0 {
			t.Errorf("of %d numbers: one is added again", size)
		}
	}
}
