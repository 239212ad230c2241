package answer

import (
	"net/netip"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// recordType is a type of the records of services and instances, and how they are collected. A
// function is nil if no name of its kind has such records.
//
// To add a type, add a row to recordTypes. If its rdata names a host, extend nameAt and TargetName
// as well.
type recordType struct {
	qtype uint16

	service func(s *serviceRecords, randomStart bool) recordSource                 // at SERVICE
	port    func(s *serviceRecords, port namedPort, randomStart bool) recordSource // at _PORT._PROTOCOL.SERVICE
	host    func(s *serviceRecords, h hosts, randomStart bool) recordSource        // at HOST.SERVICE

	// single appends the rdata of the only record at the host of one instance. It returns b
	// unchanged if there is not exactly one.
	single func(b []byte, i *table.Instance) []byte
}

// recordTypes are all types. A transfer sends the records of a name in this order.
var recordTypes = [...]recordType{
	{
		qtype: dns.TypeA,
		service: func(s *serviceRecords, randomStart bool) recordSource {
			return s.collectAddresses(netip.Addr.Is4, randomStart)
		},
		host: func(s *serviceRecords, h hosts, randomStart bool) recordSource {
			return s.collectHostAddresses(h, netip.Addr.Is4, randomStart)
		},
		single: func(b []byte, i *table.Instance) []byte {
			if len(i.Addresses) != 1 || !i.Addresses[0].Is4() {
				return b
			}
			addr := i.Addresses[0].As4()
			return append(b, addr[:]...)
		},
	}, {
		qtype: dns.TypeAAAA,
		service: func(s *serviceRecords, randomStart bool) recordSource {
			return s.collectAddresses(netip.Addr.Is6, randomStart)
		},
		host: func(s *serviceRecords, h hosts, randomStart bool) recordSource {
			return s.collectHostAddresses(h, netip.Addr.Is6, randomStart)
		},
		single: func(b []byte, i *table.Instance) []byte {
			if len(i.Addresses) != 1 || !i.Addresses[0].Is6() {
				return b
			}
			addr := i.Addresses[0].As16()
			return append(b, addr[:]...)
		},
	}, {
		qtype:   dns.TypeSRV,
		service: func(s *serviceRecords, randomStart bool) recordSource { return s.collectSRV(randomStart) },
		port: func(s *serviceRecords, port namedPort, randomStart bool) recordSource {
			return s.collectPortSRV(port, randomStart)
		},
		host: func(s *serviceRecords, h hosts, randomStart bool) recordSource {
			return s.collectHostSRV(h, allPorts, randomStart)
		},
	}, {
		qtype: dns.TypeTXT,
		host: func(s *serviceRecords, h hosts, randomStart bool) recordSource {
			return s.collectHostTXT(h, randomStart)
		},
		single: appendMetadata,
	},
}

// typeOf returns a row of recordTypes, or an empty one if there is none of the type.
func typeOf(qtype uint16) *recordType {
	for n := range recordTypes {
		if t := &recordTypes[n]; t.qtype == qtype {
			return t
		}
	}
	return &noType
}

var noType recordType
