package test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// How a server must end is in its method stop.
func TestStopsWhateverItsClientsDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ what, said string }{
		{"no client", ""},
		{"a client that says nothing", "-"},
		{"a client that waits for its next request", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"a client that sends half a header", "GET /v1/status HTTP/1.1\r\nHost:"},
		{"a client that sends half a body", "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"},
		{"a watcher that does not read", "GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := start(t, watching)
			if tt.said != "" {
				conn, err := net.Dial("tcp", s.endpoint.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if tt.said != "-" {
					_, _ = io.WriteString(conn, tt.said)
				}
			}
			// Connections are accepted in order: when this one is answered, that one was seen.
			s.must(t, http.StatusOK, http.MethodGet, "/v1/status", "")
			if strings.Contains(tt.said, "/v1/watch") {
				s.flood(t)
			}
			s.stop(t)
		})
	}
}
