package answer

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// packed is a set in wire form. It is all in one piece, or three where there are hosts: in a
// large table each piece is one that the processor has to fetch.
type packed struct {
	// records begins with a place for each record, 4 bytes that say where in it that stands.
	// Then come the records without their owners, one after the other; each that points to a
	// host is followed by the host's number, and by where its name begins in the record.
	records []byte

	glue  []byte   // the addresses of the hosts in the same way, those of each together; nil without hosts
	first []uint32 // by a host's number, where in glue its addresses begin; one more at the end
}

const (
	placeLen  = 4
	targetLen = 4 + 2
	dataAt    = 10 // of a record without its owner, behind the length of its data
)

// place returns where a record stands.
func (p *packed) place(n int) int {
	return int(binary.BigEndian.Uint32(p.records[n*placeLen:]))
}

// restAt returns the record without its owner that stands there.
func restAt(b []byte, at int) []byte {
	return b[at : at+dataAt+int(binary.BigEndian.Uint16(b[at+dataAt-2:]))]
}

// packed returns the set in wire form; nil where it has none.
func (s *set) packed() *packed {
	p := s.wire.get(s.pack)
	if p.records == nil {
		return nil
	}
	return p
}

func (s *set) pack() *packed {
	p := &packed{records: make([]byte, len(s.records)*placeLen)}
	hosts := make([]*host, s.hosts)
	for n := range s.records {
		r := &s.records[n]
		binary.BigEndian.PutUint32(p.records[n*placeLen:], uint32(len(p.records)))
		rest := packRest(r.rr)
		if rest == nil {
			return &packed{}
		}
		p.records = append(p.records, rest...)
		if s.hosts == 0 {
			continue
		}
		hosts[r.host.number] = r.host
		p.records = binary.BigEndian.AppendUint32(p.records, uint32(r.host.number))
		name := len(rest) - wireLen(targetOf(r.rr)) // it stands at the end, and is not compressed
		p.records = binary.BigEndian.AppendUint16(p.records, uint16(name))
	}
	if s.hosts > 0 && !p.packGlue(hosts) {
		return &packed{}
	}
	p.records = slices.Clone(p.records)
	return p
}

// packGlue packs the addresses of hosts; nil is one that no record points to. It reports
// false where one cannot be packed.
func (p *packed) packGlue(hosts []*host) bool {
	p.glue = []byte{}
	for _, h := range hosts {
		p.first = append(p.first, uint32(len(p.glue)))
		if h == nil {
			continue
		}
		for n := range h.glue {
			rest := packRest(h.glue[n].rr)
			if rest == nil {
				return false
			}
			p.glue = append(p.glue, rest...)
		}
	}
	p.first = append(p.first, uint32(len(p.glue)))
	return true
}

// targetOf returns the name of the host that a record points to.
func targetOf(rr dns.RR) string {
	if srv, ok := rr.(*dns.SRV); ok {
		return srv.Target
	}
	return rr.(*dns.NS).Ns
}

// wireLen is how many bytes a name takes when it is not compressed.
func wireLen(name string) int {
	n, err := dns.PackDomainName(name, make([]byte, longestName+1), 0, nil, false)
	if err != nil {
		return 0
	}
	return n
}

// packRest packs a record without its owner; nil where that cannot be.
func packRest(rr dns.RR) []byte {
	rr = dns.Copy(rr)
	rr.Header().Name = "."
	b := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil
	}
	return b[1:end:end]
}
