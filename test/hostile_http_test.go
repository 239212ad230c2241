package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHostileHTTP(t *testing.T) {
	t.Parallel()
	h := startHostile(t)
	h.attack(t, func(rounds int) {
		for _, r := range hostileRequests() {
			h.refuses(t, r.what, []byte(r.text))
		}
		for range rounds {
			h.mutations(t, 300/slowness)
			h.brokenOff(t, 30)
			h.halfOpen(t, 100)
		}
		h.largeBodies(t)
	})
}

// hostileRequest is one as it goes over the wire.
type hostileRequest struct{ what, text string }

// head is that of a request with a body. What it would write it may not, since nothing
// that is there matches.
func head(method, path string, length int) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"1\"\r\nContent-Length: %d\r\n\r\n", method, path, length)
}

func hostileRequests() (all []hostileRequest) {
	add := func(what, text string) { all = append(all, hostileRequest{what, text}) }
	path := instancePath("web", "web-2")
	for _, body := range []struct{ what, text string }{
		{"no body", ``},
		{"half an object", `{"addresses":["192.0.2.7"]`},
		{"no JSON", `addresses: 192.0.2.7`},
		{"two values", `{"addresses":["192.0.2.7"]}{}`},
		{"a repeated key", `{"addresses":["192.0.2.7"],"addresses":["192.0.2.8"]}`},
		{"a repeated key, escaped", `{"addresses":["192.0.2.7"],"\u0061ddresses":["192.0.2.8"]}`},
		{"a repeated key of metadata", `{"addresses":["192.0.2.7"],"metadata":{"a":"1","a":"2"}}`},
		{"an unknown field", `{"addresses":["192.0.2.7"],"address":"192.0.2.7"}`},
		{"what is not UTF-8", "{\"addresses\":[\"192.0.2.7\"],\"zone\":\"\xff\xfe\"}"},
		{"half a surrogate", `{"addresses":["192.0.2.7"],"zone":"\ud800"}`},
		{"deep lists", strings.Repeat("[", 30000)},
		{"deep objects", strings.Repeat(`{"metadata":`, 5000)},
		{"deep ignored objects", `{"names":` + strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000) + `}`},
		{"a huge number", `{"addresses":["192.0.2.7"],"leaseSeconds":` + strings.Repeat("9", 5000) + `}`},
		{"a number with an exponent", `{"addresses":["192.0.2.7"],"leaseSeconds":1e999999999}`},
		{"a negative port", `{"addresses":["192.0.2.7"],"ports":[{"port":-1}]}`},
		{"null", `null`},
		{"null everywhere", `{"addresses":null,"ports":null,"metadata":null,"status":null}`},
		{"many addresses", `{"addresses":["192.0.2.7"` + strings.Repeat(`,"192.0.2.7"`, 4000) + `]}`},
		{"many faults", `{"addresses":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 10000), ",") + `]}`},
		{"more than 64 KiB", `{"zone":"` + strings.Repeat("x", 64<<10) + `"}`},
		{"a byte order mark", "\xef\xbb\xbf" + `{"addresses":["192.0.2.7"]}`},
		{"a name with a line end", `{"addresses":["192.0.2.7"],"hostname":"web\r\n"}`},
	} {
		add(body.what, head("PUT", path, len(body.text))+body.text)
		add(body.what+" in a batch", head("POST", "/v1/batch", len(body.text)+60)+`{"operations":[{"op":"register","instance":`+body.text+strings.Repeat(" ", 15)+`}]}`)
	}
	for _, path := range []string{
		"/v1/../v1/services", "/v1//services", "//v1/services", "/v1/services/", "/v1/./services", "/v1/%2e%2e/services", "/v1/%2E/services",
		"/v1%2fservices", "/v1/namespaces/default%2Fservices", "/v1/namespaces/default/services/web/instances/..",
		"/v1/namespaces/default/services/web/instances/%2e%2e", "/v1/namespaces/default/services/web/instances/a%2fb",
		"/v1/namespaces/default/services/web/instances/%00", "/v1/namespaces/Default/services/web/instances/x", "/V1/services",
		"/v1/namespaces/default/services/web/instances/web-1/heartbeat/../status", "/v1/namespaces/%ff/services/web",
		"/v1/namespaces/" + strings.Repeat("x", 8000) + "/services/web", "/" + strings.Repeat("a/", 4000), "/%", "/%zz", "*", "/debug/pprof/", "/metrics", "/..%c0%af",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
			add(method+" of path "+path[:min(len(path), 100)], head(method, path, 2)+"{}")
		}
	}
	for _, method := range []string{"PATCH", "TRACE", "CONNECT", "OPTIONS", "BREW", "PRI", "get", strings.Repeat("X", 2000)} {
		add("method "+method[:min(len(method), 10)], head(method, path, 2)+"{}")
	}
	for _, query := range []string{"limit=-1", "limit=999999999999999999999", "limit=x", "continue=%%%", "continue=AAAA", "a=b;c=d", "%zz", "since=-1", "since=99999999999999999999", "since=18446744073709551615", "since=1", "service=web", "namespace=..&service=x", "name=&type=A", "name=..&type=A", "name=x&type=TYPE99999", "type=A"} {
		for _, path := range []string{"/v1/namespaces", "/v1/services", "/v1/explain", "/v1/watch"} {
			if isHarmless(path, query) {
				continue
			}
			add("query "+path+"?"+query, head("GET", path+"?"+query, 0))
		}
	}
	body := `{"addresses":["192.0.2.7"]}`
	for _, header := range []string{
		"Content-Type: text/plain", "Content-Type: application/json; charset=utf-16", "Content-Type: application/json,application/json", "Content-Type: ;;;",
		"Content-Encoding: gzip", "If-Match: x", "If-Match: \"", "If-None-Match: \"1\"", "If-None-Match: W/", "Expect: a miracle",
		"Host: other", "X: " + strings.Repeat("x", 100_000), "X\r\nY: z", ": x", "Content-Length: 5", "Content-Length: -1", "Content-Length: 1e3", "Content-Length: 99999999999999999999999",
		"Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Upgrade: h2c\r\nConnection: Upgrade",
		"Authorization: Bearer " + strings.Repeat("x", 10_000), "Last-Event-ID: x", "\x00: \x01",
	} {
		text := strings.Replace(head("PUT", path, len(body)), "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1)
		add("header "+header[:min(len(header), 60)], text+body)
	}
	chunked := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	for _, chunks := range []string{"zz\r\n{}\r\n0\r\n\r\n", "-1\r\n{}\r\n", "ffffffffffffffff1\r\n{}", "2\r\n{}0\r\n\r\n", "2;" + strings.Repeat("x", 20000) + "\r\n{}\r\n0\r\n\r\n",
		strings.Repeat("1\r\n \r\n", 70000) + "0\r\n\r\n", "0\r\nTrailer: " + strings.Repeat("x", 10000) + "\r\n\r\n"} {
		add("chunks "+chunks[:min(len(chunks), 20)], chunked+chunks)
	}
	add("HTTP/0.9", "GET /v1/status\r\n\r\n")
	add("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	add("HTTP/9.9", "GET /v1/status HTTP/9.9\r\n\r\n")
	add("no host", "GET /v1/services HTTP/1.1\r\n\r\n")
	add("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	add("nothing but line ends", strings.Repeat("\r\n", 1000))
	return all
}

// isHarmless says that there is nothing wrong with the query of that path.
func isHarmless(path, query string) bool {
	switch key := strings.SplitN(query, "=", 2)[0]; key {
	case "limit", "continue":
		return path != "/v1/namespaces" && path != "/v1/services"
	case "since", "service", "namespace":
		return path != "/v1/watch"
	case "name", "type":
		return path != "/v1/explain"
	}
	return false
}

// refuses sends what no server should understand. It must be answered with 4xx, or not at all.
func (h *hostile) refuses(t *testing.T, what string, text []byte) {
	t.Helper()
	status, err := h.send(text)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if status != 0 && status < 400 || isServersFault(status) {
		t.Errorf("%s: got %d, want 4xx: %s", what, status, shortened(string(text)))
	}
}

// isServersFault reports whether a status says that the server went wrong. Two do not: what
// is no HTTP that it speaks, Go's server answers as RFC 9110 has it.
func isServersFault(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported
}

// send writes a text and returns the status that it is answered with; 0 where there is none.
func (h *hostile) send(text []byte) (status int, err error) {
	conn, err := net.Dial("tcp", h.endpoint.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// What is refused may be so before all of it is read.
	go func() {
		_, _ = conn.Write(text)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return 0, fmt.Errorf("neither answered nor closed: %w", err)
		}
		return 0, nil
	}
	response.Body.Close()
	return response.StatusCode, nil
}

// mutations sends requests that were once right. What they are answered with is their own
// affair, as long as it is not the server's fault.
func (h *hostile) mutations(t *testing.T, count int) {
	t.Helper()
	const body = `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","protocol":"tcp","port":8080}],"hostname":"web-1","weight":10,"metadata":{"version":"1.4.2"},"leaseSeconds":30,"status":"up"}`
	batch := `{"operations":[{"op":"deregister","namespace":"default","service":"web","id":"nobody"},{"op":"register","namespace":"default","service":"web","id":"web-2","instance":` + body + `}]}`
	for range count {
		path, text, method := instancePath("web", "web-2"), body, "PUT"
		switch h.random.IntN(4) {
		case 0:
			path, text, method = "/v1/batch", batch, "POST"
		case 1:
			path, text, method = servicePath("db"), `{"type":"clusterIP","clusterIPs":["192.0.2.80"],"ports":[{"name":"sql","port":5432}]}`, "PUT"
		case 2:
			path, text, method = "/v1/heartbeats", `{"instances":[{"namespace":"default","service":"web","id":"web-1"}]}`, "POST"
		}
		mutated := h.mutate([]byte(text))
		status, err := h.send([]byte(head(method, path, len(mutated)) + string(mutated)))
		if err != nil || isServersFault(status) {
			t.Errorf("%s %s %q: got %d, %v", method, path, mutated, status, err)
		}
		whole := h.mutate([]byte(head("GET", path, 0)))
		if status, err := h.send(whole); err != nil || isServersFault(status) {
			t.Errorf("%q: got %d, %v", whole, status, err)
		}
	}
}

// brokenOff begins requests with a body and goes away in the middle.
func (h *hostile) brokenOff(t *testing.T, count int) {
	t.Helper()
	for range count {
		conn, err := net.Dial("tcp", h.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, head("PUT", instancePath("web", "web-2"), 1000)+`{"addresses":["192.`)
		switch h.random.IntN(3) {
		case 0:
			_ = conn.(*net.TCPConn).SetLinger(0)
		case 1:
			_ = conn.(*net.TCPConn).CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			_, _ = io.Copy(io.Discard, conn)
		}
		conn.Close()
	}
}

// halfOpen has connections that say nothing, or half a header, while others are served.
func (h *hostile) halfOpen(t *testing.T, count int) {
	t.Helper()
	for n := range count {
		conn, err := net.Dial("tcp", h.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n%2 == 0 {
			_, _ = io.WriteString(conn, "PUT /v1/namespaces/default/services/we")
		}
	}
	h.must(t, http.StatusOK, http.MethodGet, "/v1/services", "")
}

// largeBodies sends as much as may be sent, at the same time.
func (h *hostile) largeBodies(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for _, body := range []string{
		strings.Repeat("[", 4<<20),
		`{"operations":[` + strings.Repeat(`{},`, 1<<20) + `{}]}`,
		`{"instances":[` + strings.Repeat(`{"id":"x"},`, 300_000) + `{}]}`,
		`{"instances":[` + strings.Repeat(`0,`, 2_000_000) + `0]}`,
	} {
		for _, path := range []string{"/v1/batch", "/v1/heartbeats"} {
			all.Go(func() { h.refuses(t, "a large body", []byte(head("POST", path, len(body))+body)) })
		}
	}
	all.Wait()
}
