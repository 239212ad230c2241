package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// reachable is an address of this machine that others reach; it skips the test where there is
// none.
func reachable(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no address but loopback")
	return netip.Addr{}
}

// What could be used by somebody who should not, or by nobody, does not start.
func TestStartsOnlyWhenItIsKnownWhoMayRegister(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	f.put(t, servers.today(t))
	f.replace(t, "other.pem", servers.today(t).Key)
	f.replace(t, "clients.pem", clients.PEM)
	f.replace(t, "empty", nil)
	f.replace(t, "half.pem", clients.PEM[:len(clients.PEM)/2])
	token := newToken()
	f.setTokens(t, tokenLine("root", token, "admin"))
	f.replace(t, "cert-lines", []byte("spiffe://example.org/web cert admin\n"))
	f.replace(t, "plain", []byte("# a comment\nroot "+token+" admin\n"))
	f.replace(t, "misspelt", []byte(tokenLine("root", token, "admin")+"web "+token+token+" write:default/web\n"))
	f.replace(t, "no-grant", []byte(tokenLine("root", token, "admin")+tokenLine("web", newToken(), "write:default")))
	f.replace(t, "twice", []byte(tokenLine("root", token, "admin")+"\n"+tokenLine("web", token, "read:*/*")))
	const whatToWrite = "write `tokens FILE`, or `tls CERT KEY CLIENT_CA`, or `insecure`"
	const pem = "tls {$FILES}/cert.pem {$FILES}/key.pem "
	for _, tt := range []struct{ what, lines, says string }{
		{"all addresses", "listen 0.0.0.0:{$PORT}", whatToWrite},
		{"all IPv6 addresses", "listen [::]:{$PORT}", whatToWrite},
		{"no address", "listen :{$PORT}", whatToWrite},
		{"one that others reach", "listen {$OUTSIDE}:{$PORT}", whatToWrite},
		{"IPv4 as IPv6", "listen [::ffff:0.0.0.0]:{$PORT}", whatToWrite},
		{"encrypted, and for everybody", "listen 0.0.0.0:{$PORT}\n" + pem, whatToWrite},
		{"an audit, and for everybody", "listen 0.0.0.0:{$PORT}\naudit {$FILES}/audit", whatToWrite},

		{"the key of another certificate", "tls {$FILES}/cert.pem {$FILES}/other.pem", "other.pem, for the certificate in"},
		{"key and certificate the wrong way round", "tls {$FILES}/key.pem {$FILES}/cert.pem", "there is no certificate"},
		{"no such certificate", "tls {$FILES}/none.pem {$FILES}/key.pem", "none.pem: no such file"},
		{"no such key", "tls {$FILES}/cert.pem {$FILES}/none.pem", "none.pem: no such file"},
		{"no such authority", pem + "{$FILES}/none.pem", "none.pem: no such file"},
		{"an authority in an empty file", pem + "{$FILES}/empty", "there is no certificate"},
		{"half an authority", pem + "{$FILES}/half.pem", "half.pem: 1 certificates begin in it, and 0 are whole"},
		{"a directory for a certificate", "tls {$FILES} {$FILES}/key.pem", "is no regular file"},

		{"no such tokens", "tokens {$FILES}/none", "none: no such file"},
		{"no tokens in it", "tokens {$FILES}/empty", "nobody could do anything"},
		{"a token that is not hashed", "tokens {$FILES}/plain", "line 2: the second word is no credential"},
		{"what is no hash", "tokens {$FILES}/misspelt", "line 2: the second word is no credential"},
		{"what is no grant", "tokens {$FILES}/no-grant", "line 2: word 3 is no grant"},
		{"one token twice", "tokens {$FILES}/twice", "line 3: this credential stands on line 1"},
		{"certificates that no client is asked for", "tokens {$FILES}/cert-lines", "write `tls CERT KEY CLIENT_CA`"},
		{"certificates that no client is asked for, over TLS", "tokens {$FILES}/cert-lines\n" + pem, "write `tls CERT KEY CLIENT_CA`"},
		{"an audit that cannot be", "audit {$FILES}/none/audit", "none/audit: no such file"},
		{"a limit of nothing", "limit requests 5", "it must be one of instances, services"},
		{"a network with bits behind its length", "admit 192.0.2.1/24", "write 192.0.2.0/24"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			variables := []string{"FILES=" + string(f), "PORT=" + freePort(t)}
			if strings.Contains(tt.lines, "OUTSIDE") {
				variables = append(variables, "OUTSIDE="+reachable(t).String())
			}
			lines := tt.lines
			if !strings.Contains(lines, "listen") {
				lines += "\nlisten {$ENDPOINT}"
			}
			s := launch(t, listening(lines), variables...)
			why := s.refuses(t)
			if !strings.Contains(why, tt.says) || strings.Contains(why, "Registration endpoint on") {
				t.Errorf("it ended with %q, want %q", why, tt.says)
			}
			hasNoSecret(t, "the log", why)
		})
	}
}

// listening is a Corefile whose lines say where it listens.
func listening(lines string) string {
	return strings.Replace(guarded(lines), "listen {$ENDPOINT}", "", 1)
}

// Beyond loopback it starts with each of the three things that say who may register.
func TestListensBeyondLoopback(t *testing.T) {
	t.Parallel()
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	const registration = `{"addresses":["192.0.2.7"]}`
	for _, tt := range []struct {
		what, lines string
		status      int // of a write without a credential; 0 where none is answered
	}{
		{"insecure", "insecure", http.StatusCreated},
		{"tokens", "tokens {$FILES}/tokens", http.StatusUnauthorized},
		{"CLIENT_CA", "tls {$FILES}/cert.pem {$FILES}/key.pem {$FILES}/clients.pem", 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			address := reachable(t)
			f, token := newFiles(t), newToken()
			f.setTokens(t, tokenLine("root", token, "admin"))
			f.put(t, servers.today(t, address.AsSlice()))
			f.replace(t, "clients.pem", clients.PEM)
			port := freePort(t)
			s := startGuarded(t, f, listening("listen {$OUTSIDE}:"+port+"\n"+tt.lines), "OUTSIDE="+address.String())
			s.endpoint.address = net.JoinHostPort(address.String(), port)
			var config *tls.Config
			if tt.status == 0 {
				config = servers.trusting(nil)
			}
			status, err := s.as(t, "", config).status(t.Context(), http.MethodPut, instancePath("web", "web-1"), registration)
			if status != tt.status || (err != nil) != (tt.status == 0) {
				t.Errorf("without a credential: got %d, %v, want %d", status, err, tt.status)
			}
			if tt.status == 0 {
				config = servers.trusting(clients.identified(t, "spiffe://example.org/web"))
			}
			s.as(t, token, config).must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-2"), registration)
			warns := strings.Contains(s.log.String(), "takes tokens without TLS")
			if want := tt.what == "tokens"; warns != want {
				t.Errorf("the log warns of tokens that can be listened to: %t, want %t", warns, want)
			}
		})
	}
}

func TestSpeaksTLSAsItIsSafe(t *testing.T) {
	t.Parallel()
	f, servers := newFiles(t), newAuthority(t, "servers")
	f.put(t, servers.today(t))
	s := startGuarded(t, f, guarded("tls {$FILES}/cert.pem {$FILES}/key.pem"))
	s.log.wait(t, 0, "Registration endpoint on https://")
	for _, tt := range []struct {
		what        string
		least, most uint16
		protocols   []string
		agreed      string // protocol of the application; "none" where there is no connection
	}{
		{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, "none"},
		{"TLS 1.1", tls.VersionTLS11, tls.VersionTLS11, nil, "none"},
		{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, ""},
		{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS13, nil, ""},
		{"HTTP/2 or HTTP/1.1", tls.VersionTLS12, tls.VersionTLS13, []string{"h2", "http/1.1"}, "http/1.1"},
		{"HTTP/2 or nothing", tls.VersionTLS12, tls.VersionTLS13, []string{"h2"}, "none"},
	} {
		config := servers.trusting(nil)
		config.MinVersion, config.MaxVersion, config.NextProtos = tt.least, tt.most, tt.protocols
		agreed := "none"
		conn, err := tls.Dial("tcp", s.endpoint.address, config)
		if err == nil {
			agreed = conn.ConnectionState().NegotiatedProtocol
			conn.Close()
		}
		if agreed != tt.agreed {
			t.Errorf("%s: agreed on %q, %v, want %q", tt.what, agreed, err, tt.agreed)
		}
	}
	weak := servers.trusting(nil)
	weak.MaxVersion = tls.VersionTLS12
	for _, suite := range tls.InsecureCipherSuites() {
		weak.CipherSuites = append(weak.CipherSuites, suite.ID)
	}
	if conn, err := tls.Dial("tcp", s.endpoint.address, weak); err == nil {
		t.Errorf("it agreed on %s", tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
		conn.Close()
	}
	s.as(t, "", servers.trusting(nil)).must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)

	// Who speaks no TLS is told so, and served nothing.
	before := s.scrape(t).sum("coredns_registry_endpoint_requests_total")
	if status, err := s.endpoint.status(t.Context(), http.MethodGet, "/v1/status", ""); err != nil || status != http.StatusBadRequest {
		t.Errorf("plain HTTP: got %d, %v, want 400", status, err)
	}
	for what, text := range map[string]string{
		"what is no TLS":    strings.Repeat("\x00\xff", 1000),
		"half a greeting":   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"an endless record": "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 0xffff),
		"an SSLv2 greeting": "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
	} {
		conn, err := net.Dial("tcp", s.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(conn); err == nil && strings.Contains(string(answer), "HTTP") {
			t.Errorf("%s: got %q, want no HTTP", what, answer)
		}
		conn.Close()
	}
	if after := s.scrape(t).sum("coredns_registry_endpoint_requests_total"); after != before {
		t.Errorf("%.0f requests without TLS have been served", after-before)
	}
}

// TLS handshakes that fail need no credential. The log has some of them, and how many more there were,
// also when no others follow.
func TestFailedHandshakesDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.put(t, newAuthority(t, "servers").today(t))
	s := startGuarded(t, f, guarded("tls {$FILES}/cert.pem {$FILES}/key.pem"))
	began := time.Now()
	const flood = 500
	for range flood {
		conn, err := net.Dial("tcp", s.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "this is no TLS handshake at all")
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, _ = io.Copy(io.Discard, conn) // until the server has closed it
		conn.Close()
	}
	told := func() (lines, more int) {
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, "TLS handshake error from") {
				lines++
			}
			var n int
			if _, err := fmt.Sscanf(line, "%d more TLS handshake errors", &n); err == nil {
				more += n
			}
		}
		return lines, more
	}
	soon(t, "every handshake is told or counted", func() bool {
		lines, more := told()
		return lines+more >= flood
	})
	lines, more := told()
	if most := 10 * (int(time.Since(began)/time.Second) + 2); lines > most || lines+more != flood {
		t.Errorf("%d lines and %d more for %d handshakes in %s, want at most %d lines", lines, more, flood, time.Since(began), most)
	}
}
