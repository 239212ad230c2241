package test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const transferring = `
cluster.local:{$DNS} in-addr.arpa:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        lease 1h
    }
    transfer {
        to * {$SECONDARY}
    }
    errors
    ready {$READY}
}`

// zoo registers one of every kind that there is.
func (s *server) zoo(t *testing.T) {
	t.Helper()
	for _, r := range []struct{ path, body string }{
		{instancePath("web", "web-1"), `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","port":8080},{"port":9000}],"metadata":{"version":"1.4.2"}}`},
		{instancePath("web", "web-2"), `{"addresses":["192.0.2.8"],"ports":[{"name":"http","port":8080}],"weight":7,"priority":1}`},
		{instancePath("web", "web-3"), `{"addresses":["192.0.2.9"],"ports":[{"name":"http","port":8080}],"status":"down"}`},
		{instancePath("bare", "a:b"), `{"addresses":["192.0.2.7","192.0.2.10"],"ports":[{"name":"sip","protocol":"udp","port":5060}]}`},
		{servicePath("virtual"), `{"type":"clusterIP","clusterIPs":["192.0.2.100","2001:db8::100"],"ports":[{"name":"http","port":80}]}`},
		{instancePath("virtual", "v-1"), `{"addresses":["192.0.2.11"],"ports":[{"name":"http","port":8080}]}`},
		{servicePath("alias"), `{"type":"externalName","externalName":"web.default.svc.cluster.local"}`},
		{servicePath("outside"), `{"type":"externalName","externalName":"www.example.net."}`},
		{servicePath("empty"), `{"type":"headless","ports":[{"name":"http","port":80}]}`},
		{servicePath("eager"), `{"type":"headless","publishNotReady":true}`},
		{instancePath("eager", "e-1"), `{"addresses":["192.0.2.12"],"status":"draining"}`},
	} {
		s.must(t, http.StatusCreated, http.MethodPut, r.path, r.body)
	}
}

// zooQuestions have answers, or not.
var zooQuestions = []struct {
	name  string
	types []uint16
}{
	{"cluster.local.", []uint16{dns.TypeSOA, dns.TypeNS}},
	{"ns.dns.cluster.local.", []uint16{dns.TypeA, dns.TypeAAAA}},
	{"dns-version.cluster.local.", []uint16{dns.TypeTXT}},
	{under("web"), []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT}},
	{under("_http._tcp.web"), []uint16{dns.TypeSRV, dns.TypeA}},
	{under("_tcp.web"), []uint16{dns.TypeSRV}},
	{under("_none._tcp.web"), []uint16{dns.TypeSRV}},
	{under("web-1.web"), []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT}},
	{under("web-2.web"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("web-3.web"), []uint16{dns.TypeA}},
	{under("bare"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("_sip._udp.bare"), []uint16{dns.TypeSRV}},
	{under("192-0-2-7.bare"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("192-0-2-10.bare"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("virtual"), []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV}},
	{under("_http._tcp.virtual"), []uint16{dns.TypeSRV}},
	{under("v-1.virtual"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("alias"), []uint16{dns.TypeCNAME}},
	{under("outside"), []uint16{dns.TypeCNAME}},
	{under("empty"), []uint16{dns.TypeA, dns.TypeSRV}},
	{under("_http._tcp.empty"), []uint16{dns.TypeSRV}},
	{under("eager"), []uint16{dns.TypeA}},
	{under("e-1.eager"), []uint16{dns.TypeA}},
	{under("nothing"), []uint16{dns.TypeA}},
	{"7.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"9.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"10.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"11.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"12.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"100.2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
	{"2.0.192.in-addr.arpa.", []uint16{dns.TypePTR}},
}

// zone transfers a zone and returns its records, as they came.
func (s *server) zone(t *testing.T, q *dns.Msg) (records []dns.RR) {
	t.Helper()
	transfer := &dns.Transfer{DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience}
	envelopes, err := transfer.In(q, s.dns)
	if err != nil {
		t.Fatal(err)
	}
	for e := range envelopes {
		if e.Error != nil {
			t.Fatalf("%s: %v", question(q), e.Error)
		}
		records = append(records, e.RR...)
	}
	return records
}

func TestTransferEqualsAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+freePort(t))
	s.zoo(t)
	asker := dial(t, "tcp", s.dns)
	type set struct {
		name  string
		qtype uint16
	}
	transferred := make(map[set][]string)
	for _, zone := range []string{"cluster.local.", "in-addr.arpa."} {
		records := s.zone(t, new(dns.Msg).SetAxfr(zone))
		first, last := records[0], records[len(records)-1]
		if first.Header().Rrtype != dns.TypeSOA || text(first) != text(last) {
			t.Errorf("%s begins with %s and ends with %s, want the SOA at both ends", zone, first, last)
		}
		for _, rr := range records[1:] {
			at := set{rr.Header().Name, rr.Header().Rrtype}
			transferred[at] = append(transferred[at], text(rr))
		}
	}
	for at, records := range transferred {
		slices.Sort(records)
		asker.wants(t, at.name, at.qtype, dns.RcodeSuccess, records...)
	}
	for _, q := range zooQuestions {
		for _, qtype := range q.types {
			got := texts(asker.must(t, q.name, qtype).Answer)
			if want := transferred[set{q.name, qtype}]; !slices.Equal(got, want) {
				t.Errorf("%s %s: DNS answers %q, the transfer has %q", q.name, dns.Type(qtype), got, want)
			}
		}
	}
	t.Logf("%d sets of records", len(transferred))
}

func TestIncrementalTransferOfWhatIsKnownIsTheSOA(t *testing.T) {
	t.Parallel()
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+freePort(t))
	s.zoo(t)
	soa := dial(t, "udp", s.dns).must(t, "cluster.local.", dns.TypeSOA).Answer[0].(*dns.SOA)
	ixfr := func(serial uint32) []dns.RR {
		q := new(dns.Msg)
		q.SetIxfr("cluster.local.", serial, soa.Ns, soa.Mbox)
		return s.zone(t, q)
	}
	if got := ixfr(soa.Serial); len(got) != 1 || text(got[0]) != text(soa) {
		t.Errorf("with the present serial: got %q, want the SOA alone", texts(got))
	}
	if got := ixfr(soa.Serial - 1); len(got) < 20 {
		t.Errorf("with an older serial: got %q, want the whole zone", texts(got))
	}
}

func TestSecondariesAreNotified(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	notified := make(chan uint32, 100)
	listen(t, port, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Opcode == dns.OpcodeNotify && r.Question[0].Name == "cluster.local." {
			notified <- 1
		}
		_ = w.WriteMsg(new(dns.Msg).SetReply(r))
	}))
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+port)
	const quiet = slowness * 2500 * time.Millisecond // well over the second between two notifications
	// count is how many come, up to when none has come for a while. Where there must be some
	// the first is waited for.
	count := func(some bool) (n int) {
		if some {
			select {
			case <-notified:
				n++
			case <-time.After(patience):
				return 0
			}
		}
		for {
			select {
			case <-notified:
				n++
			case <-time.After(quiet):
				return n
			}
		}
	}
	if got := count(true); got != 1 {
		t.Errorf("%d notifications after the start, want 1", got)
	}
	began := time.Now()
	for n := range 100 {
		s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprintf("web-%d", n)), fmt.Sprintf(`{"addresses":["192.0.2.%d"]}`, n+1))
	}
	most := 2 + int(time.Since(began)/time.Second)
	if got := count(true); got < 1 || got > most {
		t.Errorf("%d notifications of 100 changes at once, want 1 to %d", got, most)
	}
	s.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", "web-1"), "")
	if got := count(false); got != 0 {
		t.Errorf("%d notifications of a heartbeat, want none", got)
	}
}

// listen serves DNS on a port of 127.0.0.1 until the test ends.
func listen(t *testing.T, port string, handler dns.Handler) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		server := &dns.Server{
			Addr: "127.0.0.1:" + port, Net: network, Handler: handler,
			NotifyStartedFunc: func() { close(started) },
			MsgAcceptFunc:     func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		}
		failed := make(chan error, 1)
		go func() { failed <- server.ListenAndServe() }()
		select {
		case <-started:
			t.Cleanup(func() { _ = server.Shutdown() })
		case err := <-failed:
			t.Fatal(err)
		}
	}
}
