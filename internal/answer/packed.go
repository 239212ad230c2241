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

// pack packs records, and returns the names of the hosts that they point to, by their
// numbers. It reports false where one cannot be packed.
func pack(records []record) (p packed, owners []string, ok bool) {
	p.records = make([]byte, len(records)*placeLen)
	var hosts []*host
	for n := range records {
		r := &records[n]
		binary.BigEndian.PutUint32(p.records[n*placeLen:], uint32(len(p.records)))
		rest := packRest(r.rr)
		if rest == nil {
			return packed{}, nil, false
		}
		p.records = append(p.records, rest...)
		if r.host == nil {
			continue
		}
		if missing := r.host.number + 1 - len(hosts); missing > 0 {
			hosts = append(hosts, make([]*host, missing)...)
		}
		hosts[r.host.number] = r.host
		p.records = binary.BigEndian.AppendUint32(p.records, uint32(r.host.number))
		name := len(rest) - wireLen(r.host.name) // it stands at the end, and is not compressed
		p.records = binary.BigEndian.AppendUint16(p.records, uint16(name))
	}
	p.records = slices.Clone(p.records)
	if hosts == nil {
		return p, nil, true
	}
	return p, p.addGlue(hosts), true
}

// addGlue adds the addresses of hosts, of which nil is one that no record points to, and
// returns their names.
func (p *packed) addGlue(hosts []*host) (owners []string) {
	p.glue = []byte{}
	owners = make([]string, len(hosts))
	p.first = make([]uint32, len(hosts)+1)
	for number, h := range hosts {
		if h != nil {
			owners[number] = h.name
			p.glue = append(p.glue, h.glue...)
		}
		p.first[number+1] = uint32(len(p.glue))
	}
	p.glue = slices.Clone(p.glue)
	return owners
}

// record returns a record of the set, owned by owner, and the number of the host that it
// points to; -1 where it points to none.
func (s *set) record(n int, owner string) (rr dns.RR, host int) {
	at := s.place(n)
	rest := restAt(s.records, at)
	if s.glue == nil {
		return unpack(owner, rest, ""), -1
	}
	host = int(binary.BigEndian.Uint32(s.records[at+len(rest):]))
	return unpack(owner, rest, s.owners[host]), host
}

// appendGlue appends the addresses of a host.
func (s *set) appendGlue(rrs []dns.RR, host int) []dns.RR {
	for at, end := int(s.first[host]), int(s.first[host+1]); at < end; {
		rest := restAt(s.glue, at)
		rrs = append(rrs, unpack(s.owners[host], rest, ""))
		at += len(rest)
	}
	return rrs
}

// unpack returns the record that was packed without its owner. target is the name that
// stands at its end, if there is one. The commonest types are taken apart here, which saves most of
// what the general way costs: an address is not even copied, since nobody changes one in place.
func unpack(owner string, rest []byte, target string) dns.RR {
	hdr, data := header(owner, binary.BigEndian.Uint16(rest)), rest[dataAt:]
	switch hdr.Rrtype {
	case dns.TypeA:
		return &dns.A{Hdr: hdr, A: data[:4:4]}
	case dns.TypeAAAA:
		return &dns.AAAA{Hdr: hdr, AAAA: data[:16:16]}
	case dns.TypeSRV:
		return &dns.SRV{
			Hdr:      hdr,
			Priority: binary.BigEndian.Uint16(data),
			Weight:   binary.BigEndian.Uint16(data[2:]),
			Port:     binary.BigEndian.Uint16(data[4:]),
			Target:   target,
		}
	}
	rr, _, err := dns.UnpackRR(append([]byte{0}, rest...), 0)
	if err != nil { // it was packed by the same library
		return &dns.RFC3597{Hdr: hdr}
	}
	rr.Header().Name = owner
	rr.Header().Rdlength = 0
	return rr
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
