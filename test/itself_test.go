package test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A server that follows an alias asks itself. What it answers itself is not for the client.
func TestAQuestionHasOneReply(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}
example.org:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}
example.net:{$DNS} {
    bind 127.0.0.1
    file {$ZONE}
    errors
}`, "ZONE="+writeFile(t, `
$ORIGIN example.net.
@ 3600 SOA ns.dns hostmaster 1 7200 1800 86400 60
www 60 CNAME web.default.svc.cluster.local.
`))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	s.must(t, http.StatusCreated, http.MethodPut, servicePath("far"), `{"type":"externalName","externalName":"web.default.svc.example.org"}`)
	for _, tt := range []struct {
		what, name string
		want       []string
	}{
		{"an external name into another server block", under("far"), []string{
			under("far") + " CNAME web.default.svc.example.org.", "web.default.svc.example.org. A 192.0.2.7"}},
		{"a CNAME of a file into ours", "www.example.net.", []string{
			under("web") + " A 192.0.2.7", "www.example.net. CNAME " + under("web")}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			conn, err := net.Dial("udp", s.dns)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for n := range 3 {
				query := new(dns.Msg).SetQuestion(tt.name, dns.TypeA)
				query.Id = uint16(n + 1)
				got := roundTrip(t, conn, query)
				if got.Id != query.Id || got.Question[0] != query.Question[0] {
					t.Fatalf("query %d: got a datagram that answers another:\n%s", query.Id, got)
				}
				if fmt.Sprint(texts(got.Answer)) != fmt.Sprint(tt.want) {
					t.Errorf("got %q, want %q", texts(got.Answer), tt.want)
				}
			}
		})
	}
}

// roundTrip sends a query and returns the first message that comes.
func roundTrip(t *testing.T, conn net.Conn, query *dns.Msg) *dns.Msg {
	t.Helper()
	wire, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(wire); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	got := new(dns.Msg)
	if err := got.Unpack(buffer[:n]); err != nil {
		t.Fatal(err)
	}
	return got
}
