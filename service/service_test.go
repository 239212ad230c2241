package service

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestHostsLeadToTheInstance(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		hostname string
		want     string
	}{
		{"a hostname leads to all addresses", "web-1", "web-1 192.0.2.7 2001:db8::7 2001:db8:7::"},
		{"in lower case", "WEB-1", "web-1 192.0.2.7 2001:db8::7 2001:db8:7::"},
		{"without one each address is a host of its own", "", "192-0-2-7 192.0.2.7|2001-db8--7 2001:db8::7|2001-db8-7--0 2001:db8:7::"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			i := &Instance{Hostname: tc.hostname}
			addresses("192.0.2.7", "2001:db8::7", "2001:db8:7::")(i)
			var hosts []string
			for label, addrs := range i.Hosts {
				host := label
				for _, addr := range addrs {
					host += " " + addr.String()
				}
				hosts = append(hosts, host)
			}
			if got := strings.Join(hosts, "|"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			for range i.Hosts {
				break // who has seen enough may stop
			}
		})
	}
}

func TestDashedAddressIsALabel(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":            "192-0-2-7",
		"0.0.0.0":              "0-0-0-0",
		"2001:db8::7":          "2001-db8--7",
		"2001:db8:7::":         "2001-db8-7--0",
		"2001:db8:1:2:3:4:5:6": "2001-db8-1-2-3-4-5-6",
		"::7":                  "0--7",
		"::":                   "0--0",
		"::ffff:0:192.0.2.1":   "0--ffff-0-c000-201", // IPv4-translated, RFC 2765
		"::ffff:192.0.2.1":     "0--ffff-192-0-2-1",
		"::192.0.2.1":          "0--c000-201",
		"0:1::":                "0-1--0",
		"0:1:2:3:4:5:6:0":      "0-1-2-3-4-5-6-0",
	} {
		if got := DashedAddress(netip.MustParseAddr(addr)); got != want || !IsLabel(got) {
			t.Errorf("%s: got %s, want the label %s", addr, got, want)
		}
	}
}

// TestNoTwoAddressesShareAHost goes through the addresses in which each group is 0 or 1, where
// the texts differ the least.
func TestNoTwoAddressesShareAHost(t *testing.T) {
	of := map[string]netip.Addr{}
	for groups := range 1 << 8 {
		var bytes [16]byte
		for n := range 8 {
			bytes[2*n+1] = byte(groups >> n & 1)
		}
		addr := netip.AddrFrom16(bytes)
		host := DashedAddress(addr)
		if other, taken := of[host]; taken || !IsLabel(host) {
			t.Errorf("%s: got %q, want a label that is not that of %s", addr, host, other)
		}
		of[host] = addr
	}
}

func TestPreconditionsOfRFC9110(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		p        Precondition
		absent   bool // for no object
		at3      bool // for one of revision 3
	}{
		{"nothing asked", Precondition{}, true, true},
		{"If-Match: *", Precondition{Exists: true}, false, true},
		{"If-None-Match: *", Precondition{Absent: true}, true, false},
		{"If-Match of its revision", Precondition{Revisions: []uint64{1, 3}}, false, true},
		{"If-Match of others", Precondition{Revisions: []uint64{1, 2}}, false, false},
		{"If-Match of nothing that could be a revision", Precondition{Revisions: []uint64{}}, false, false},
		{"If-Match of 0, which nothing has", Precondition{Revisions: []uint64{0}}, false, false},
		{"what cannot be", Precondition{Exists: true, Absent: true}, false, false},
		{"both of If-Match's forms", Precondition{Exists: true, Revisions: []uint64{3}}, false, true},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			if got := tc.p.Met(0, false); got != tc.absent {
				t.Errorf("without an object: got %v, want %v", got, tc.absent)
			}
			if got := tc.p.Met(3, true); got != tc.at3 {
				t.Errorf("of revision 3: got %v, want %v", got, tc.at3)
			}
		})
	}
}

// TestEqualSeesEveryField alters one field at a time, found by reflection: a field that
// is added and that Equal does not know fails here.
func TestEqualSeesEveryField(t *testing.T) {
	t.Run("instance", func(t *testing.T) { everyField(t, (*Instance).Equal) })
	t.Run("definition", func(t *testing.T) { everyField(t, (*Definition).Equal) })
}

func everyField[T any](t *testing.T, equal func(a, b *T) bool) {
	if !equal(new(T), new(T)) {
		t.Error("two zero values are not equal")
	}
	fields := reflect.TypeFor[T]()
	for n := range fields.NumField() {
		a, b := new(T), new(T)
		set(t, reflect.ValueOf(a).Elem().Field(n), 1)
		if equal(a, new(T)) || equal(new(T), a) {
			t.Errorf("%s: set equals not set", fields.Field(n).Name)
		}
		set(t, reflect.ValueOf(b).Elem().Field(n), 1)
		if !equal(a, b) {
			t.Errorf("%s: the same is not equal", fields.Field(n).Name)
		}
		set(t, reflect.ValueOf(b).Elem().Field(n), 2)
		if equal(a, b) && fields.Field(n).Type.Kind() != reflect.Bool {
			t.Errorf("%s: different values are equal", fields.Field(n).Name)
		}
	}
}

// set gives a field a value that differs from its zero value, another for each n.
func set(t *testing.T, v reflect.Value, n int) {
	t.Helper()
	switch v := v.Addr().Interface().(type) {
	case *bool:
		*v = true
	case *string:
		*v = strings.Repeat("x", n)
	case *uint16:
		*v = uint16(n)
	case **uint16:
		w := uint16(n - 1) // a weight of 0 is not the same as none
		*v = &w
	case *Type:
		*v = Type(n)
	case *Status:
		*v = Status(n)
	case *Lease:
		*v = LeaseOf(int32(n - 1)) // nor is a static one the same as not given
	case *[]netip.Addr:
		*v = []netip.Addr{netip.AddrFrom4([4]byte{byte(n)})}
	case *[]Port:
		*v = []Port{{"a", TCP, uint16(n)}}
	case *Metadata:
		*v = Metadata{{"a", strings.Repeat("x", n)}}
	default:
		t.Fatalf("no value for a field of type %T", v)
	}
}

func TestNamesOnTheWireAreReadAsWritten(t *testing.T) {
	for _, name := range Statuses {
		if s, ok := ParseStatus(name); !ok || s.String() != name {
			t.Errorf("status %q: got %v, %v", name, s, ok)
		}
	}
	for _, name := range Types {
		if typ, ok := ParseType(name); !ok || typ.String() != name {
			t.Errorf("type %q: got %v, %v", name, typ, ok)
		}
	}
	for _, name := range []string{"", "UP", "Headless", "x"} {
		if s, ok := ParseStatus(name); ok || s != Unset {
			t.Errorf("status %q: got %v, %v", name, s, ok)
		}
		if _, ok := ParseType(name); ok {
			t.Errorf("type %q: is one", name)
		}
	}
}

func TestInvalidTellsEveryFaultAndWhatItIs(t *testing.T) {
	err := error(&Invalid{Faults: []Fault{
		{Field: "ports[0].port", Message: "is missing"},
		{Change: 1, Message: "no such object", Err: ErrNotFound},
	}})
	for _, want := range []string{"ports[0].port: is missing", "no such object"} {
		if got := err.Error(); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrPrecondition) {
		t.Errorf("%v: want it to be ErrNotFound and nothing else", err)
	}
}

func TestNamesAreOrderedByNamespaceThenService(t *testing.T) {
	ordered := []Name{{"a", "a"}, {"a", "b"}, {"a-b", "a"}, {"ab", "a"}, {"b", ""}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v, %v: got %d, want %d", a, b, got, want)
			}
		}
	}
}
