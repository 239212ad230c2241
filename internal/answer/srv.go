package answer

import (
	"fmt"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// longestName is the most characters of a name with its dot at the end: its 255 bytes in
// a message (RFC 1035, section 3.1) are one more. Longer ones make a message that nobody
// can read, so their records are left out.
const longestName = 254

// targets returns what SRV records of the service may point to, by full name, with all
// the addresses that each leads to: instances that share a host share them.
func (s asked) targets() map[string]*host {
	return *s.glue.get(func() *map[string]*host {
		builders := make(map[string]*builder)
		at := func(target string) *builder {
			if builders[target] == nil {
				builders[target] = &builder{}
			}
			return builders[target]
		}
		if s.view.Type() == service.ClusterIP {
			target := s.name("")
			for _, addr := range s.view.Definition.ClusterIPs {
				at(target).add(addr.String(), addressRecord(target, addr))
			}
		}
		for i := range s.instances {
			for label, addrs := range i.Hosts {
				target := s.name(label)
				for _, addr := range addrs {
					at(target).addAddress(target, addr, i)
				}
			}
		}
		hosts := make(map[string]*host, len(builders))
		for target, b := range builders {
			hosts[target] = newHost(target, len(hosts), b.records)
		}
		return &hosts
	})
}

// srvBuilder gathers SRV records. Those that set no weight share 100 among the records
// of an answer, so it is known only at the end.
type srvBuilder struct {
	builder
	service asked
	shares  []*dns.SRV
}

// addInstance adds the records of some of an instance's ports.
func (b *srvBuilder) addInstance(label string, i *table.Instance, ports []service.Port) {
	for _, p := range ports {
		srv := b.addPort(b.service.name(label), p, leased(i))
		srv.Priority = i.Priority
		if i.Weight == nil {
			b.shares = append(b.shares, srv)
		} else {
			srv.Weight = *i.Weight
		}
	}
}

// addService adds the records of some ports of a service that has cluster IPs: its own
// name is the target.
func (b *srvBuilder) addService(ports []service.Port) {
	for _, p := range ports {
		b.begin()
		b.shares = append(b.shares, b.addPort(b.service.name(""), p, record{}))
	}
}

func (b *srvBuilder) addPort(target string, p service.Port, r record) *dns.SRV {
	srv := &dns.SRV{Hdr: header("", dns.TypeSRV), Port: p.Number, Target: target}
	if len(target) <= longestName {
		r.rr, r.host = srv, b.service.targets()[target]
		srv.Target = r.host.name // there are many records, and of the name only this one need be kept
		b.add(fmt.Sprint(p.Number, " ", target), r)
	}
	return srv
}

func (b *srvBuilder) set() *set {
	n := len(b.records)
	if most := b.service.zone.most; most > 0 {
		n = min(n, most)
	}
	for _, srv := range b.shares {
		srv.Weight = uint16(max(100/max(n, 1), 1))
	}
	return b.builder.set()
}
