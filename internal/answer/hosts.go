package answer

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// hosts are labels below a service, in order, with the numbers of the instances that they
// lead to.
type hosts []host

type host struct {
	label  string
	number int32
}

// hosts returns all hosts of the service.
func (s *sets) hosts() hosts {
	return *s.labels.get(&s.building, func() *hosts {
		all := make(hosts, 0, s.view.Len())
		n := int32(0)
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
	n, _ := slices.BinarySearchFunc(h[from:], label, func(h host, label string) int {
		return cmp.Or(strings.Compare(h.label, label), -1) // the first that comes after it
	})
	return h[from : from+n]
}

// members returns the instances that a host leads to, which is all of one label.
func (h hosts) members() members {
	numbers := make([]int32, len(h))
	for n := range h {
		numbers[n] = h[n].number
	}
	return members{numbers: numbers}
}

// fewSharers is how many instances share a host whose records are made anew each time: they cost
// little, and would be many.
const fewSharers = 4

// host returns the records of one host, which is all of one label; nil for a type that hosts
// never have.
func (s *sets) host(h hosts, t *recordType) *set {
	if t.host == nil {
		return nil
	}
	if len(h) == 1 && t.single != nil {
		if lone := loneHost(s.view, s.view.At(int(h[0].number)), t); lone != nil {
			return lone
		}
	}
	if len(h) > fewSharers && !s.zone.whole {
		return s.get(h[0].label, t.qtype, func(anywhere bool) gathered { return t.host(s, h, anywhere) })
	}
	made := new(set)
	t.host(s, h, false).fill(made)
	return made
}

// loneHost returns the record of a host that is one instance, put together at once; nil where
// there is not just one of the type.
func loneHost(view *table.View, i *table.Instance, t *recordType) *set {
	lone := new(lone)
	b := t.single(lone.room[:loneData], i)
	if len(b) == loneData {
		return nil
	}
	return lone.finish(b, t.qtype, i.Lease(), view.Leases())
}

func (s *sets) hostAddresses(h hosts, family func(netip.Addr) bool, anywhere bool) *builder {
	b := s.builder()
	for i := range s.some(h.members(), anywhere) {
		for label, addrs := range i.Hosts {
			if label == h[0].label {
				b.addFamily(addrs, family, i.Lease().Number())
			}
		}
		if b.full() {
			break
		}
	}
	return &b
}

// hostServices gathers the SRV records of a host, for those ports that are wanted of each
// instance.
func (s *sets) hostServices(h hosts, wanted func([]service.Port) []service.Port, anywhere bool) *srvBuilder {
	b := s.newSRVBuilder(h.members())
	for i := range s.some(b.among, anywhere) {
		b.begin()
		b.addInstance(h[0].label, i, wanted(i.Ports))
		if b.full() {
			break
		}
	}
	return b
}

// allPorts is all of some ports.
func allPorts(ports []service.Port) []service.Port { return ports }

// hostTexts gathers the metadata, a TXT record for each instance (RFC 6763, section 6).
func (s *sets) hostTexts(h hosts, anywhere bool) *builder {
	b := s.builder()
	for i := range s.some(h.members(), anywhere) {
		if data := appendMetadata(nil, i); data != nil {
			b.begin()
			b.addData(dns.TypeTXT, data, i.Lease().Number())
		}
		if b.full() {
			break
		}
	}
	return &b
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
