package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// A request in these tests is CALLER or CALLER×CHANGES, and n of them n*CALLER. A caller
// with a dot or a colon in it is an address.
func (q *queue) addText(text string) {
	for f := range strings.FieldsSeq(text) {
		n, changes := 1, 1
		if times, of, ok := strings.Cut(f, "*"); ok {
			_, _ = fmt.Sscan(times, &n)
			f = of
		}
		who, size, ok := strings.Cut(f, "×")
		if ok {
			_, _ = fmt.Sscan(size, &changes)
		}
		by := service.Caller{Name: who}
		if addr, err := netip.ParseAddr(who); err == nil {
			by = service.Caller{From: addr}
		}
		for range n {
			q.add(&request{by: by, changes: make([]service.Change, changes)})
		}
	}
}

// takeText takes a group and writes it down in the same form.
func (q *queue) takeText() string {
	var all []string
	n := 0
	for _, p := range q.take() {
		who := p.by.Name
		if who == "" {
			who = p.by.From.String()
		}
		if len(p.changes) != 1 {
			who += fmt.Sprint("×", len(p.changes))
		}
		if last := len(all) - 1; last >= 0 && strings.HasSuffix("*"+all[last], "*"+who) {
			n++
			all[last] = fmt.Sprint(n, "*", who)
			continue
		}
		n = 1
		all = append(all, who)
	}
	return strings.Join(all, " ")
}

func TestCallersTakeTurns(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		waiting  string
		groups   []string
	}{
		{"nobody waits", "", []string{""}},
		{"all go together while there is room", "a b c", []string{"a b c", ""}},
		{"one of each caller in turn", "3*a b 2*c", []string{"a b c a c a", ""}},
		{"who came last goes before what others have besides", "5*a b", []string{"a b 4*a", ""}},
		{"a group has so many changes", "2500*a", []string{"1000*a", "1000*a", "500*a", ""}},
		{"the turns go on in the next group", "1500*a 700*b", []string{
			strings.TrimSpace(strings.Repeat("a b ", 500)), strings.Repeat("a b ", 200) + "600*a", "200*a", ""}},
		{"a large request ends a group", "a×999 b×600 c", []string{"a×999 b×600", "c", ""}},
		{"and is never divided", "a×4000 b", []string{"a×4000", "b", ""}},
		{"large ones of one caller let others between", "3*a×1000 b c", []string{"a×1000", "b c a×1000", "a×1000", ""}},
		{"many who have no name stand by their address", "3*192.0.2.1 192.0.2.2", []string{"192.0.2.1 192.0.2.2 2*192.0.2.1", ""}},
		{"a host has one IPv6 network to come from", "2001:db8::1 2001:db8::2 2001:db8::3 2001:db8:0:1::1",
			[]string{"2001:db8::1 2001:db8:0:1::1 2001:db8::2 2001:db8::3", ""}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			var q queue
			q.addText(tc.waiting)
			for n, want := range tc.groups {
				if got := q.takeText(); got != want {
					t.Errorf("group %d:\ngot  %s\nwant %s", n, got, want)
				}
			}
			if len(q.byCaller) > 0 || len(q.callers) > 0 {
				t.Errorf("nobody waits, and %d callers are remembered", len(q.byCaller))
			}
		})
	}
}

// A caller is who it is by name, wherever it calls from.
func TestANameHasOneTurn(t *testing.T) {
	var q queue
	for n := range 3 {
		q.add(&request{by: service.Caller{Name: "a", From: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})}, changes: make([]service.Change, 1)})
	}
	q.addText("b")
	if got := q.takeText(); got != "a b 2*a" {
		t.Errorf("got %s", got)
	}
}

// Whatever comes and in whatever sizes: each caller's requests go in the order in which they
// came, and while the first of a caller waits no other caller has more than one turn.
func TestNobodyStarves(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 5))
		var q queue
		type wait struct {
			p      *request
			passed map[string]int // how many of each caller went before
		}
		waiting := make(map[string][]*wait)
		came, went := 0, 0
		for came < 1000 || went < came {
			if came < 1000 && random.IntN(3) > 0 {
				who := fmt.Sprint(random.IntN(6))
				p := &request{by: service.Caller{Name: who}, changes: make([]service.Change, 1+random.IntN(400))}
				waiting[who] = append(waiting[who], &wait{p, make(map[string]int)})
				q.add(p)
				came++
				continue
			}
			for _, p := range q.take() {
				went++
				first := waiting[p.by.Name][0]
				if first.p != p {
					t.Fatalf("seed %d: a request of %s overtakes another", seed, p.by.Name)
				}
				for who, n := range first.passed {
					if n > 1 {
						t.Fatalf("seed %d: while the first of %s waited %s had %d turns", seed, p.by.Name, who, n)
					}
				}
				waiting[p.by.Name] = waiting[p.by.Name][1:]
				for who, line := range waiting {
					if len(line) > 0 && who != p.by.Name {
						line[0].passed[p.by.Name]++
					}
				}
			}
		}
	}
}
