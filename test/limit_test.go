package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTableHasItsLimits(t *testing.T) {
	t.Parallel()
	const registration, other = `{"addresses":["192.0.2.7"],"leaseSeconds":0}`, `{"addresses":["192.0.2.8"],"leaseSeconds":0}`
	path := func(namespace, service, id string) string {
		return "/v1/namespaces/" + namespace + "/services/" + service + "/instances/" + id
	}
	for _, tt := range []struct {
		limit string
		there []string // paths of instances that there is room for
		more  []write  // that there is not
		says  string
	}{
		{"instances 2", []string{path("a", "a", "1"), path("b", "b", "1")}, []write{
			{http.MethodPut, path("a", "a", "2"), registration},
			{http.MethodPost, "/v1/batch", `{"operations":[{"op":"register","namespace":"a","service":"a","id":"2","instance":` + registration + `}]}`},
			{http.MethodPost, "/v1/import", `{"format":1,"services":[],"instances":[{"namespace":"a","service":"a","id":"2","addresses":["192.0.2.7"]}]}`},
		}, "the table has 2 instances"},
		{"instances-per-service 2", []string{path("a", "a", "1"), path("a", "a", "2"), path("a", "b", "1")}, []write{
			{http.MethodPut, path("a", "a", "3"), registration},
		}, "the service has 2 instances"},
		{"services 2", []string{path("a", "a", "1"), path("b", "b", "1")}, []write{
			{http.MethodPut, path("a", "c", "1"), registration},
			{http.MethodPut, "/v1/namespaces/a/services/c", `{"type":"headless"}`},
		}, "the table has 2 services"},
		{"namespaces 2", []string{path("a", "a", "1"), path("b", "b", "1"), path("b", "c", "1")}, []write{
			{http.MethodPut, path("c", "a", "1"), registration},
			{http.MethodPut, "/v1/namespaces/c/services/a", `{"type":"headless"}`},
		}, "the table has 2 namespaces"},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			t.Parallel()
			s := startGuarded(t, newFiles(t), guarded("limit "+tt.limit))
			for _, path := range tt.there {
				s.must(t, http.StatusCreated, http.MethodPut, path, registration)
			}
			revision := s.endpoint.revision(t)
			for _, w := range tt.more {
				if answer, err := s.wants(http.StatusUnprocessableEntity, w.method, w.path, w.body); err != nil || !strings.Contains(answer, tt.says) {
					t.Errorf("got %v, %s, want 422 and %q", err, answer, tt.says)
				}
			}
			if now := s.endpoint.revision(t); now != revision {
				t.Errorf("the revision is %d, want %d: something was written", now, revision)
			}
			for _, path := range tt.there { // what is there stays, is changed and renewed
				s.must(t, http.StatusOK, http.MethodPut, path, other)
				s.must(t, http.StatusNoContent, http.MethodPut, path+"/heartbeat", "")
			}
			s.must(t, http.StatusOK, http.MethodDelete, tt.there[0], "")
			s.must(t, http.StatusCreated, http.MethodPut, tt.there[0], registration)
		})
	}
}

func TestOnlyAdmittedNetworks(t *testing.T) {
	t.Parallel()
	s := startGuarded(t, newFiles(t), guarded("admit 192.0.2.0/25 2001:db8:1::/48"))
	for _, tt := range []struct {
		addresses []string
		want      int
	}{
		{[]string{"192.0.2.127"}, http.StatusCreated},
		{[]string{"2001:db8:1::7"}, http.StatusOK},
		{[]string{"192.0.2.7", "2001:db8:1::7"}, http.StatusOK},
		{[]string{"192.0.2.128"}, http.StatusUnprocessableEntity},
		{[]string{"2001:db8:2::7"}, http.StatusUnprocessableEntity},
		{[]string{"192.0.2.7", "198.51.100.7"}, http.StatusUnprocessableEntity},
		{[]string{"127.0.0.1"}, http.StatusUnprocessableEntity},
		{[]string{"::ffff:192.0.2.7"}, http.StatusUnprocessableEntity},
	} {
		body := encode(object{"addresses": tt.addresses})
		if _, err := s.wants(tt.want, http.MethodPut, instancePath("web", "web-1"), body); err != nil {
			t.Error(err)
		}
	}
}

// A client that floods the endpoint is told to wait. Nobody loses a lease by that, nor an
// answer, and the client neither.
func TestFloodCostsItsSenderAlone(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	root, mad, sane := newToken(), newToken(), newToken()
	f.setTokens(t, tokenLine("root", root, "admin"), tokenLine("mad", mad, "write:*/*"), tokenLine("sane", sane, "write:*/*"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens\nlimit requests-per-second 40"))
	asMad, asSane := s.as(t, mad, nil), s.as(t, sane, nil).from("127.0.0.2")
	asMad.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "mad"), `{"addresses":["192.0.2.7"]}`)
	asSane.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "sane"), `{"addresses":["192.0.2.8"]}`)

	ctx, cancel := context.WithCancel(t.Context())
	var flooding sync.WaitGroup
	defer flooding.Wait()
	defer cancel()
	var refused atomic.Int64
	flood := func(e *endpoint, admitted ...int) {
		for n := 0; ctx.Err() == nil; n++ {
			status, retryAfter, contentType := e.problem(t, http.MethodPut, instancePath("web", fmt.Sprint("flood-", n%10)), `{"addresses":["192.0.2.9"]}`)
			if status == http.StatusTooManyRequests {
				refused.Add(1)
				if seconds, err := strconv.Atoi(retryAfter); err != nil || seconds < 1 || seconds > 5 || contentType != "application/problem+json" {
					t.Errorf("429 with Retry-After %q, %s, want a few seconds and a problem", retryAfter, contentType)
				}
				continue
			}
			if status != admitted[0] && status != admitted[1] {
				t.Errorf("got %d, want 429 or one of %v", status, admitted)
			}
		}
	}
	for range 3 {
		flooding.Go(func() { flood(asMad, http.StatusCreated, http.StatusOK) })
	}
	guesser := s.as(t, newToken(), nil).from("127.0.0.2") // behind one address with who is sane
	flooding.Go(func() { flood(guesser, http.StatusUnauthorized, http.StatusUnauthorized) })
	soon(t, "the flood is refused", func() bool { return refused.Load() > 50 })

	asker := dial(t, "udp", s.dns)
	anywhere := s.as(t, "", nil)
	for range 50 / slowness {
		for _, who := range []struct {
			*endpoint
			id string
		}{{asMad, "mad"}, {asSane, "sane"}} {
			who.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", who.id), "")
			who.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", encode(object{"instances": []object{identity("web", who.id)}}))
		}
		anywhere.must(t, http.StatusOK, http.MethodGet, "/v1/status", "")
		if got := asker.must(t, under("web"), dns.TypeA); !has(got.Answer, "192.0.2.7") || !has(got.Answer, "192.0.2.8") {
			t.Fatalf("in the flood an instance is not answered\n%s", got.Msg)
		}
	}
	for n := range 20 { // within what it may
		asSane.must(t, http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprint("sane-", n)), `{"addresses":["192.0.2.8"]}`)
	}
	// Its credential is out of breath wherever it comes from.
	elsewhere := s.as(t, mad, nil).from("127.0.0.4")
	soon(t, "the flooding credential is refused at another address", func() bool {
		status, answer, err := elsewhere.do(http.MethodGet, "/v1/services", "")
		return err == nil && status == http.StatusTooManyRequests && strings.Contains(answer, "this credential")
	})
	cancel()
	flooding.Wait()
	soon(t, "who has flooded may come again", func() bool {
		status, err := asMad.status(t.Context(), http.MethodGet, "/v1/services", "")
		return err == nil && status == http.StatusOK
	})
	if got := s.scrape(t).sum("coredns_registry_endpoint_requests_total", `code="429"`); got < float64(refused.Load()) {
		t.Errorf("the metric counts %.0f refusals, want at least %d", got, refused.Load())
	}
}

// On a machine's own endpoint that asks for no credential there is one address for all: a
// limit there would have one shut out the others.
func TestOpenLoopbackHasNoLimitOfRequests(t *testing.T) {
	t.Parallel()
	s := startGuarded(t, newFiles(t), guarded(""))
	const connections, each = 4, 6000 // past what the default of others admits in a second
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			conn, err := s.pipeline(strings.Repeat("PUT "+heartbeatPath("web", "none")+" HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n", each/2/slowness))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for range each / 2 / slowness * 2 {
				response, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode == http.StatusTooManyRequests {
					t.Error("429 on an open loopback endpoint")
					return
				}
			}
		})
	}
	all.Wait()
}

// pipeline sends requests one after the other and waits for no answer, on a connection where
// the answers come.
func (e *endpoint) pipeline(requests string) (net.Conn, error) {
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		return nil, err
	}
	go func() { _, _ = io.WriteString(conn, requests) }()
	return conn, conn.SetDeadline(time.Now().Add(patience))
}
