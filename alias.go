package registry

import (
	"context"
	"slices"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/coredns/core/dnsserver"

	"github.com/miekg/dns"
)

// longestChain is how many aliases are followed, as in CoreDNS's own backends.
const longestChain = 11

// deepest is how many times the server asks itself for one question, as in CoreDNS's *file*.
const deepest = 8

// follow adds an alias and what is at its end: inside the table as far as that goes,
// then through the server's own upstream. The response code is that of the end of the
// chain (RFC 6604, section 3); a chain that has no end has none to tell.
func (q *query) follow(reply *answer.Reply, a answer.Answer) {
	owner, name := q.req.QName(), q.req.Name()
	chain := q.chain()
	for a.Outcome == answer.Alias {
		if len(chain) >= longestChain {
			return
		}
		reply.Add(owner, a)
		chain = append(chain, name)
		if slices.Contains(chain, a.Target) {
			return
		}
		owner, name = a.Target, a.Target
		zone := q.zoneOf(name)
		if zone == nil {
			q.resolve(reply.Msg, name, chain)
			return
		}
		q.zone = zone
		a = zone.Lookup(q.state.Snapshot, name, q.req.QType())
	}
	if a.Absent() && q.Fall.Through(name) {
		q.resolve(reply.Msg, name, chain)
		return
	}
	reply.Add(owner, a)
	q.deny(reply.Msg, a.Outcome, q.zone.Origin)
}

// chainKey is the context's key for the names whose aliases have led to a question that the
// server asks itself, a []string in lower case.
type chainKey struct{}

// chain returns the names whose aliases have led to this question; none where a client asked it.
func (q *query) chain() []string {
	chain, _ := q.ctx.Value(chainKey{}).([]string)
	return chain
}

// resolve adds what the server itself answers for a name that is not the table's, to which a
// chain of aliases leads. Where nobody in the server knows the zone, the alias stands alone: the
// asker may know more. The server may come back to the table, by another server block or the
// file of a zone, so the chain goes along, and how deep we are in it.
func (q *query) resolve(m *dns.Msg, name string, chain []string) {
	depth, _ := q.ctx.Value(dnsserver.LoopKey{}).(int)
	if depth >= deepest || q.ctx.Err() != nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	ctx := context.WithValue(q.ctx, dnsserver.LoopKey{}, depth+1)
	ctx = context.WithValue(ctx, chainKey{}, slices.Clip(chain))
	got, err := q.upstream.Lookup(ctx, q.req, name, q.req.QType())
	if err != nil || got == nil || got.Rcode == dns.RcodeRefused {
		if q.ctx.Err() != nil {
			m.Rcode = dns.RcodeServerFailure
		}
		return
	}
	m.Rcode = got.Rcode
	m.Truncated = got.Truncated
	m.Answer = append(m.Answer, untilLoop(got.Answer, chain, depth > 0 && q.chain() == nil)...)
	if !slices.ContainsFunc(got.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == q.req.QType() }) {
		m.Ns = got.Ns // the SOA by which it may be remembered that there is nothing (RFC 2308)
	}
}

// untilLoop returns the records of a chain's next part up to where the chain comes to a name
// again. A plugin that has asked for the chain, because of an alias of its own that led here, has
// the alias that closes a loop, and puts it before ours: so then that is left out as well.
func untilLoop(rrs []dns.RR, chain []string, closed bool) []dns.RR {
	for n, rr := range rrs {
		alias, is := rr.(*dns.CNAME)
		if !is {
			continue
		}
		owner, target := dns.CanonicalName(alias.Hdr.Name), dns.CanonicalName(alias.Target)
		if slices.Contains(chain, owner) || closed && slices.Contains(chain, target) {
			return rrs[:n]
		}
		chain = append(chain, owner)
	}
	return rrs
}
