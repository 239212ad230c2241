package kubernetes

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long an answer may take, on a machine that may have much else to do.
const patience = time.Minute

// A query is one question, of class IN.
type query struct {
	name  string
	qtype uint16
}

func (q query) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// A reply is what is compared of a message.
type reply struct {
	rcode                         int
	flags                         string
	answer, authority, additional []dns.RR
}

// String is the reply as text, the same for replies that mean the same: records in any order, any serial, and names
// in any case that are not the question's but lead somewhere else, in the data of records and above their glue.
func (r reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", dns.RcodeToString[r.rcode], r.flags)
	for _, section := range []struct {
		name    string
		records []dns.RR
	}{{"answer", r.answer}, {"authority", r.authority}, {"additional", r.additional}} {
		var lines []string
		for _, record := range section.records {
			line := text(record)
			if section.name == "additional" {
				line = strings.ToLower(line)
			}
			lines = append(lines, "  "+section.name+" "+line+"\n")
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

func text(record dns.RR) string {
	record = dns.Copy(record)
	switch data := record.(type) {
	case *dns.SOA:
		data.Ns, data.Mbox, data.Serial = strings.ToLower(data.Ns), strings.ToLower(data.Mbox), 0
	case *dns.NS:
		data.Ns = strings.ToLower(data.Ns)
	case *dns.PTR:
		data.Ptr = strings.ToLower(data.Ptr)
	case *dns.CNAME:
		data.Target = strings.ToLower(data.Target)
	case *dns.SRV:
		data.Target = strings.ToLower(data.Target)
	}
	return strings.ReplaceAll(record.String(), "\t", " ")
}

// A client asks one server, over one connection: TCP, where every answer fits.
type client struct{ conn *dns.Conn }

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{&dns.Conn{Conn: conn}}
}

// ask sends a question, and returns what waits for the reply: so several servers can think at once.
func (c *client) ask(t *testing.T, q query) (wait func() reply) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	c.conn.SetDeadline(time.Now().Add(patience))
	if err := c.conn.WriteMsg(m); err != nil {
		t.Fatalf("ask %s: %v", q, err)
	}
	return func() reply {
		t.Helper()
		got, err := c.conn.ReadMsg()
		if err != nil {
			t.Fatalf("ask %s: %v", q, err)
		}
		if got.Id != m.Id || len(got.Question) != 1 || got.Question[0] != m.Question[0] {
			t.Fatalf("asked %s, got an answer to another question:\n%s", q, got)
		}
		return replyOf(got)
	}
}

func replyOf(m *dns.Msg) reply {
	r := reply{rcode: m.Rcode, flags: flags(m), answer: m.Answer, authority: m.Ns}
	for _, record := range m.Extra {
		if record.Header().Rrtype != dns.TypeOPT { // which the server adds, not the plugin
			r.additional = append(r.additional, record)
		}
	}
	return r
}

// has is whether an answer is of the type.
func (r reply) has(qtype uint16) bool {
	return slices.ContainsFunc(r.answer, func(record dns.RR) bool { return record.Header().Rrtype == qtype })
}

// stray is a record of the additional section that no answer points to, written as the answer writes it: there are
// clients that compare the bytes. It is nil if there is none.
func (r reply) stray() dns.RR {
	for _, record := range r.additional {
		if !slices.ContainsFunc(r.answer, func(answer dns.RR) bool {
			switch answer := answer.(type) {
			case *dns.SRV:
				return answer.Target == record.Header().Name
			case *dns.NS:
				return answer.Ns == record.Header().Name
			}
			return false
		}) {
			return record
		}
	}
	return nil
}

func flags(m *dns.Msg) string {
	var set []string
	for _, flag := range []struct {
		name string
		on   bool
	}{{"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired}, {"ra", m.RecursionAvailable}} {
		if flag.on {
			set = append(set, flag.name)
		}
	}
	return strings.Join(set, " ")
}
