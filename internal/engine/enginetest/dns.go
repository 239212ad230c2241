package enginetest

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/miekg/dns"
)

// Origin is what the names of all services end in.
const Origin = ".svc.cluster.local."

var zones = answer.Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, 0)

// Ask returns what the table answers to a question, without what a server has to do with it:
// no alias is followed. Before the table is loaded it is SERVFAIL.
func (w *World) Ask(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion(name, qtype))
	state := w.Engine.State()
	if state == nil {
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	for _, zone := range zones {
		if zone.Covers(name) {
			a := zone.Lookup(state.Snapshot, name, qtype)
			reply := answer.Reply{Msg: m, Room: dns.MaxMsgSize, TTL: uint32(w.Rules.TTL.Seconds()), Now: w.Engine.Now()}
			reply.Add(name, a)
			reply.Finish()
			if a.Outcome == answer.NoName {
				m.Rcode = dns.RcodeNameError
			}
		}
	}
	return m
}

// Answers writes down what the table answers: a name is asked for its addresses, an address
// for its names.
func (w *World) Answers(names ...string) (lines []string) {
	for _, name := range names {
		qtype := dns.TypeA
		if _, err := netip.ParseAddr(name); err == nil {
			name, qtype = Reverse(name), dns.TypePTR
		} else {
			name += Origin
		}
		lines = append(lines, name)
		lines = append(lines, Summary(w.Ask(name, qtype))...)
	}
	return lines
}

// Reverse returns the reverse name of an IPv4 address.
func Reverse(addr string) string {
	b := netip.MustParseAddr(addr).As4()
	slices.Reverse(b[:])
	return netip.AddrFrom4(b).String() + ".in-addr.arpa."
}

// Summary writes a message down, a sorted line a record without its TTL; "NEXT" for nil.
func Summary(m *dns.Msg) []string {
	if m == nil {
		return []string{"NEXT"}
	}
	var lines []string
	add := func(prefix string, rrs []dns.RR) {
		for _, rr := range rrs {
			fields := strings.SplitN(rr.String(), "\t", 5)
			lines = append(lines, prefix+fields[0]+" "+fields[3]+" "+fields[4])
		}
	}
	add("", m.Answer)
	add("+", m.Extra)
	if m.Rcode != dns.RcodeSuccess {
		lines = append(lines, dns.RcodeToString[m.Rcode])
	}
	for _, rr := range m.Ns {
		lines = append(lines, dns.TypeToString[rr.Header().Rrtype])
	}
	slices.Sort(lines)
	return lines
}
