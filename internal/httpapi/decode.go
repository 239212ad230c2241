package httpapi

import (
	"math"
	"net/netip"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// The fields of each object that a client may send. Those of an answer may come back in
// a PUT and are ignored, so that GET, change, PUT works.
var (
	instanceFields = fields{
		read: []string{"addresses", "ports", "hostname", "weight", "priority", "zone", "metadata",
			"leaseSeconds", "status"},
		ignored: []string{"namespace", "service", "id", "revision", "registeredAt", "expiresAt", "names"},
	}
	definitionFields = fields{
		read:    []string{"type", "clusterIPs", "externalName", "ports", "publishNotReady", "metadata"},
		ignored: []string{"namespace", "service", "revision", "defined", "instanceCount", "instances"},
	}
	portFields   = fields{read: []string{"name", "protocol", "port"}}
	statusFields = fields{read: []string{"status"}}
)

// instance reads an instance. What is not allowed whatever the table holds is left to
// service.Change.Check, save for what could not be told apart once it is decoded.
func (w *walker) instance() *service.Instance { return w.instanceOf(&instanceFields, nil) }

// instanceOf reads an instance that has these fields. Those that are not an instance's
// own are left to other, which must read their values.
func (w *walker) instanceOf(f *fields, other func(name string)) *service.Instance {
	i := new(service.Instance)
	ok := w.object(f, func(name string) {
		switch name {
		case "addresses":
			i.Addresses = w.addresses()
		case "ports":
			i.Ports = w.ports()
		case "hostname":
			i.Hostname, _ = w.text()
		case "weight":
			if n, ok := w.integer(0, math.MaxUint16); ok {
				weight := uint16(n)
				i.Weight = &weight
			}
		case "priority":
			n, _ := w.integer(0, math.MaxUint16)
			i.Priority = uint16(n)
		case "zone":
			i.Zone, _ = w.text()
		case "metadata":
			i.Metadata = w.metadata()
		case "leaseSeconds":
			if n, ok := w.integer(0, math.MaxInt32); ok {
				i.Lease = service.LeaseOf(int32(n))
			}
		case "status":
			i.Status = w.status()
		default:
			other(name)
		}
	})
	if !ok {
		return nil
	}
	return i
}

// definition reads the definition of a service.
func (w *walker) definition() *service.Definition { return w.definitionOf(&definitionFields, nil) }

// definitionOf is to a definition what instanceOf is to an instance.
func (w *walker) definitionOf(f *fields, other func(name string)) *service.Definition {
	d := new(service.Definition)
	typed := true
	ok := w.object(f, func(name string) {
		switch name {
		case "type":
			d.Type, typed = w.serviceType()
		case "clusterIPs":
			d.ClusterIPs = w.addresses()
		case "externalName":
			d.ExternalName, _ = w.text()
		case "ports":
			d.Ports = w.ports()
		case "publishNotReady":
			d.PublishNotReady = w.boolean()
		case "metadata":
			d.Metadata = w.metadata()
		default:
			other(name)
		}
	})
	switch {
	case !ok:
		return nil
	case !typed:
		d.Type = likelyType(d)
	}
	return d
}

// likelyType returns the type that a definition whose type is at fault would have, so
// that no second fault says that its other fields do not belong to a type it never had.
func likelyType(d *service.Definition) service.Type {
	switch {
	case len(d.ClusterIPs) > 0:
		return service.ClusterIP
	case d.ExternalName != "":
		return service.ExternalName
	}
	return service.Headless
}

// status reads the name of a status.
func (w *walker) status() service.Status {
	name, ok := w.text()
	if !ok {
		return service.Unset
	}
	status, ok := service.ParseStatus(name)
	if !ok {
		w.note("%q is no status: it is one of %s", name, strings.Join(service.Statuses, ", "))
		return service.Unset
	}
	return status
}

func (w *walker) serviceType() (service.Type, bool) {
	name, ok := w.text()
	if !ok {
		return 0, false
	}
	t, ok := service.ParseType(name)
	if !ok {
		w.note("%q is no type: it is one of %s", name, strings.Join(service.Types, ", "))
	}
	return t, ok
}

// addresses reads a list of IP addresses. Where an element is none it leaves the zero
// address, so that the places of the others stay what they are.
func (w *walker) addresses() []netip.Addr {
	var addrs []netip.Addr
	n := 0
	w.list(func(i int) {
		if n = i + 1; i >= service.MaxAddresses {
			w.skip() // one fault says it all
			return
		}
		s, ok := w.text()
		addr, err := netip.ParseAddr(s)
		if ok && err != nil {
			w.note("%q is no IP address", s)
		}
		addrs = append(addrs, addr)
	})
	if n > service.MaxAddresses {
		w.note("has %d addresses: at most %d are allowed", n, service.MaxAddresses)
	}
	return addrs
}

// ports reads a list of ports.
func (w *walker) ports() []service.Port {
	ports := w.lists.ports.begin()
	w.list(func(int) {
		p := service.Port{Protocol: service.TCP}
		ok := w.object(&portFields, func(name string) {
			switch name {
			case "name":
				p.Name, _ = w.text()
			case "protocol":
				s, _ := w.text()
				p.Protocol = protocol(s)
			case "port":
				n, _ := w.integer(1, math.MaxUint16)
				p.Number = uint16(n)
			}
		})
		if !ok {
			p.Number = 1 // it stands for the element at fault, which is enough of a fault
		}
		ports = append(ports, p)
	})
	return w.lists.ports.of(ports)
}

// protocol returns the protocol of that name, with the string that all the others of it
// share; what is no protocol stays as it is, for Check to name.
func protocol(s string) service.Protocol {
	switch s {
	case string(service.TCP):
		return service.TCP
	case string(service.UDP):
		return service.UDP
	case string(service.SCTP):
		return service.SCTP
	}
	return service.Protocol(s)
}

func (w *walker) metadata() service.Metadata {
	m := service.Metadata(w.lists.metadata.begin())
	w.pairs(func(key, value string) { m = append(m, service.Pair{Key: key, Value: value}) })
	m.Sort()
	return w.lists.metadata.of(m)
}
