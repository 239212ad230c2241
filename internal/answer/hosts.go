package answer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// hosts are labels below a service, in order, with the numbers of the instances that they
// lead to. Their records are made anew each time: mostly a host is one instance.
type hosts []host

type host struct {
	label  string
	number int
}

// hosts returns all hosts of the service.
func (s *sets) hosts() hosts {
	return *s.labels.get(func() *hosts {
		all := make(hosts, 0, s.view.Len())
		n := 0
		for i := range s.view.Instances {
			if s.view.Answers(i) {
				for label := range i.Hosts {
					all = append(all, host{label, n})
				}
			}
			n++
		}
		slices.SortFunc(all, func(a, b host) int {
			return cmp.Or(strings.Compare(a.label, b.label), cmp.Compare(a.number, b.number))
		})
		all = slices.Compact(all)
		return &all
	})
}

// at returns those of one label.
func (h hosts) at(label string) hosts {
	from, _ := slices.BinarySearchFunc(h, label, func(h host, label string) int {
		return strings.Compare(h.label, label)
	})
	to := from
	for to < len(h) && h[to].label == label {
		to++
	}
	return h[from:to]
}

// host returns the records of one host, which is all of one label; nil for a type that hosts
// never have.
func (s *sets) host(h hosts, qtype uint16) *set {
	if len(h) == 1 {
		if lone := loneHost(s.view, s.view.At(h[0].number), qtype); lone != nil {
			return lone
		}
	}
	switch qtype {
	case dns.TypeA:
		return s.hostAddresses(h, netip.Addr.Is4)
	case dns.TypeAAAA:
		return s.hostAddresses(h, netip.Addr.Is6)
	case dns.TypeSRV:
		return s.hostServices(h)
	case dns.TypeTXT:
		return s.hostTexts(h)
	}
	return nil
}

// loneHost returns the record of a host that is one instance, put together at once; nil where
// there is not just one of the type, or it leads to more.
func loneHost(view *table.View, i *table.Instance, qtype uint16) *set {
	one := len(i.Addresses) == 1
	switch {
	case qtype == dns.TypeA && one && i.Addresses[0].Is4():
		lone, addr := new(lone), i.Addresses[0].As4()
		return lone.finish(append(lone.room[:loneData], addr[:]...), qtype, i.Lease(), view.Leases())
	case qtype == dns.TypeAAAA && one && i.Addresses[0].Is6():
		lone, addr := new(lone), i.Addresses[0].As16()
		return lone.finish(append(lone.room[:loneData], addr[:]...), qtype, i.Lease(), view.Leases())
	case qtype == dns.TypeTXT && len(i.Metadata) > 0:
		lone := new(lone)
		return lone.finish(appendMetadata(lone.room[:loneData], i), qtype, i.Lease(), view.Leases())
	}
	return nil
}

// sharing yields the instances that share a host.
func (s *sets) sharing(h hosts) func(yield func(*table.Instance) bool) {
	return func(yield func(*table.Instance) bool) {
		for _, h := range h {
			if !yield(s.view.At(h.number)) {
				return
			}
		}
	}
}

func (s *sets) hostAddresses(h hosts, family func(netip.Addr) bool) *set {
	b := s.builder()
	for i := range s.sharing(h) {
		for label, addrs := range i.Hosts {
			if label == h[0].label {
				b.addFamily(addrs, family, i.Lease().Number())
			}
		}
	}
	return b.set()
}

func (s *sets) hostServices(h hosts) *set {
	b := s.newSRVBuilder(s.targets(s.sharing(h)))
	for i := range s.sharing(h) {
		b.begin()
		b.addInstance(h[0].label, i, i.Ports)
	}
	return b.set()
}

// hostTexts returns the metadata, a TXT record for each instance (RFC 6763, section 6).
func (s *sets) hostTexts(h hosts) *set {
	b := s.builder()
	for i := range s.sharing(h) {
		if data := appendMetadata(nil, i); data != nil {
			b.begin()
			b.addData(dns.TypeTXT, data, i.Lease().Number())
		}
	}
	return b.set()
}

// appendMetadata appends the strings of a TXT record that say an instance's metadata.
func appendMetadata(data []byte, i *table.Instance) []byte {
	for _, pair := range i.Metadata {
		data = appendText(data, pair.Key, "=", pair.Value)
	}
	return data
}

// appendText appends a string of a TXT record (RFC 1035, section 3.3.14), of 255 bytes at the
// most. Metadata that is longer is not registered.
func appendText(data []byte, parts ...string) []byte {
	at := len(data)
	data = append(data, 0)
	for _, part := range parts {
		data = append(data, part...)
	}
	n := min(len(data)-at-1, 255)
	data[at] = byte(n)
	return data[:at+1+n]
}
