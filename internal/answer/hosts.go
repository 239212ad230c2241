package answer

import (
	"net/netip"
	"strings"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// hostSets are the records of one host of a service.
type hostSets struct {
	instances []*table.Instance // that share the host

	v4, v6, srv, txt lazy[set]
}

// hosts returns the hosts of the service by their label.
func (s asked) hosts() map[string]*hostSets {
	return *s.labels.get(func() *map[string]*hostSets {
		labels := make(map[string]*hostSets)
		for i := range s.instances {
			for label := range i.Hosts {
				h := labels[label]
				if h == nil {
					h = &hostSets{}
					labels[label] = h
				}
				h.instances = append(h.instances, i)
			}
		}
		return &labels
	})
}

// host returns the set of a host's name, nil for a type that hosts never have.
func (s asked) host(h *hostSets, label string, qtype uint16) *set {
	switch qtype {
	case dns.TypeA:
		return h.v4.get(func() *set { return h.addresses(label, netip.Addr.Is4) })
	case dns.TypeAAAA:
		return h.v6.get(func() *set { return h.addresses(label, netip.Addr.Is6) })
	case dns.TypeSRV:
		return h.srv.get(func() *set { return h.services(s, label) })
	case dns.TypeTXT:
		return h.txt.get(h.texts)
	}
	return nil
}

// atLabel yields the instances with those of their addresses that the label leads to.
func (h *hostSets) atLabel(label string) func(yield func(*table.Instance, []netip.Addr) bool) {
	return func(yield func(*table.Instance, []netip.Addr) bool) {
		for _, i := range h.instances {
			for l, addrs := range i.Hosts {
				if l == label && !yield(i, addrs) {
					return
				}
			}
		}
	}
}

func (h *hostSets) addresses(label string, family func(netip.Addr) bool) *set {
	var b builder
	for i, addrs := range h.atLabel(label) {
		b.addFamily(addrs, family, i)
	}
	return b.set()
}

func (h *hostSets) services(s asked, label string) *set {
	b := srvBuilder{service: s}
	for _, i := range h.instances {
		b.begin()
		b.addInstance(label, i, i.Ports)
	}
	return b.set()
}

// texts returns the metadata, a TXT record for each instance (RFC 6763, section 6).
func (h *hostSets) texts() *set {
	var b builder
	for _, i := range h.instances {
		if len(i.Metadata) == 0 {
			continue
		}
		b.begin()
		txt := &dns.TXT{Hdr: header("", dns.TypeTXT)}
		for _, pair := range i.Metadata {
			txt.Txt = append(txt.Txt, escapeText(pair.Key+"="+pair.Value))
		}
		r := leased(i)
		r.rr = txt
		b.add(strings.Join(txt.Txt, "\x00"), r)
	}
	return b.set()
}

// escapeText writes a string as miekg/dns holds it, which is the form of zone files: it
// takes a backslash for the beginning of an escape.
func escapeText(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }
