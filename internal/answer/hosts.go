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

// hosts are labels below a service in order, each with the number of an instance that it leads to.
type hosts []host

type host struct {
	label  string
	number int32
}

// hosts returns all hosts of the service.
func (s *serviceRecords) hosts() hosts {
	return *s.hostLabels.get(&s.building, func() *hosts {
		all := make(hosts, 0, s.view.Len())
		for n, i := range s.view.Numbered {
			if s.view.Answers(i) {
				for label := range i.Hosts {
					all = append(all, host{label, int32(n)})
				}
			}
		}
		slices.SortFunc(all, func(a, b host) int {
			return cmp.Or(strings.Compare(a.label, b.label), cmp.Compare(a.number, b.number))
		})
		all = slices.Compact(all)
		return &all
	})
}

// withLabel returns those of one label.
func (h hosts) withLabel(label string) hosts {
	from, _ := slices.BinarySearchFunc(h, label, func(h host, label string) int {
		return strings.Compare(h.label, label)
	})
	n, _ := slices.BinarySearchFunc(h[from:], label, func(h host, label string) int {
		return cmp.Or(strings.Compare(h.label, label), -1) // the first one after it
	})
	return h[from : from+n]
}

// members returns the instances of a host; h holds all of one label.
func (h hosts) members() members {
	numbers := make([]int32, len(h))
	for n := range h {
		numbers[n] = h[n].number
	}
	return members{numbers: numbers}
}

// maxUncachedSharers is the number of instances on one host up to which its records are built for
// each query. That costs little, and caching them would cost much memory.
const maxUncachedSharers = 4

// hostSet returns the RRset of a host, or nil if hosts have no records of the type; h holds all of
// one label.
func (s *serviceRecords) hostSet(h hosts, t *recordType) *rrset {
	if t.host == nil {
		return nil
	}
	if len(h) == 1 && t.single != nil {
		if single := singleRecordOf(s.view, s.view.At(int(h[0].number)), t); single != nil {
			return single
		}
	}
	if len(h) > maxUncachedSharers && !s.zone.forTransfer {
		return s.get(h[0].label, t.qtype, func(randomStart bool) recordSource { return t.host(s, h, randomStart) })
	}
	set := new(rrset)
	t.host(s, h, false).fill(set)
	return set
}

// singleRecordOf returns the RRset of a host that is one instance, or nil unless that has exactly
// one record of the type.
func singleRecordOf(view *table.View, i *table.Instance, t *recordType) *rrset {
	single := new(singleRecord)
	b := t.single(single.room[:singleRdataAt], i)
	if len(b) == singleRdataAt {
		return nil
	}
	return single.finish(b, t.qtype, i.Lease(), view.Leases())
}

func (s *serviceRecords) collectHostAddresses(h hosts, family func(netip.Addr) bool, randomStart bool) *builder {
	b := s.newBuilder()
	for i := range s.answered(h.members(), randomStart) {
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

// collectHostSRV collects the SRV records of a host, for the ports that selectPorts leaves of each
// instance.
func (s *serviceRecords) collectHostSRV(h hosts, selectPorts func([]service.Port) []service.Port, randomStart bool) *srvBuilder {
	b := s.newSRVBuilder(h.members())
	for i := range s.answered(b.sharers, randomStart) {
		b.beginInstance()
		b.addInstance(h[0].label, i, selectPorts(i.Ports))
		if b.full() {
			break
		}
	}
	return b
}

// allPorts leaves all ports.
func allPorts(ports []service.Port) []service.Port { return ports }

// collectHostTXT collects the metadata, one TXT record per instance (RFC 6763, section 6).
func (s *serviceRecords) collectHostTXT(h hosts, randomStart bool) *builder {
	b := s.newBuilder()
	for i := range s.answered(h.members(), randomStart) {
		if rdata := appendMetadata(nil, i); rdata != nil {
			b.beginInstance()
			b.addRdata(dns.TypeTXT, rdata, i.Lease().Number())
		}
		if b.full() {
			break
		}
	}
	return &b
}

// appendMetadata appends an instance's metadata as the strings of a TXT record.
func appendMetadata(b []byte, i *table.Instance) []byte {
	for _, pair := range i.Metadata {
		b = appendText(b, pair.Key, "=", pair.Value)
	}
	return b
}

// appendText appends one string of a TXT record (RFC 1035, section 3.3.14), cut to 255 bytes.
// Longer metadata cannot be registered.
func appendText(b []byte, parts ...string) []byte {
	at := len(b)
	b = append(b, 0)
	for _, part := range parts {
		b = append(b, part...)
	}
	n := min(len(b)-at-1, 255)
	b[at] = byte(n)
	return b[:at+1+n]
}
