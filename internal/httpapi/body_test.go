package httpapi

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

func TestOnlyJSONInUTF8IsRead(t *testing.T) {
	w := start(t)
	for _, c := range []struct {
		what    string
		headers []string
		allowed bool
	}{
		{"no type", nil, true},
		{"its type", []string{"Content-Type", "application/json"}, true},
		{"its type with a charset", []string{"Content-Type", "Application/JSON; charset=UTF-8"}, true},
		{"its type with a parameter that means nothing", []string{"Content-Type", `application/json;q="1"`}, true},
		{"another charset", []string{"Content-Type", "application/json; charset=latin1"}, false},
		{"a type like it", []string{"Content-Type", "application/merge-patch+json"}, false},
		{"that of a form", []string{"Content-Type", "application/x-www-form-urlencoded"}, false},
		{"no type at all", []string{"Content-Type", "json"}, false},
		{"an empty type", []string{"Content-Type", ""}, false},
		{"two types", []string{"Content-Type", "text/plain", "Content-Type", "application/json"}, false},
		{"no coding", []string{"Content-Encoding", "identity"}, true},
		{"compressed", []string{"Content-Encoding", "gzip"}, false},
		{"compressed in the end", []string{"Content-Encoding", "identity, gzip"}, false},
	} {
		for _, r := range []struct{ method, path, body string }{
			{"PUT", web1, oneOf4},
			{"POST", "/v1/heartbeats", `{"instances":[]}`},
			{"POST", "/v1/import", `{"format":1}`},
		} {
			got := w.do(r.method, r.path, r.body, c.headers...)
			if (got.code < 300) != c.allowed || !c.allowed && got.code != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %s %s: got %d %s, allowed is %t", c.what, r.method, r.path, got.code, got.body, c.allowed)
			}
		}
	}
	w.must(http.StatusNoContent, "PUT", web1+"/heartbeat", "whatever", "Content-Type", "text/plain", "Content-Encoding", "x")
}

func TestABodyHasALimit(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	padded := func(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }
	for _, c := range []struct {
		method, path, body string
		limit              int
	}{
		{"PUT", web1, oneOf4, 64 << 10},
		{"PUT", web1 + "/status", `{"status":"up"}`, 64 << 10},
		{"PUT", web, `{}`, 64 << 10},
		{"POST", "/v1/heartbeats", `{"instances":[]}`, 4 << 20},
		{"POST", "/v1/batch", `{"operations":[{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"}]}`, 4 << 20},
	} {
		w.must(http.StatusOK, c.method, c.path, padded(c.body, c.limit))
		got := w.must(http.StatusRequestEntityTooLarge, c.method, c.path, padded(c.body, c.limit+1))
		got.fields(t)

		chunk := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", c.method, c.path, c.limit+1)
		got = w.raw(chunk + padded(c.body, c.limit+1))
		if got.code != http.StatusRequestEntityTooLarge || !got.close {
			t.Errorf("%s %s in chunks: got %d, and that the connection is closed is %t", c.method, c.path, got.code, got.close)
		}
		// What is announced is believed, before any of it is sent.
		got = w.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", c.method, c.path, c.limit+1))
		if got.code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s %s announced: got %d, want 413", c.method, c.path, got.code)
		}
	}
}

func TestABodyThatIsBrokenOffIsRefused(t *testing.T) {
	w := start(t)
	got := w.raw("PUT " + web1 + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
	if got.code != http.StatusBadRequest {
		t.Errorf("chunks that are none: got %d %s, want 400", got.code, got.body)
	}
}

func TestNothingIsDoneBeforeTheTableIsLoaded(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	w.memory.unloaded.Store(true)
	for _, c := range []struct{ method, path, body string }{
		{"GET", web1, ""}, {"PUT", web1, oneOf4}, {"DELETE", web1, ""},
		{"PUT", web1 + "/heartbeat", ""}, {"PUT", web1 + "/status", `{"status":"up"}`},
		{"GET", web, ""}, {"PUT", web, `{}`}, {"DELETE", web, ""},
		{"GET", "/v1/namespaces", ""}, {"GET", "/v1/namespaces/default/services", ""}, {"GET", "/v1/services", ""},
		{"POST", "/v1/heartbeats", `{"instances":[{"namespace":"default","service":"web","id":"web-1"}]}`},
		{"POST", "/v1/batch", `{"operations":[{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"}]}`},
		{"GET", "/v1/watch", ""}, {"GET", "/v1/watch?since=1", ""},
		{"GET", "/v1/export", ""}, {"POST", "/v1/import", `{"format":1}`}, {"POST", "/v1/import?dryRun=true", `{"format":1}`},
	} {
		got := w.must(http.StatusServiceUnavailable, c.method, c.path, c.body)
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", c.method, c.path)
		}
		got.fields(t)
	}
	got := w.must(http.StatusOK, "GET", "/v1/status", "")
	if got.get(t, "ready") != false {
		t.Errorf("got the status %s", got.body)
	}
	w.must(http.StatusOK, "GET", "/v1/explain?name=example.org", "")
	w.must(http.StatusOK, "GET", "/openapi.json", "")
}

func TestTroubleWithTheStoreIsLoggedAndNotTold(t *testing.T) {
	var logged strings.Builder
	w := start(t, func(o *Options) { o.Log = log.New(&logged, "", 0) })
	w.memory.trouble = errors.New("disk is full")
	got := w.must(http.StatusServiceUnavailable, "PUT", web1, oneOf4)
	if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "disk") || !strings.Contains(logged.String(), "PUT instance: disk is full") {
		t.Errorf("got %s, logged %s", got.body, &logged)
	}
}

func TestFaultsThatOnlyTheTableKnowsAreTold(t *testing.T) {
	w := start(t)
	w.memory.trouble = &service.Invalid{Faults: []service.Fault{{Change: 1, Field: "leaseSeconds", Message: "is out of range"}, {Message: "is over a quota"}}}
	got := w.must(http.StatusUnprocessableEntity, "PUT", web1, oneOf4).fields(t)
	if fmt.Sprint(got) != "[ leaseSeconds]" {
		t.Errorf("got %q", got)
	}
	operation := `{"op":"register","namespace":"a","service":"b","id":"c","instance":` + oneOf4 + `}`
	got = w.must(http.StatusUnprocessableEntity, "POST", "/v1/batch", `{"operations":[`+operation+`,`+operation+`]}`).fields(t)
	if fmt.Sprint(got) != "[operations[0] operations[1].instance.leaseSeconds]" {
		t.Errorf("got %q", got)
	}
}
