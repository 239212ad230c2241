package httpapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/internal/door"
)

type addr = netip.Addr

var one = netip.MustParseAddr("192.0.2.7")

// conn is a bare connection to the world.
func (w *world) conn() net.Conn {
	w.t.Helper()
	c, err := w.client.Transport.(*http.Transport).DialContext(context.Background(), "tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func TestRequestsThatHaveBegunAreAnswered(t *testing.T) {
	inBubble(t, func(w *world) {
		entered, leave := make(chan struct{}), make(chan struct{})
		w.memory.entered = func() {
			close(entered)
			<-leave
		}
		answered := make(chan answer)
		go func() { answered <- w.do("PUT", web1, oneOf4) }()
		<-entered
		down := make(chan error)
		go func() { down <- w.server.Shutdown(context.Background()) }()
		synctest.Wait() // the listener is closed, and the shutdown waits
		if _, err := w.client.Get("http://" + w.addr + "/v1/status"); err == nil {
			t.Error("a request that comes too late was answered")
		}
		close(leave)
		if got := <-answered; got.code != http.StatusCreated {
			t.Errorf("got %d %s", got.code, got.body)
		}
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestAShutdownWaitsForNobodyFiveSeconds(t *testing.T) {
	inBubble(t, func(w *world) {
		c := w.conn()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", web1)
		synctest.Wait() // it has begun
		began := time.Now()
		if err := w.server.Shutdown(context.Background()); err == nil {
			t.Errorf("a shutdown that breaks off a request reports no error, after %s", time.Since(began))
		}
		if took := time.Since(began); took >= 5*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		if _, err := io.ReadAll(c); err != nil && err != io.ErrClosedPipe {
			t.Errorf("the connection was not closed: %v", err)
		}
	})
}

func TestASlowRequestIsClosed(t *testing.T) {
	for _, c := range []struct {
		what, sent string
		after      time.Duration
		code       string
	}{
		{"nothing at all", "", door.HeaderTimeout, ""},
		{"half a header", "PUT " + web1 + " HTTP/1.1\r\nHost: x\r\n", door.HeaderTimeout, ""},
		{"half a body", "PUT " + web1 + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", door.ReadTimeout, "408"},
		{"half of a body in chunks", "POST /v1/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", door.ReadTimeout, "408"},
	} {
		inBubble(t, func(w *world) {
			conn := w.conn()
			began := time.Now()
			io.WriteString(conn, c.sent)
			got, _ := io.ReadAll(conn)
			if took := time.Since(began).Truncate(time.Second); took != c.after {
				t.Errorf("%s: closed after %s, want %s", c.what, took, c.after)
			}
			if c.code == "" && len(got) > 0 || !strings.Contains(string(got), c.code) {
				t.Errorf("%s: got %q, want %s", c.what, got, c.code)
			}
		})
	}
}

func TestAnIdleConnectionIsClosedInTheEnd(t *testing.T) {
	inBubble(t, func(w *world) {
		conn := w.conn()
		began := time.Now()
		io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != door.IdleTimeout {
			t.Errorf("closed after %s, want %s", took, door.IdleTimeout)
		}
	})
}

func TestAHeaderHasALimit(t *testing.T) {
	w := start(t)
	header := func(size int) string {
		return "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + strings.Repeat("x", size) + "\r\n\r\n"
	}
	if got := w.raw(header(15 << 10)); got.code != http.StatusOK {
		t.Errorf("15 KiB: got %d", got.code)
	}
	if got := w.raw(header(32 << 10)); got.code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("32 KiB: got %d", got.code)
	}
}

func TestConnectionsHaveALimit(t *testing.T) {
	var log logbook
	inBubble(t, func(w *world) {
		var under []net.Conn // under way
		for range 3 {
			conn := w.conn()
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", web1)
			under = append(under, conn)
		}
		synctest.Wait()
		if _, err := w.client.Get("http://" + w.addr + "/v1/status"); err == nil {
			t.Error("a fourth connection of one address was served")
		}
		if got := log.read(); len(got) != 1 || !strings.Contains(got[0], "it has 3 open") {
			t.Errorf("logged %q", got)
		}
		under[0].Close()
		synctest.Wait()
		w.must(http.StatusOK, "GET", "/v1/status", "")
		for _, conn := range under {
			conn.Close()
		}
	}, withLog(&log), func(o *Options) { o.Connections = door.NewConnections(4, o.Now) })
}

// Whoever holds connections and asks for nothing keeps nobody out, from the same address either.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	for _, held := range []struct{ what, sent string }{
		{"that are silent", ""},
		{"that have begun a header", "GET /v1/status HTTP/1.1\r\nHost: x\r\n"},
		{"that have had an answer", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		inBubble(t, func(w *world) {
			var conns []net.Conn
			for range 100 {
				conn := w.conn()
				conns = append(conns, conn)
				io.WriteString(conn, held.sent)
				if strings.HasSuffix(held.sent, "\r\n\r\n") {
					if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
			}
			w.must(http.StatusCreated, "PUT", web1, oneOf4)
			w.must(http.StatusNoContent, "PUT", web1+"/heartbeat", "")
			open := 0
			for _, conn := range conns {
				conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := io.Copy(io.Discard, conn); err != nil { // that it is time, and not the end
					open++
				}
			}
			if open != 5 {
				t.Errorf("connections %s: %d are open, want 5 beside that of the client", held.what, open)
			}
		}, func(o *Options) { o.Connections = door.NewConnections(8, time.Now) })
	}
}

// A request without a credential is answered before its body is there, and the server waits for
// that body: meanwhile its connection gives way as one that is idle.
func TestBodiesOfStrangersKeepNobodyOut(t *testing.T) {
	d := newGate(t, callers...)
	const body = "Host: x\r\nContent-Length: 9\r\n\r\n{"
	for _, held := range []struct{ what, sent string }{
		{"have no credential", "PUT " + web1 + " HTTP/1.1\r\n" + body},
		{"have a wrong credential", "PUT " + web1 + " HTTP/1.1\r\nAuthorization: Bearer wrong\r\n" + body},
		{"may not do what they ask for", "PUT " + web1 + " HTTP/1.1\r\nAuthorization: Bearer " + token("reader") + "\r\n" + body},
		{"ask for what is open to everybody", "GET /v1/status HTTP/1.1\r\n" + body},
		{"ask for nothing that is there", "PUT /v1/nothing HTTP/1.1\r\n" + body},
	} {
		inBubble(t, func(w *world) {
			for range 100 {
				io.WriteString(w.conn(), held.sent)
				synctest.Wait()
			}
			w.must(http.StatusCreated, "PUT", web1, oneOf4, as("root")...)
			w.must(http.StatusNoContent, "PUT", web1+"/heartbeat", "", as("root")...)
		}, d.guards, func(o *Options) { o.Connections = door.NewConnections(8, time.Now) })
	}
}

func TestTLSIsServed(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	defer certs.Close()
	w := start(t, func(o *Options) { o.TLS = &tls.Config{Certificates: certs.TLS.Certificates} })
	client := certs.Client()
	response, err := client.Get("https://" + w.addr + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	client.CloseIdleConnections()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %d", response.StatusCode)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	w := start(t)
	c := w.conn()
	r := bufio.NewReader(c)
	for _, request := range []string{
		"PUT " + web1 + " HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n" + oneOf4,
		"PUT " + web1 + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"PUT " + web1 + "/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345",
		"GET /none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345",
		"GET " + web1 + " HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		io.WriteString(c, request)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		io.Copy(io.Discard, response.Body)
		if response.Close || response.ContentLength < 0 && response.StatusCode != http.StatusNoContent {
			t.Errorf("%q: got %d of %d bytes, and the connection is closed: %t", request, response.StatusCode, response.ContentLength, response.Close)
		}
	}
}
