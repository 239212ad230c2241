package table

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Instances differ in little: what they say alike is in memory once, those of one service and
// of others, and nothing is of the request that it came in.
func TestInstancesShareWhatTheySayAlike(t *testing.T) {
	request := strings.Repeat("prod web web-1 ", 100)
	adminOf := func(id string) uint16 {
		if id == "web-3" {
			return 91
		}
		return 90
	}
	made := func(name, id string) *Instance {
		return static(service.ID{
			Name: service.Name{Namespace: request[:4], Service: name},
			ID:   strings.Clone(id),
		}, service.Instance{
			Hostname: strings.Clone(id),
			Ports:    []service.Port{{Name: "http", Protocol: service.TCP, Number: 80}, {Name: "admin", Protocol: service.TCP, Number: adminOf(id)}},
			Metadata: service.Metadata{{Key: "version", Value: "1"}},
			Zone:     strings.Clone("eu-west"),
			Owner:    strings.Clone("team"),
		})
	}
	first := made(request[5:8], "web-1")
	first.id = request[9:14]

	var b Builder
	d := Empty(1).Edit()
	for _, i := range []*Instance{first, made("web", "web-2"), made("web", "web-0"), made("db", "web-0"), made("web", "web-3"), made("web", "web-1")} {
		d.Put(i)
	}
	for _, i := range []*Instance{made("db", "web-0"), made("web", "web-1"), made("web", "web-2"), made("web", "web-0"), made("web", "web-3")} {
		b.Put(i)
	}
	drafted, _ := d.Done()
	name := service.Name{Namespace: "prod", Service: "web"}
	for made, s := range map[string]*Snapshot{"drafted": drafted, "built": b.Done(1)} {
		view := s.Service(name)
		if unsafe.StringData(view.Service) != (*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(view.Namespace)), 4)) {
			t.Errorf("%s: the two parts of the name lie apart", made)
		}
		is := s.Instance(service.ID{Name: name, ID: "web-1"})
		for i := range s.Instances() {
			same := map[string]bool{
				"traits":   i.traits == is.traits,
				"metadata": &i.Metadata[0] == &is.Metadata[0],
				"zone":     unsafe.StringData(i.Zone) == unsafe.StringData(is.Zone),
				"owner":    unsafe.StringData(i.Owner) == unsafe.StringData(is.Owner),
			}
			for what, got := range same {
				if want := what != "traits" || i.id != "web-3"; got != want {
					t.Errorf("%s, %s: shares its %s: %v, want %v", made, i.id, what, got, want)
				}
			}
			if got, want := i.Ports[1].Number, adminOf(i.id); got != want {
				t.Errorf("%s, %s: got port %d, want %d", made, i.id, got, want)
			}
			for _, s := range []string{i.id, i.name.Namespace, i.name.Service} {
				at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(request)))
				if at < uintptr(len(request)) {
					t.Errorf("%s, %s: %q is a part of the request", made, i.id, s)
				}
			}
			if unsafe.StringData(i.Hostname) != unsafe.StringData(i.id) {
				t.Errorf("%s, %s: the hostname, which is the id, is another string", made, i.id)
			}
		}
	}
}

func TestNewInstanceIsWhatItWasMadeOf(t *testing.T) {
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	id := service.ID{Name: service.Name{Namespace: "prod", Service: "web"}, ID: "web-1"}
	for _, tc := range []struct {
		sentence   string
		addresses  []netip.Addr
		seconds    int32
		registered time.Time
	}{
		{"leased, with one address", []netip.Addr{one}, 30, time.Date(2026, 11, 22, 1, 2, 3, 456_789_000, time.UTC)},
		{"with two", []netip.Addr{one, other}, 30, time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{"static", []netip.Addr{other}, 0, time.Unix(-1, 1000)},
		{"static, with two", []netip.Addr{other, one}, 0, time.Time{}},
	} {
		of := service.Instance{Addresses: tc.addresses, Lease: service.LeaseOf(tc.seconds), Status: service.Up}
		i := NewInstance(id, of, tc.registered, lease.Time(7*time.Second))
		if i.ID() != id || !i.Says(&of) || !slices.Equal(i.Addresses, tc.addresses) {
			t.Errorf("%s: got %+v, want %+v", tc.sentence, i, of)
		}
		if got := i.RegisteredAt(); !got.Equal(tc.registered) || got.IsZero() != tc.registered.IsZero() || got.Location() != time.UTC {
			t.Errorf("%s: registered at %s, want %s", tc.sentence, got, tc.registered)
		}
		if i.Lease() != nil {
			t.Errorf("%s: it has a lease and is in no table", tc.sentence)
		}
		d := Empty(1).Edit()
		d.Put(i)
		s, _ := d.Done()
		is := s.Instance(id)
		if told(is) != told(i) || is.Lease() != i.Lease() {
			t.Errorf("%s: put there as %s, got %s", tc.sentence, told(i), told(is))
		}
		until, leased := is.Lease().Deadline()
		if want := lease.Time(37 * time.Second); leased != (tc.seconds > 0) || leased && (until != want) {
			t.Errorf("%s: leased %v until %d, want %d", tc.sentence, leased, until, want)
		}
		s.Leases().Add(is.Lease())
		if due := s.Leases().Due(until, lease.Rule{Percent: 100}); (len(due) == 1) != leased || leased && s.leased(due)[0].ID() != id {
			t.Errorf("%s: %d leases ended", tc.sentence, len(due))
		}
	}
}

// A copy of what is published has the same traits: to find others that say a part of it
// changes the copy's alone.
func TestPuttingACopyChangesNothingPublished(t *testing.T) {
	name := service.Name{Namespace: "prod", Service: "web"}
	put := func(s *Snapshot, i *Instance) *Snapshot {
		d := s.Edit()
		d.Put(i)
		s, _ = d.Done()
		return s
	}
	at := func(id string) service.ID { return service.ID{Name: name, ID: id} }
	was := static(at("web-2"), service.Instance{Zone: strings.Clone("eu-west"), Owner: "a", Status: service.Up})
	alone := put(Empty(1), was)
	traits, own := was.traits, *was.traits

	d := alone.Edit()
	d.Remove(was.ID())
	gone, _ := d.Done()
	other := static(at("web-1"), service.Instance{Zone: strings.Clone("eu-west"), Owner: "b", Status: service.Up})
	is := *was
	is.Status = service.Down
	s := put(put(gone, other), &is)
	if unsafe.StringData(is.Zone) != unsafe.StringData(traits.Zone) {
		t.Error("the copy shares nothing with what was there")
	}
	if was.traits != traits || unsafe.StringData(traits.Zone) != unsafe.StringData(own.Zone) {
		t.Error("the instance that was published has changed")
	}
	if got := s.Instance(at("web-2")); got.Owner != "a" || got.Zone != "eu-west" || got.Status != service.Down || was.Status != service.Up {
		t.Errorf("got %+v", got.Said())
	}
}

// A view of one instance has its lease: what ends it in the table ends it there.
func TestAloneIsAViewOfOneInstance(t *testing.T) {
	name := service.Name{Namespace: "prod", Service: "web"}
	d := Empty(1).Edit()
	for _, id := range []string{"a", "b", "c"} {
		is := service.Instance{Status: service.Up, Hostname: id, Lease: service.LeaseOf(30), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		d.Put(NewInstance(service.ID{Name: name, ID: id}, is, time.Time{}, 0))
	}
	s, _ := d.Done()
	of := s.Service(name)
	def := &service.Definition{PublishNotReady: true}
	alone := of.Alone(of.At(1), def)
	if alone.Len() != 1 || alone.Name != name || alone.Definition != def || of.Len() != 3 || of.Definition != nil {
		t.Fatalf("got %+v of %+v", alone, of)
	}
	got, want := alone.At(0), of.At(1)
	said := want.Said()
	if got.ID() != want.ID() || got.Lease() != want.Lease() || !got.Says(&said) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
