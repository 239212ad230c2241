package table

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Readers do not see what has expired, whatever they ask for, and though it is still in the
// snapshot. They see it until then.
func TestReadersDoNotSeeWhatHasExpired(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		expired  []string // of n/s/a, n/s/b, n/t/a, m/s/a, all leased, and n/d, which is defined and has an instance
		want     string
	}{
		{"nothing has", nil, "m/s:a n/d:a n/s:a,b n/t:a; m 1 1, n 3 4"},
		{"one of two", []string{"n/s/a"}, "m/s:a n/d:a n/s:b n/t:a; m 1 1, n 3 3"},
		{"both", []string{"n/s/a", "n/s/b"}, "m/s:a n/d:a n/t:a; m 1 1, n 2 2"},
		{"all of a namespace", []string{"m/s/a"}, "n/d:a n/s:a,b n/t:a; n 3 4"},
		{"all of a service that is defined", []string{"n/d/a"}, "m/s:a n/d: n/s:a,b n/t:a; m 1 1, n 3 3"},
		{"everything", []string{"n/s/a", "n/s/b", "n/t/a", "m/s/a", "n/d/a"}, "n/d:; n 1 0"},
	} {
		d := Empty(0).Edit()
		d.Define(service.Name{Namespace: "n", Service: "d"}, &service.Definition{})
		var ids []service.ID
		for _, text := range []string{"n/s/a", "n/s/b", "n/t/a", "m/s/a", "n/d/a"} {
			id := idOf(text)
			ids = append(ids, id)
			d.Put(NewInstance(id, service.Instance{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Status: service.Up, Lease: service.LeaseOf(30)}, noon, 0))
		}
		s, _ := d.Done()
		gone := make(map[service.ID]bool)
		for _, text := range tc.expired {
			gone[idOf(text)] = true
		}
		for _, id := range ids {
			if l := s.Instance(id).Lease(); gone[id] {
				s.Leases().Add(l)
			}
		}
		s.Leases().Due(lease.Time(time.Hour), lease.Rule{Percent: 100})
		if got := seen(s); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.sentence, got, tc.want)
		}
		for _, id := range ids {
			i := s.Instance(id)
			_, ok := s.LeaseInfo(id)
			if (i == nil) != gone[id] || ok == gone[id] {
				t.Errorf("%s: %s is there: %v, %v", tc.sentence, id, i != nil, ok)
			}
		}
		for _, namespace := range []string{"m", "n"} {
			if got, want := s.HasNamespace(namespace), strings.Contains(tc.want, namespace+" "); got != want {
				t.Errorf("%s: namespace %s is there: %v", tc.sentence, namespace, got)
			}
		}
		// The writer removes what readers do not see, and then it is gone from everywhere.
		d = s.Edit()
		for _, i := range d.Leased(s.Leases().Expired()) {
			d.Remove(i.ID())
			s.Leases().Drop(i.Lease(), 0)
		}
		next, _ := d.Done()
		if got := seen(next); got != tc.want || next.Leases().AnyExpired() {
			t.Errorf("%s, and removed: got %s, want %s", tc.sentence, got, tc.want)
		}
	}
}

func idOf(text string) service.ID {
	parts := strings.Split(text, "/")
	return service.ID{Name: service.Name{Namespace: parts[0], Service: parts[1]}, ID: parts[2]}
}

// seen writes down the services with their instances, and the namespaces with their counts.
func seen(s *Snapshot) string {
	var services, namespaces []string
	for v := range s.Services(service.Name{}) {
		var ids []string
		for i := range v.Instances {
			ids = append(ids, i.ID().ID)
		}
		if v.Count() != len(ids) {
			ids = append(ids, fmt.Sprintf("and %d are counted", v.Count()))
		}
		services = append(services, v.Namespace+"/"+v.Service+":"+strings.Join(ids, ","))
	}
	for n := range s.Namespaces("") {
		namespaces = append(namespaces, fmt.Sprintf("%s %d %d", n.Name, n.Services, n.Instances()))
	}
	return strings.Join(services, " ") + "; " + strings.Join(namespaces, ", ")
}
