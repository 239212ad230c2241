package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolver asks one server over one connection. It belongs to one goroutine.
type resolver struct {
	conn    *dns.Conn
	payload uint16 // that EDNS tells the server, 0 is no EDNS
}

// reply is an answer to a question.
type reply struct {
	*dns.Msg
	size       int // of the message, in bytes
	sent, came time.Time
}

// answerWithin is how long a server may take to answer; after it the query counts as lost.
const answerWithin = patience

func dial(t testing.TB, network, address string) *resolver {
	t.Helper()
	conn, err := dns.DialTimeout(network, address, answerWithin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.UDPSize = dns.MaxMsgSize // to see what is larger than it may be
	return &resolver{conn: conn}
}

// ask asks a question, once.
func (r *resolver) ask(name string, qtype uint16) (reply, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	if r.payload > 0 {
		q.SetEdns0(r.payload, false)
	}
	return r.exchange(q)
}

func (r *resolver) exchange(q *dns.Msg) (got reply, err error) {
	got.sent = time.Now()
	if err := r.conn.SetDeadline(got.sent.Add(answerWithin)); err != nil {
		return got, err
	}
	if err := r.conn.WriteMsg(q); err != nil {
		return got, err
	}
	for { // an answer that was given up may still come
		wire, err := r.conn.ReadMsgHeader(nil)
		if err != nil {
			return got, fmt.Errorf("%s: %w", question(q), err)
		}
		got.came, got.size, got.Msg = time.Now(), len(wire), new(dns.Msg)
		if err := got.Unpack(wire); err != nil {
			return got, fmt.Errorf("%s: %w", question(q), err)
		}
		if got.Id == q.Id {
			return got, nil
		}
	}
}

// must asks a question that the test cannot go on without an answer to.
func (r *resolver) must(t testing.TB, name string, qtype uint16) reply {
	t.Helper()
	got, err := r.ask(name, qtype)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wants holds an answer to its response code and its records, as zone text without TTLs.
func (r *resolver) wants(t testing.TB, name string, qtype uint16, rcode int, records ...string) {
	t.Helper()
	got := r.must(t, name, qtype)
	slices.Sort(records)
	if answers := texts(got.Answer); got.Rcode != rcode || !slices.Equal(answers, records) {
		t.Errorf("%s: got %s %q, want %s %q", question(got.Msg),
			dns.RcodeToString[got.Rcode], answers, dns.RcodeToString[rcode], records)
	}
}

func question(m *dns.Msg) string {
	if len(m.Question) == 0 {
		return "no question"
	}
	return m.Question[0].Name + " " + dns.Type(m.Question[0].Qtype).String()
}

// text is a record as zone text, without TTL and class.
func text(rr dns.RR) string {
	h := rr.Header()
	data := strings.TrimPrefix(rr.String(), h.String())
	return h.Name + " " + dns.Type(h.Rrtype).String() + " " + data
}

// texts are records in order of their text.
func texts(rrs []dns.RR) []string {
	all := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		all = append(all, text(rr))
	}
	slices.Sort(all)
	return all
}

// has reports whether there is a record of that data.
func has(rrs []dns.RR, data string) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool {
		return strings.TrimPrefix(rr.String(), rr.Header().String()) == data
	})
}

// standsFor reports whether a record is one of an instance with those addresses and hosts; a
// host is the beginning of its name, up to a dot.
func standsFor(rr dns.RR, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool {
		switch rr := rr.(type) {
		case *dns.A:
			return rr.A.String() == part
		case *dns.AAAA:
			return rr.AAAA.String() == part
		case *dns.SRV:
			return strings.HasPrefix(rr.Target, part)
		case *dns.PTR:
			return strings.HasPrefix(rr.Ptr, part)
		case *dns.TXT:
			return strings.HasPrefix(rr.Hdr.Name, part)
		}
		return false
	})
}

// under is the full name of a name below default.svc.cluster.local.
func under(name string) string { return name + ".default.svc.cluster.local." }
