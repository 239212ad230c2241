package answer

import (
	"net/netip"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// recordType is a type of the records that services and instances have, and how they are
// collected. A nil function means that no name of that kind has the type.
//
// To add a type, add a row to recordTypes; if its rdata holds a name, packed.go must know where.
type recordType struct {
	qtype uint16

	service func(s *sets, anywhere bool) gathered                 // at SERVICE
	port    func(s *sets, of portMembers, anywhere bool) gathered // at _PORT._PROTOCOL.SERVICE
	host    func(s *sets, h hosts, anywhere bool) gathered        // at HOST.SERVICE

	// single appends the rdata of the only record at a host that is one instance's; it returns b
	// as it is if there is not exactly one.
	single func(b []byte, i *table.Instance) []byte
}

// recordTypes are all there are. Transfers send the records of a name in this order.
var recordTypes = [...]recordType{
	{
		qtype:   dns.TypeA,
		service: func(s *sets, anywhere bool) gathered { return s.addresses(netip.Addr.Is4, anywhere) },
		host:    func(s *sets, h hosts, anywhere bool) gathered { return s.hostAddresses(h, netip.Addr.Is4, anywhere) },
		single: func(b []byte, i *table.Instance) []byte {
			if len(i.Addresses) != 1 || !i.Addresses[0].Is4() {
				return b
			}
			addr := i.Addresses[0].As4()
			return append(b, addr[:]...)
		},
	}, {
		qtype:   dns.TypeAAAA,
		service: func(s *sets, anywhere bool) gathered { return s.addresses(netip.Addr.Is6, anywhere) },
		host:    func(s *sets, h hosts, anywhere bool) gathered { return s.hostAddresses(h, netip.Addr.Is6, anywhere) },
		single: func(b []byte, i *table.Instance) []byte {
			if len(i.Addresses) != 1 || !i.Addresses[0].Is6() {
				return b
			}
			addr := i.Addresses[0].As16()
			return append(b, addr[:]...)
		},
	}, {
		qtype:   dns.TypeSRV,
		service: func(s *sets, anywhere bool) gathered { return s.services(anywhere) },
		port:    func(s *sets, of portMembers, anywhere bool) gathered { return s.portServices(of, anywhere) },
		host:    func(s *sets, h hosts, anywhere bool) gathered { return s.hostServices(h, allPorts, anywhere) },
	}, {
		qtype:  dns.TypeTXT,
		host:   func(s *sets, h hosts, anywhere bool) gathered { return s.hostTexts(h, anywhere) },
		single: appendMetadata,
	},
}

// typeOf returns the type of that number; an empty one if services and instances have no records
// of it.
func typeOf(qtype uint16) *recordType {
	for n := range recordTypes {
		if t := &recordTypes[n]; t.qtype == qtype {
			return t
		}
	}
	return &noType
}

var noType recordType
