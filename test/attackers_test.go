package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// smuggled is a request that an attacker hides in what a proxy takes for part of another. It
// would change the table.
var smuggled = "PUT " + instancePath("web", "smuggled") + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 46\r\n\r\n" +
	`{"addresses":["192.0.2.66"],"leaseSeconds":0} `

// smuggling are requests whose end two servers may see at different places.
var smuggling = []struct {
	what, text string
	statuses   []int // of all answers that may come; none is the connection being closed
}{
	{"two lengths", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 100\r\n\r\n", []int{400}},
	{"two lengths in one", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 100\r\n\r\n", []int{400}},
	{"a length with a sign", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n", []int{400}},
	{"a length in hexadecimal", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x0\r\n\r\n", []int{400}},
	{"an empty length", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: \r\n\r\n", []int{400}},
	{"a space before the colon of a length", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length : 0\r\n\r\n", []int{400}},
	{"a tab before the colon of chunks", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"a length hidden by a fold", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nX: y\r\n Content-Length: 0\r\nContent-Length: 1000000\r\n\r\n", []int{400, 413}},
	{"a fold before the first header", "POST /v1/heartbeats HTTP/1.1\r\n Host: localhost\r\nContent-Length: 0\r\n\r\n", []int{400}},
	{"a carriage return alone", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nX: y\rContent-Length: 0\r\n\r\n", []int{400}},
	{"a NUL in a header", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nX: y\x00\r\nContent-Length: 0\r\n\r\n", []int{400}},
	{"chunks that are not the last coding", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", []int{501, 400}},
	{"chunks in capitals and twice", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", []int{501, 400}},
	{"chunks behind a vertical tab", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", []int{501, 400}},
	{"a line feed alone after a chunk's size", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", []int{400}},
	{"a line feed alone in a chunk's extension", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n", []int{400}},
	{"a chunk longer than it says", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n", []int{400}},
	{"a size with a sign", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", []int{400}},
	{"a size in 0x", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", []int{400}},
	{"chunks in HTTP/1.0", "POST /v1/heartbeats HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400, 501}},
	{"two hosts", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", []int{400}},
	{"a request after one that is refused unread", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9000000\r\n\r\n", []int{415, 413}},
	// RFC 9112, section 6.1: chunks and a length may be answered, but nothing after them.
	{"chunks and a length", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
	{"a length and chunks", "POST /v1/heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", []int{400}},
}

func TestNothingIsSmuggledIn(t *testing.T) {
	t.Parallel()
	s := startGuarded(t, newFiles(t), guarded(""))
	before := s.endpoint.revision(t)
	for _, tt := range smuggling {
		statuses, err := s.statuses(tt.text + smuggled)
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		if len(statuses) > 1 || len(statuses) == 1 && !slices.Contains(tt.statuses, statuses[0]) {
			t.Errorf("%s: got %d, want one of %d and no more", tt.what, statuses, tt.statuses)
		}
		if now := s.endpoint.revision(t); now != before {
			t.Errorf("%s: what followed was taken for a request", tt.what)
			before = now
			s.must(t, http.StatusOK, http.MethodDelete, instancePath("web", "smuggled"), "")
			before = s.endpoint.revision(t)
		}
	}
	if statuses, err := s.statuses(smuggled); err != nil || !slices.Equal(statuses, []int{http.StatusCreated}) {
		t.Errorf("the request itself gets %d, %v, want 201: nothing has been shown", statuses, err)
	}
}

// statuses sends a text and returns all that it is answered with, until the server closes the
// connection.
func (e *endpoint) statuses(text string) (all []int, err error) {
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	answers := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			all = append(all, response.StatusCode)
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return all, fmt.Errorf("neither answered nor closed: %w", err)
		}
		if err != nil { // the end, or what net/http says when it closes
			return all, nil
		}
	}
}

// However a path is written, a grant is for what it names, or it names nothing.
func TestNoPathLeadsAroundAGrant(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	root, b := newToken(), newToken()
	f.setTokens(t, tokenLine("root", root, "admin"), tokenLine("b", b, "write:default/b"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens"))
	s.endpoint = *s.as(t, root, nil)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("a", "a-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	before := s.endpoint.revision(t)
	const at, to = "/v1/namespaces/default/services/", "/instances/a-1"
	self := "http://" + s.endpoint.address
	for _, target := range []string{
		at + "a" + to, at + "%61" + to, at + "%2561" + to, at + "A" + to, at + "%41" + to,
		at + "b/../a" + to, at + "b/%2e%2e/a" + to, at + "b/.%2e/a" + to, at + "b/..;/a" + to, at + "b%2f..%2fa" + to, at + "b%2F%2E%2E%2Fa" + to, at + "b%5c..%5ca" + to, at + `b\..\a` + to,
		at + "b/instances/x/../../../a" + to, at + "b/instances/..%2f..%2fa" + to, at + "b/instances/x/../../a" + to,
		at + "/a" + to, "/" + at + "a" + to, "//v1/namespaces/default/services/a" + to, "/v1//namespaces/default/services/a" + to, at + "./a" + to, at + "%2e/a" + to,
		at + "a;b" + to, at + "a;/../b" + to, at + "b;a" + to, at + "a%3bb" + to, at + "a%00" + to, at + "a%00b" + to, at + "b%00/../a" + to, at + "a%20" + to, at + "a%09" + to, at + "a." + to, at + "*" + to, at + "%2a" + to,
		at + "a%c0%af" + to, at + "%ef%bd%81" + to, at + "a%e2%80%8b" + to, at + "b?service=a", at + "a" + to + "?service=b", at + "a" + to + "#b", at + "a" + to + "?", at + "a" + to + "/",
		"/v1/namespaces/%2a/services/a" + to, "/v1/namespaces/default%2fservices%2fb/services/a" + to, "/V1/namespaces/default/services/a" + to,
		self + at + "a" + to, self + at + "b/../a" + to, "http://evil.example" + at + "a" + to, "https:" + self[5:] + at + "a" + to, "http:///" + at + "a" + to, "file://" + at + "a" + to,
		s.endpoint.address, "localhost:443", "*", "?", "a", at[1:] + "a" + to,
	} {
		for _, method := range []string{"PUT", "DELETE", "GET", "CONNECT", "TRACE", "OPTIONS", "POST", "MOVE", "put"} {
			text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nX-HTTP-Method-Override: PUT\r\nX-Original-URL: %s\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\nContent-Length: 46\r\n\r\n%s ",
				method, target, s.endpoint.address, b, at+"b"+to, `{"addresses":["192.0.2.66"],"leaseSeconds":0}`)
			statuses, err := s.statuses(text)
			if err != nil || len(statuses) > 1 || slices.ContainsFunc(statuses, func(status int) bool { return status < 400 || status >= 500 }) {
				t.Errorf("%s %s: got %d, %v, want it refused", method, target, statuses, err)
			}
		}
	}
	if now := s.endpoint.revision(t); now != before {
		t.Errorf("the revision is %d, want %d: something was written", now, before)
	}
	for _, target := range []string{at + "b" + to, at + "%62" + to, self + at + "b" + to} { // what it may, it may
		statuses, err := s.statuses(fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Length: 27\r\n\r\n%s", target, b, `{"addresses":["192.0.2.7"]}`))
		if err != nil || len(statuses) != 1 || statuses[0] >= 300 {
			t.Errorf("PUT %s: got %d, %v, want 200 or 201", target, statuses, err)
		}
	}
}

// What a web page can have a browser on this machine send is refused.
func TestWebPagesAreRefused(t *testing.T) {
	t.Parallel()
	s := startGuarded(t, newFiles(t), guarded(""))
	before := s.endpoint.revision(t)
	const body = `{"operations":[{"op":"register","namespace":"default","service":"web","id":"evil","instance":{"addresses":["192.0.2.66"]}}]}`
	_, port, _ := net.SplitHostPort(s.endpoint.address)
	for _, tt := range []struct{ what, host, header string }{
		{"a name that was rebound", "evil.example", ""},
		{"a name that was rebound, with the port", "evil.example:" + port, ""},
		{"a name that was rebound, and its page", "evil.example:" + port, "Origin: http://evil.example:" + port + "\r\nSec-Fetch-Site: same-origin\r\n"},
		{"a name that looks like this machine", "127.0.0.1.evil.example", ""},
		{"a name below localhost", "evil.localhost", ""},
		{"a name like localhost", "localhost.evil.example", ""},
		{"the address of nobody", "0.0.0.0:" + port, ""},
		{"an address in decimal", "2130706433", ""},
		{"another address of this machine", "192.0.2.2:" + port, ""},
		{"a user before the host", "localhost@evil.example", ""},
		{"a page of another origin", "localhost:" + port, "Origin: http://evil.example\r\n"},
		{"a page of no origin", "localhost:" + port, "Origin: null\r\n"},
		{"a page of another port", "localhost:" + port, "Origin: http://localhost:3000\r\nSec-Fetch-Site: same-site\r\n"},
		{"two origins", "localhost:" + port, "Origin: http://localhost:" + port + "\r\nOrigin: http://evil.example\r\n"},
		{"an origin that is none", "localhost:" + port, "Origin: %%%\r\n"},
		{"a picture on a page of another site", "localhost:" + port, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"},
		{"a link on a page of another port", "localhost:" + port, "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\n"},
	} {
		for _, request := range []string{
			"POST /v1/batch", "POST /v1/heartbeats", "POST /v1/import", "PUT " + instancePath("web", "evil"), "DELETE " + servicePath("web"),
			"GET /v1/status", "GET /v1/services", "GET /v1/watch", "GET /v1/export", "HEAD /openapi.json",
		} {
			text := fmt.Sprintf("%s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n%s", request, tt.host, tt.header, len(body), body)
			statuses, err := s.statuses(text)
			if err != nil || len(statuses) != 1 || statuses[0] != http.StatusForbidden && statuses[0] != http.StatusBadRequest {
				t.Errorf("%s of %s: got %d, %v, want 403", request, tt.what, statuses, err)
			}
		}
	}
	// A form needs no leave to post these types, and sends no Origin everywhere.
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"} {
		text := fmt.Sprintf("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
		if statuses, err := s.statuses(text); err != nil || !slices.Equal(statuses, []int{http.StatusUnsupportedMediaType}) {
			t.Errorf("a form of %s: got %d, %v, want 415", contentType, statuses, err)
		}
	}
	text := fmt.Sprintf("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if statuses, err := s.statuses(text); err != nil || !slices.Equal(statuses, []int{http.StatusForbidden}) {
		t.Errorf("a page without a Content-Type: got %d, %v, want 403", statuses, err)
	}
	r, err := http.NewRequest(http.MethodOptions, "http://"+s.endpoint.address+instancePath("web", "evil"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "http://evil.example")
	r.Header.Set("Access-Control-Request-Method", "PUT")
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for name := range response.Header {
		if response.StatusCode < 400 || strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("a page that asks whether it may: got %d, %v, want no leave", response.StatusCode, response.Header)
		}
	}
	if now := s.endpoint.revision(t); now != before {
		t.Errorf("the revision is %d, want %d: a page has written", now, before)
	}
	for _, host := range []string{"localhost", "localhost:" + port, "LOCALHOST.:" + port, "127.0.0.1", "127.0.0.2:80", "[::1]:" + port} {
		text := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nConnection: close\r\nContent-Length: 27\r\n\r\n%s", instancePath("web", "web-1"), host, host, `{"addresses":["192.0.2.7"]}`)
		if statuses, err := s.statuses(text); err != nil || len(statuses) != 1 || statuses[0] >= 300 {
			t.Errorf("the host %s: got %d, %v, want 200 or 201", host, statuses, err)
		}
	}
}

// Whatever comes, the server afterwards costs what it did, and answers as fast.
func TestHostileRequestsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	h := startHostile(t)
	slow := h.slowly(t, 50)
	latency := h.latency(t)
	requests := costly()
	h.attack(t, func(rounds int) {
		for range max(1, rounds/4) {
			for _, r := range requests {
				h.refusesWhole(t, r)
			}
		}
	})
	if now := h.latency(t); now > 20*latency+50*slowness*time.Millisecond {
		t.Errorf("an ordinary request takes %s, and took %s before", now, latency)
	}
	slow()
}

// refusesWhole sends a request and reads all that it is answered. An import that comes while
// the answer to another is still being written is told to come again.
func (h *hostile) refusesWhole(t *testing.T, r hostileRequest) {
	t.Helper()
	statuses, err := h.statuses(r.text)
	for _, status := range statuses {
		busy := status == http.StatusServiceUnavailable && strings.Contains(r.what, "/v1/import")
		if status < 400 || isServersFault(status) && !busy {
			t.Errorf("%s: got %d, want 4xx", r.what, statuses)
		}
	}
	if err != nil {
		t.Errorf("%s: %v", r.what, err)
	}
}

// costly are requests that cost their sender little, and a careless server much.
func costly() (all []hostileRequest) {
	add := func(what, text string) { all = append(all, hostileRequest{what, text}) }
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 16<<20)) // to memory
	_ = w.Close()
	body := func(method, path, header, text string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", method, path, header, len(text), text)
	}
	chunked := func(coding, text string) string {
		return fmt.Sprintf("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", coding, len(text), text)
	}
	for _, path := range []string{"/v1/batch", "/v1/heartbeats", "/v1/import"} {
		for _, coding := range []string{"gzip", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"} {
			add(coding+" to "+path, body("POST", path, "Content-Encoding: "+coding+"\r\n", bomb.String()))
		}
	}
	add("two codings", body("PUT", instancePath("web", "web-2"), "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", bomb.String()))
	for _, coding := range []string{"gzip, chunked", "gzip", "chunked, gzip", "deflate, chunked", "chunked, chunked"} {
		add("Transfer-Encoding: "+coding, chunked(coding, bomb.String()))
	}
	deep := func(open, end string) string { return strings.Repeat(open, 100_000) + strings.Repeat(end, 100_000) }
	wide := "[" + strings.TrimSuffix(strings.Repeat("[],", 200_000), ",") + "]"
	for _, path := range []string{"/v1/batch", "/v1/heartbeats", "/v1/import"} {
		for _, member := range []string{"", `{"operations":`, `{"instances":`, `{"format":1,"services":`, `{"unknown":`} {
			end := strings.Repeat("}", min(len(member), 1))
			add("deep lists in "+member+" to "+path, body("POST", path, "", member+deep("[", "]")+end))
			add("deep objects in "+member+" to "+path, body("POST", path, "", member+deep(`{"a":`, "}")+end))
			add("a wide list in "+member+" to "+path, body("POST", path, "", member+wide+end))
		}
		add("many members to "+path, body("POST", path, "", "{"+strings.TrimSuffix(strings.Repeat(`"a":0,`, 100_000), ",")+"}"))
		add("a long key to "+path, body("POST", path, "", `{"`+strings.Repeat("a", 1<<20)+`":0}`))
		add("a long number to "+path, body("POST", path, "", `{"operations":`+strings.Repeat("1", 1<<20)+`}`))
	}
	many := func(header string, n int) string {
		return "GET /v1/services HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat(header, n) + "\r\n"
	}
	add("many headers", many("X: y\r\n", 100_000))
	add("many headers of different names", func() string {
		var b strings.Builder
		for n := range 10_000 {
			fmt.Fprintf(&b, "X-%d: y\r\n", n)
		}
		return many(b.String(), 1)
	}())
	add("a header of a megabyte", many("X: "+strings.Repeat("y", 1<<20)+"\r\n", 1))
	add("a header that is folded for ever", many("X: y\r\n"+strings.Repeat(" y\r\n", 100_000), 1))
	add("many cookies", many("Cookie: "+strings.Repeat("a=b; ", 100)+"\r\n", 200))
	add("a long target", "GET /"+strings.Repeat("a", 1<<20)+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	add("many parameters", "GET /v1/services?limit=x&"+strings.Repeat("a=b&", 3000)+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	add("CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
	add("TRACE", "TRACE /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Secret: x\r\n\r\n")
	add("OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	add("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00")
	add("HTTP/2 by upgrade", "GET /v1/services?limit=x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	add("WebSocket", "GET /v1/watch?since=x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	add("a TLS greeting", "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"+strings.Repeat("\x07", 193))
	add("SOCKS", "\x05\x02\x00\x02")
	add("a proxy's greeting", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n")
	add("an expectation", body("POST", "/v1/batch", "Expect: 200-ok\r\n", "{}"))
	return all
}

// latency is what an ordinary request takes in the median.
func (h *hostile) latency(t *testing.T) time.Duration {
	t.Helper()
	var all []time.Duration
	for range 50 {
		began := time.Now()
		h.must(t, http.StatusOK, http.MethodGet, instancePath("web", "web-1"), "")
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// slowly begins requests of which a byte comes now and then, for ever. What it returns waits
// until the server has had enough of those whose header does not end.
func (h *hostile) slowly(t *testing.T, count int) (wait func()) {
	t.Helper()
	var headers, bodies sync.WaitGroup
	began := time.Now()
	for n := range count {
		text, all := "GET /v1/services HTTP/1.1\r\nHost: localhost\r\nX: ", &headers
		if n%2 == 1 {
			text, all = head("POST", "/v1/heartbeats", 1000)+`{"instances":[`, &bodies
		}
		conn, err := net.Dial("tcp", h.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		all.Go(func() {
			_, _ = io.WriteString(conn, text)
			closed := make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				close(closed)
			}()
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_, _ = io.WriteString(conn, " ")
				case <-closed:
					return
				}
			}
		})
	}
	ended := make(chan time.Duration, 1)
	go func() {
		headers.Wait()
		ended <- time.Since(began)
	}()
	return func() {
		t.Helper()
		select {
		case took := <-ended:
			t.Logf("headers that come slowly were borne for %s", took)
		case <-time.After(patience):
			t.Errorf("headers that come slowly are borne for more than %s", time.Since(began))
		}
		if soaking > 0 {
			bodies.Wait()
			t.Logf("bodies that come slowly were borne for %s", time.Since(began))
		}
	}
}
