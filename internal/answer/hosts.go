package answer

import (
	"net/netip"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// hostSets are the records of one host of a service.
type hostSets struct {
	instances []numbered // that share the host

	v4, v6, srv, txt lazy[set]
}

// numbered is an instance with its number among those of its service.
type numbered struct {
	number int
	*table.Instance
}

// hosts returns the hosts of the service by their label.
func (s *sets) hosts() map[string]*hostSets {
	return *s.labels.get(func() *map[string]*hostSets {
		labels := make(map[string]*hostSets)
		for n, i := range s.instances {
			for label := range i.Hosts {
				h := labels[label]
				if h == nil {
					h = &hostSets{}
					labels[label] = h
				}
				h.instances = append(h.instances, numbered{n, i})
			}
		}
		return &labels
	})
}

// host returns the set of a host's name, nil for a type that hosts never have.
func (s *sets) host(h *hostSets, label string, qtype uint16) *set {
	switch qtype {
	case dns.TypeA:
		return h.v4.get(func() *set { return s.hostAddresses(h, label, netip.Addr.Is4) })
	case dns.TypeAAAA:
		return h.v6.get(func() *set { return s.hostAddresses(h, label, netip.Addr.Is6) })
	case dns.TypeSRV:
		return h.srv.get(func() *set { return s.hostServices(h, label) })
	case dns.TypeTXT:
		return h.txt.get(func() *set { return s.hostTexts(h) })
	}
	return nil
}

// each yields the instances of the host with their numbers.
func (h *hostSets) each(yield func(int, *table.Instance) bool) {
	for _, i := range h.instances {
		if !yield(i.number, i.Instance) {
			return
		}
	}
}

func (s *sets) hostAddresses(h *hostSets, label string, family func(netip.Addr) bool) *set {
	b := s.builder()
	for n, i := range h.each {
		for l, addrs := range i.Hosts {
			if l == label {
				b.addFamily(addrs, family, n)
			}
		}
	}
	return b.set()
}

func (s *sets) hostServices(h *hostSets, label string) *set {
	b := s.newSRVBuilder(s.targets(h.each))
	for n, i := range h.each {
		b.begin()
		b.addInstance(label, n, i, i.Ports)
	}
	return b.set()
}

// hostTexts returns the metadata, a TXT record for each instance (RFC 6763, section 6).
func (s *sets) hostTexts(h *hostSets) *set {
	b := s.builder()
	for n, i := range h.each {
		var data []byte
		for _, pair := range i.Metadata {
			data = appendText(data, pair.Key+"="+pair.Value)
		}
		if data != nil {
			b.begin()
			b.addData(dns.TypeTXT, data, n)
		}
	}
	return b.set()
}

// appendText appends a string of a TXT record (RFC 1035, section 3.3.14). Metadata that is
// longer than one can be is not registered.
func appendText(data []byte, text string) []byte {
	text = text[:min(len(text), 255)]
	return append(append(data, byte(len(text))), text...)
}
