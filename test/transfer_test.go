package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
func (s *server) zone(t *testing.T, q *dns.Msg) []dns.RR {
	t.Helper()
	records, err := s.transfer(q)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func (s *server) transfer(q *dns.Msg) (records []dns.RR, err error) {
	transfer := &dns.Transfer{DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience}
	envelopes, err := transfer.In(q, s.dns)
	if err != nil {
		return nil, err
	}
	for e := range envelopes {
		if e.Error != nil {
			err = fmt.Errorf("%s: %w", question(q), e.Error)
		}
		records = append(records, e.RR...)
	}
	return records, err
}

// soa returns the SOA of cluster.local.
func (s *server) soa(t *testing.T) *dns.SOA {
	t.Helper()
	got := dial(t, "udp", s.dns).must(t, "cluster.local.", dns.TypeSOA)
	if len(got.Answer) != 1 {
		t.Fatalf("got no SOA: %v", got.Msg)
	}
	return got.Answer[0].(*dns.SOA)
}

// settle returns when what was changed until now is transferred. A serial stands for all changes
// of a second, so it is when there is one of a later change.
func (s *server) settle(t *testing.T) {
	t.Helper()
	next := time.Now().Truncate(time.Second).Add(time.Second)
	time.Sleep(time.Until(next))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("settled", fmt.Sprint(next.Unix())), `{"addresses":["192.0.2.200"],"leaseSeconds":0}`)
	soon(t, "the serial is that of the last change", func() bool { return int64(s.soa(t).Serial) >= next.Unix() })
}

func TestTransferEqualsAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+freePort(t))
	s.zoo(t)
	s.settle(t)
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
	s.settle(t)
	soa := s.soa(t)
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

// Secondaries that transfer while the table changes, and whenever they like, all have the same
// zone under the same serial, and in the end the whole of it.
func TestTransfersOfOneSerialAreTheSameWhileTheTableChanges(t *testing.T) {
	t.Parallel()
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+freePort(t))
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for n := range 2 {
		writers.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				path := instancePath("web", fmt.Sprintf("web-%d-%d", n, k%20))
				method, body := http.MethodPut, fmt.Sprintf(`{"addresses":["192.0.2.%d"]}`, k%200+1)
				if k/20%3 == 2 {
					method, body = http.MethodDelete, ""
				}
				if status, answer, err := s.do(method, path, body); err != nil || status/100 != 2 {
					t.Errorf("%s %s: %v, status %d: %s", method, path, err, status, answer)
				}
			}
		})
	}
	var mu sync.Mutex
	contents := map[uint32]string{}
	transfers := 0
	until := time.Now().Add(3500 * time.Millisecond)
	for range 3 {
		readers.Go(func() {
			for ; time.Now().Before(until) && !t.Failed(); time.Sleep(20 * time.Millisecond) {
				records, err := s.transfer(new(dns.Msg).SetAxfr("cluster.local."))
				if err != nil {
					t.Error(err)
					return
				}
				soa := records[0].(*dns.SOA)
				for _, rr := range records {
					rr.Header().Ttl = 0
				}
				is := strings.Join(texts(records), "\n")
				now := uint32(time.Now().Unix())
				mu.Lock()
				if was := contents[soa.Serial]; was != "" && was != is {
					t.Errorf("serial %d is of\n%s\nand of\n%s", soa.Serial, was, is)
				}
				contents[soa.Serial] = is
				transfers++
				mu.Unlock()
				if soa.Serial > now || soa.Serial+uint32(5*slowness) < now {
					t.Errorf("serial %d while it changes, want about the Unix time, %d", soa.Serial, now)
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
	if len(contents) < 2 || len(contents) > 6*slowness {
		t.Errorf("%d serials in about 4 seconds of changes, want one a second and more than one", len(contents))
	}
	s.settle(t)
	asker := dial(t, "tcp", s.dns)
	var web []string
	for _, rr := range s.zone(t, new(dns.Msg).SetAxfr("cluster.local.")) {
		if rr.Header().Name == under("web") && rr.Header().Rrtype == dns.TypeA {
			web = append(web, text(rr))
		}
	}
	slices.Sort(web)
	asker.wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, web...)
	t.Logf("%d transfers of %d serials", transfers, len(contents))
}

// A secondary never takes a zone with a serial that is not greater than its own, so that the
// serial grows whatever the table is kept in.
func TestSerialGrowsOverRestartsRestoresAndMovesBetweenStores(t *testing.T) {
	t.Parallel()
	on := func(store string) string {
		return fmt.Sprintf(`
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        store %s
    }
    errors
    ready {$READY}
}`, store)
	}
	dir, empty, restored := t.TempDir(), t.TempDir(), t.TempDir()
	last := uint32(0)
	for _, tt := range []struct{ what, store string }{
		{"in memory", "memory"},
		{"on a disk", "disk " + dir},
		{"an empty directory", "disk " + empty},
		{"a snapshot of before", "disk " + restored},
		{"in memory again", "memory"},
	} {
		s := start(t, on(tt.store))
		check := func(when string) {
			t.Helper()
			got := s.soa(t).Serial
			now := uint32(time.Now().Unix())
			if int32(got-last) <= 0 || got > now || got+uint32(60*slowness) < now {
				t.Errorf("%s, %s: serial %d after %d at %d", tt.what, when, got, last, now)
			}
			last = got
		}
		check("at the start")
		s.settle(t)
		check("after a change")
		if tt.store == "disk "+dir {
			snapshot := s.must(t, http.StatusOK, http.MethodGet, "/v1/snapshot", "")
			if err := os.WriteFile(filepath.Join(restored, "registry.db"), []byte(snapshot), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.stop(t)
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
