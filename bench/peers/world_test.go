package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

var small = world{services: 20, each: 3}

func TestEveryInstanceHasAnAddressOfItsOwn(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for _, s := range (world{10_000, 3}).all() {
		for _, i := range s.instances() {
			if a := i.address(); seen[a] {
				t.Fatalf("%s has the address of another: %s", i.fqdn(), a)
			} else if a.Is6() != s.six() {
				t.Fatalf("%s has the address %s, of the other family", i.fqdn(), a)
			} else {
				seen[a] = true
			}
		}
	}
}

// What file, NSD and Knot are told must hold every name that the others are asked for.
func TestZonesAnswerEveryQuestionOfThePeers(t *testing.T) {
	var text strings.Builder
	for _, write := range []func() error{
		func() error { return small.writeZone(&text) },
		func() error { return small.writeReverseZone(&text) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	records := map[string]int{}
	parser := dns.NewZoneParser(strings.NewReader(text.String()), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records[rr.Header().Name+dns.TypeToString[rr.Header().Rrtype]]++
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		for _, name := range q.names(small) {
			if q.own {
				continue
			}
			if got := records[name+dns.TypeToString[q.qtype]]; got != q.records(small) {
				t.Errorf("%s of %s: got %d records, want %d", q.name, name, got, q.records(small))
			}
		}
	}
}

func TestNamesAreEachOnceInTheSameOrder(t *testing.T) {
	for _, q := range questions {
		names := q.names(small)
		if !slices.Equal(names, q.names(small)) {
			t.Errorf("%s: the second time the order is another", q.name)
		}
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%s: a name is there twice", q.name)
		}
	}
}

// Ten newcomers share a service, and nobody comes twice.
func TestNewcomersAreNew(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range small.all() {
		for _, i := range s.instances() {
			seen[i.path()] = true
		}
	}
	for n := range 100 {
		if path := newcomer(small, n).path(); seen[path] {
			t.Errorf("%s is there already", path)
		} else {
			seen[path] = true
		}
	}
}
