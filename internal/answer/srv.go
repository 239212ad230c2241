package answer

import (
	"fmt"
	"net/netip"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// srvBuilder gathers SRV records. Those that set no weight share 100 among the records
// of an answer, so it is known only at the end.
type srvBuilder struct {
	builder
	most   int
	hosts  map[string]*hostBuilder
	shares []*dns.SRV
}

// hostBuilder gathers the addresses of a host: instances that share it, share them.
type hostBuilder struct {
	host
	builder
}

func anyPort(service.Port) bool { return true }

// addInstance adds the records of an instance's wanted ports at one of its hosts.
func (b *srvBuilder) addInstance(target string, addrs []netip.Addr, i *table.Instance, want func(service.Port) bool) {
	h := b.host(target)
	for _, addr := range addrs {
		h.addAddress(target, addr, i)
	}
	for _, p := range i.Ports {
		if !want(p) {
			continue
		}
		srv := b.addSRV(target, p, leased(i))
		srv.Priority = i.Priority
		if i.Weight == nil {
			b.shares = append(b.shares, srv)
		} else {
			srv.Weight = *i.Weight
		}
	}
}

// addService adds a record for each wanted port of a service that has cluster IPs: its
// own name is the target.
func (b *srvBuilder) addService(s asked, want func(service.Port) bool) {
	target := s.name("")
	h := b.host(target)
	for _, addr := range s.view.Definition.ClusterIPs {
		h.add(addr.String(), addressRecord(target, addr))
	}
	for _, p := range s.view.Definition.Ports {
		if want(p) {
			b.begin()
			b.shares = append(b.shares, b.addSRV(target, p, record{}))
		}
	}
}

func (b *srvBuilder) addSRV(target string, p service.Port, r record) *dns.SRV {
	srv := &dns.SRV{Hdr: header("", dns.TypeSRV), Port: p.Number, Target: target}
	r.rr, r.host = srv, &b.host(target).host
	b.add(fmt.Sprint(p.Number, " ", target), r)
	return srv
}

func (b *srvBuilder) host(target string) *hostBuilder {
	h := b.hosts[target]
	if h == nil {
		if b.hosts == nil {
			b.hosts = make(map[string]*hostBuilder)
		}
		h = &hostBuilder{host: host{number: len(b.hosts)}}
		b.hosts[target] = h
	}
	return h
}

func (b *srvBuilder) set() *set {
	for _, h := range b.hosts {
		h.glue = h.records
		h.builder = builder{} // what gathered them is not kept with the set
	}
	s := b.builder.set()
	n := len(s.records)
	if b.most > 0 {
		n = min(n, b.most)
	}
	for _, srv := range b.shares {
		srv.Weight = uint16(max(100/n, 1))
	}
	return s
}
