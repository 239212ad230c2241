package test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestHostileDNS(t *testing.T) {
	t.Parallel()
	h := startHostile(t)
	h.attack(t, func(rounds int) {
		for range rounds {
			h.garbageOverUDP(t, 2000/slowness)
			h.garbageOverTCP(t, 200/slowness)
			h.oddQuestions(t)
			h.oddHeaders(t)
			h.stillAnswers(t)
		}
	})
}

func (h *hostile) stillAnswers(t *testing.T) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		asker := dial(t, network, h.dns)
		asker.wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.7")
		asker.conn.Close()
	}
}

// message is a query in wire form, or one that was mutated, or garbage.
func (h *hostile) message(t *testing.T) []byte {
	t.Helper()
	q := questions[h.random.IntN(len(questions))]
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	if h.random.IntN(2) == 0 {
		m.SetEdns0(1232, true)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	switch h.random.IntN(5) {
	case 0:
		return h.garbage(600)
	case 1:
		return append(wire[:12:12], h.garbage(300)...)
	}
	return h.mutate(wire)
}

func (h *hostile) garbageOverUDP(t *testing.T, count int) {
	t.Helper()
	conn, err := net.Dial("udp", h.dns)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := range count {
		// To an empty message nothing is answered, and this system may say so.
		_, _ = conn.Write(h.message(t))
		if n%50 == 49 { // let it keep up
			h.stillAnswers(t)
		}
	}
}

func (h *hostile) garbageOverTCP(t *testing.T, count int) {
	t.Helper()
	for range count {
		conn, err := net.Dial("tcp", h.dns)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + h.random.IntN(3) {
			m := h.message(t)
			length := len(m)
			if h.random.IntN(4) == 0 {
				length = h.random.IntN(1 << 16) // a lie
			}
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(length)), m...))
		}
		switch h.random.IntN(3) {
		case 0: // gone without a word
			_ = conn.(*net.TCPConn).SetLinger(0)
		case 1:
			_ = conn.(*net.TCPConn).CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(moment))
			_, _ = conn.Read(make([]byte, 1<<16))
		}
		conn.Close()
	}
}

// oddQuestions asks every type, class and form of name that there may be.
func (h *hostile) oddQuestions(t *testing.T) {
	t.Helper()
	asker := dial(t, "udp", h.dns)
	ask := func(name string, qtype, class uint16) {
		q := new(dns.Msg).SetQuestion(name, qtype)
		q.Question[0].Qclass = class
		got, err := asker.exchange(q)
		if err != nil {
			t.Error(err)
			return
		}
		if class == dns.ClassINET && got.Rcode == dns.RcodeServerFailure {
			t.Errorf("%s: SERVFAIL", question(q))
		}
	}
	for qtype := uint16(1); qtype < 300; qtype += 1 + uint16(h.random.IntN(8)) {
		ask(questions[h.random.IntN(len(questions))].name, qtype, dns.ClassINET)
	}
	for _, class := range []uint16{0, 2, dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY, 65535} {
		ask(under("web"), dns.TypeA, class)
	}
	for _, name := range oddNames {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV, dns.TypePTR, dns.TypeTXT, dns.TypeSOA, dns.TypeANY} {
			ask(name, qtype, dns.ClassINET)
		}
	}
}

var oddNames = []string{
	"cluster.local.", "svc.cluster.local.", "in-addr.arpa.",
	"svc.svc.svc.cluster.local.", "_._.web.default.svc.cluster.local.",
	"_http._tcp._http._tcp.web.default.svc.cluster.local.",
	`we\.b.default.svc.cluster.local.`, `\000.default.svc.cluster.local.`, `\255\254.web.default.svc.cluster.local.`,
	`*.default.svc.cluster.local.`, `\\.web.default.svc.cluster.local.`, `\"\(\).svc.cluster.local.`, `a\.svc.cluster.local.`,
	strings.Repeat("a.", 100) + "svc.cluster.local.",
	strings.Repeat(strings.Repeat("x", 63)+".", 3) + "svc.cluster.local.",
	"256.2.0.192.in-addr.arpa.", "-1.2.0.192.in-addr.arpa.", "07.2.0.192.in-addr.arpa.", "1.7.2.0.192.in-addr.arpa.",
	strings.Repeat("1.", 110) + "in-addr.arpa.",
}

// oddHeaders asks with every operation, with no question and with many, and answers unasked.
func (h *hostile) oddHeaders(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("udp", h.dns)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for opcode := range 16 {
		for count := range 4 {
			m := new(dns.Msg).SetQuestion(under("web"), dns.TypeA)
			m.Opcode, m.Response = opcode, h.random.IntN(4) == 0
			q := m.Question[0]
			m.Question = nil
			for range count * count * 7 {
				m.Question = append(m.Question, q)
			}
			wire, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(wire)
		}
	}
}
