package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// zone is the zone that the name is in, the innermost, with the case of the question.
func (q query) zone() string {
	longest := 0
	for _, z := range zones {
		if dns.IsSubDomain(z, q.name) {
			longest = max(longest, len(z))
		}
	}
	return q.name[len(q.name)-longest:]
}

// inZones is whether the name is in any of the zones.
func inZones(name string) bool { return query{name: name}.zone() != "" }

// labels are those in front of the zone, in lower case.
func (q query) labels() []string {
	return dns.SplitDomainName(strings.ToLower(strings.TrimSuffix(q.name, q.zone())))
}

// service is the one that the name belongs to, nil if there is none, and below are the labels in front of it.
func (q query) service() (s *service, below []string) {
	if q.inReverseZone() {
		return nil, nil
	}
	labels := q.labels()
	n := len(labels) - 3
	if n < 0 || labels[n+2] != "svc" {
		return nil, nil
	}
	i := slices.IndexFunc(world, func(s service) bool { return s.name == labels[n] && s.namespace == labels[n+1] })
	if i < 0 {
		return nil, nil
	}
	return &world[i], labels[:n]
}

func (q query) inReverseZone() bool { return dns.IsSubDomain("arpa.", q.name) }

func (q query) isApex() bool { return len(q.labels()) == 0 }

func (q query) isNameServer() bool { return slices.Equal(q.labels(), []string{"ns", "dns"}) }

func (q query) isVersion() bool {
	return slices.Equal(q.labels(), []string{"dns-version"}) && !q.inReverseZone()
}

// isAddressOfExternalName is whether an address is asked of a service that is another name.
func (q query) isAddressOfExternalName() bool {
	s, below := q.service()
	return s != nil && s.externalName != "" && len(below) == 0 && (q.qtype == dns.TypeA || q.qtype == dns.TypeAAAA)
}

// isPartOfReverseName is whether the name is that of an address without its last octets or nibbles.
func (q query) isPartOfReverseName() bool {
	name := strings.ToLower(q.name)
	root, whole, base, bits := "in-addr.arpa.", 4, 10, 8
	if dns.IsSubDomain("ip6.arpa.", name) {
		root, whole, base, bits = "ip6.arpa.", 32, 16, 4
	}
	if !dns.IsSubDomain(root, name) {
		return false
	}
	labels := dns.SplitDomainName(strings.TrimSuffix(name, root))
	for _, label := range labels {
		n, err := strconv.ParseUint(label, base, bits)
		if err != nil || strconv.FormatUint(n, base) != label {
			return false
		}
	}
	return len(labels) < whole
}

// exists is whether the contract has the name exist: it has records, of an instance that is answered or of a
// service, or a name below it has.
func exists(name string) bool { return existing()[strings.ToLower(name)] }

var existing = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	add := func(name string) {
		for ; name != "." && name != "arpa." && name != "local."; name = parent(name) {
			all[name] = true
		}
	}
	for _, z := range zones {
		add("ns.dns." + z)
	}
	add("dns-version." + zone)
	add("svc." + zone)
	add("pod." + zone) // empty, but part of the schema
	for _, s := range world {
		add(s.fqdn())
		for _, address := range s.clusterIPs {
			add(reverse(address))
		}
		named := s.ports
		for _, i := range s.instances {
			named = append(named, s.portsOf(i)...)
			if !s.up(i) {
				continue
			}
			for _, host := range s.hosts(i) {
				add(host)
			}
			for _, address := range i.addresses {
				add(reverse(address))
			}
		}
		for _, p := range named {
			if p.name != "" {
				add("_" + p.name + "._" + p.protocol + "." + s.fqdn())
			}
		}
	}
	for name := range maps.Clone(all) {
		if before, ok := strings.CutSuffix(name, zone); ok && !dns.IsSubDomain(inner, name) {
			add(before + inner)
		}
	}
	return all
})

// record is one in the form of a zone file.
func record(format string, args ...any) dns.RR {
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		panic(err)
	}
	return rr
}
