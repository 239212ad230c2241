package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// limitedTo starts a process that may have few files open.
func limitedTo(most int) []string {
	return []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, most)}
}

// Somebody holds more connections than the process may have files. DNS over TCP and the endpoint
// go on, for others at the same address too.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	const files, most = 1024, 512
	s := launchBy(t, limitedTo(files), `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}`)
	s.log.wait(t, 0, "CoreDNS-")
	s.log.wait(t, 0, fmt.Sprintf("its endpoints take %d connections at once", most))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":86400}`)

	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
	for _, held := range []struct{ what, sent string }{
		{"that are silent", ""},
		{"that have begun a header", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n"},
		{"that have had an answer", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		var conns []net.Conn
		for range files + 76 {
			conn, err := dialer.Dial("tcp", s.endpoint.address)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			if _, err := io.WriteString(conn, held.sent); err != nil {
				t.Fatal(err)
			}
			if held.sent != "" && held.sent[len(held.sent)-4:] == "\r\n\r\n" {
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		// This connection has been there from the beginning, and is no longest idle one.
		s.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", "web-1"), "")
		for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
			another := s.as(t, "", nil).from(from)
			another.must(t, http.StatusOK, http.MethodGet, instancePath("web", "web-1"), "")
			another.client.CloseIdleConnections()
		}
		for _, network := range []string{"tcp", "udp"} {
			dial(t, network, s.dns).wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.7")
		}
		if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Pid)); err == nil && len(open) > most*3/4+100 {
			t.Errorf("connections %s: the process has %d files open, want few beside the %d connections of one address", held.what, len(open), most*3/4)
		}
		for _, conn := range conns {
			conn.Close()
		}
	}
}
