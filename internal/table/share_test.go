package table

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/coredns-registry/registry/service"
)

// A service's instances differ in little: what they say alike is in memory once, and
// nothing is of the request that it came in.
func TestInstancesShareWhatTheySayAlike(t *testing.T) {
	request := strings.Repeat("prod web web-1 ", 100)
	portOf := func(id string) uint16 {
		if id == "web-3" {
			return 81
		}
		return 80
	}
	made := func(id string) *Instance {
		i := &Instance{ID: service.ID{
			Name: service.Name{Namespace: request[:4], Service: request[5:8]},
			ID:   strings.Clone(id),
		}}
		i.Hostname = strings.Clone(id)
		i.Ports = []service.Port{{Name: "http", Protocol: service.TCP, Number: portOf(id)}}
		i.Metadata = service.Metadata{{Key: "version", Value: "1"}}
		i.Zone, i.Owner = strings.Clone("eu-west"), strings.Clone("team")
		return i
	}
	first := made("web-1")
	first.ID.ID = request[9:14]

	var b Builder
	d := Empty(1).Edit()
	for _, i := range []*Instance{first, made("web-2"), made("web-0"), made("web-3"), made("web-1")} {
		d.Put(i)
	}
	for _, id := range []string{"web-1", "web-2", "web-0", "web-3"} {
		b.Put(made(id))
	}
	drafted, _ := d.Done()
	name := service.Name{Namespace: "prod", Service: "web"}
	for made, s := range map[string]*Snapshot{"drafted": drafted, "built": b.Done(1)} {
		view := s.Service(name)
		if unsafe.StringData(view.Service) != (*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(view.Namespace)), 4)) {
			t.Errorf("%s: the two parts of the name lie apart", made)
		}
		is := s.Instance(service.ID{Name: name, ID: "web-1"})
		for i := range s.InstancesOf(name) {
			same := map[string]bool{
				"namespace": unsafe.StringData(i.Namespace) == unsafe.StringData(view.Namespace),
				"ports":     &i.Ports[0] == &is.Ports[0],
				"metadata":  &i.Metadata[0] == &is.Metadata[0],
				"zone":      unsafe.StringData(i.Zone) == unsafe.StringData(is.Zone),
				"owner":     unsafe.StringData(i.Owner) == unsafe.StringData(is.Owner),
			}
			for what, got := range same {
				if want := what != "ports" || i.ID.ID != "web-3"; got != want {
					t.Errorf("%s, %s: shares its %s: %v, want %v", made, i.ID.ID, what, got, want)
				}
			}
			if got, want := i.Ports[0].Number, portOf(i.ID.ID); got != want {
				t.Errorf("%s, %s: got port %d, want %d", made, i.ID.ID, got, want)
			}
			for _, s := range []string{i.ID.ID, i.Namespace, i.Service} {
				at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(request)))
				if at < uintptr(len(request)) {
					t.Errorf("%s, %s: %q is a part of the request", made, i.ID.ID, s)
				}
			}
		}
		if made == "drafted" && unsafe.StringData(is.Hostname) != unsafe.StringData(is.ID.ID) {
			t.Errorf("%s: the hostname, which is the id, is another string", made)
		}
	}
}
