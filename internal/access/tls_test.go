package access

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// endpoint is a TLS server on loopback, which answers each line with what Verify says of its
// connection.
type endpoint struct {
	*Certificates
	t             *testing.T
	cert, key, ca string // paths; ca is empty where no certificate is asked for
	address       string
	now           func() time.Time
}

func newEndpoint(t *testing.T, cert, key, ca string) *endpoint {
	t.Helper()
	dir := t.TempDir()
	e := &endpoint{t: t, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), now: time.Now}
	mustWrite(t, e.cert, cert)
	mustWrite(t, e.key, key)
	if ca != "" {
		e.ca = filepath.Join(dir, "ca.crt")
		mustWrite(t, e.ca, ca)
	}
	var err error
	if e.Certificates, err = LoadTLS(e.cert, e.key, e.ca, time.Now()); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return e.Config(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e.address = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(conn.(*tls.Conn))
		}
	}()
	return e
}

func (e *endpoint) serve(conn *tls.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		state := conn.ConnectionState()
		fmt.Fprintf(conn, "%v\n", e.Verify(&state, e.now()))
	}
}

// look polls until two polls have seen the same, and returns what was told.
func (e *endpoint) poll(now time.Time) string {
	told := ""
	for range 2 {
		for _, event := range e.Poll(now) {
			told += event.String() + "\n"
		}
	}
	return told
}

// dial connects; the error may be the client's own or the server's refusal.
func (e *endpoint) dial(change func(*tls.Config)) (*tls.Conn, error) {
	config := &tls.Config{InsecureSkipVerify: true} // it is the server that is tested
	if change != nil {
		change(config)
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", e.address, config)
	if err != nil {
		return nil, err
	}
	e.t.Cleanup(func() { conn.Close() })
	if got, err := ask(conn); err != nil || got != "<nil>" {
		return nil, errors.Join(err, errors.New(got))
	}
	return conn, nil
}

func (e *endpoint) mustDial(change func(*tls.Config)) *tls.Conn {
	e.t.Helper()
	conn, err := e.dial(change)
	if err != nil {
		e.t.Fatal(err)
	}
	return conn
}

// shown returns the serial number of the certificate that a new connection is shown.
func (e *endpoint) shown() string {
	e.t.Helper()
	return e.mustDial(nil).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// ask returns what the server says of the connection now.
func ask(conn *tls.Conn) (string, error) {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("?\n")); err != nil {
		return "", err
	}
	line := make([]byte, 1000)
	n, err := conn.Read(line)
	return strings.TrimSpace(string(line[:n])), err
}

func shows(cert tls.Certificate) func(*tls.Config) {
	return func(c *tls.Config) { c.Certificates = []tls.Certificate{cert} }
}

func TestANewPairIsShownAndOpenConnectionsGoOn(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, "")
	open := e.mustDial(nil)
	old := e.shown()

	cert, key = a.issue(t, "endpoint", -time.Hour, 2*time.Hour)
	mustWrite(t, e.cert, cert)
	told := e.poll(time.Now())
	for _, want := range []string{e.key, "does not match", "valid until " + date(e.NotAfter())} {
		if !strings.Contains(told, want) {
			t.Errorf("half a pair: told %s\nwant %q in it", told, want)
		}
	}
	if got := e.shown(); got != old || e.Failing() == nil {
		t.Errorf("half a pair: number %s is shown, want %s; failing: %v", got, old, e.Failing())
	}

	mustWrite(t, e.key, key)
	told = e.poll(time.Now())
	if got := e.shown(); got == old || !strings.Contains(told, "in force") || e.Failing() != nil {
		t.Errorf("the pair: number %s is shown; told %s; failing: %v", got, told, e.Failing())
	}
	if left := time.Until(e.NotAfter()); left < time.Hour {
		t.Errorf("the new one ends in %s", left)
	}
	if got, err := ask(open); err != nil || got != "<nil>" {
		t.Errorf("the open connection: %s, %v", got, err)
	}
}

func TestAPairThatIsWrongLeavesTheOldInForce(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -time.Hour, time.Hour)
	_, otherKey := a.issue(t, "endpoint", -time.Hour, time.Hour)
	expiredCert, expiredKey := a.issue(t, "endpoint", -2*time.Hour, -time.Hour)
	earlyCert, earlyKey := a.issue(t, "endpoint", time.Hour, 2*time.Hour)
	goodCert, goodKey := a.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, "")
	old := e.shown()
	for _, tc := range []struct {
		sentence  string
		cert, key string
		want      string
	}{
		{"another key", cert, otherKey, e.key + ", for the certificate in " + e.cert + ": tls: private key does not match"},
		{"an empty certificate", "", key, e.cert + ": there is no certificate"},
		{"half a certificate", cert[:len(cert)/2], key, e.cert + ": 1 certificates begin in it, and 0 are whole"},
		{"a certificate of nothing", pemOf("CERTIFICATE", []byte("x")), key, e.cert + ": certificate 1: x509"},
		{"no key", cert, "hunter2", e.key},
		{"the key in the place of the certificate", key, cert, e.cert + ": there is no certificate"},
		{"an expired one", expiredCert, expiredKey, "the certificate expired at"},
		{"one that is not valid yet", earlyCert, earlyKey, "the certificate is not yet valid"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			mustWrite(t, e.cert, tc.cert)
			mustWrite(t, e.key, tc.key)
			told := e.poll(time.Now())
			if !strings.Contains(told, tc.want) || !strings.Contains(told, "valid until "+date(e.NotAfter())+" stays in force") || strings.Contains(told, "hunter2") {
				t.Errorf("told %s\nwant %s", told, tc.want)
			}
			if told := e.poll(time.Now()); told != "" {
				t.Errorf("told again: %s", told)
			}
			if got := e.shown(); got != old || e.Failing() == nil {
				t.Errorf("number %s is shown, want %s; failing: %v", got, old, e.Failing())
			}
		})
	}
	// The last is taken up when its time has come, though nobody touches it.
	if told := e.poll(time.Now().Add(90 * time.Minute)); !strings.Contains(told, "in force") || e.Failing() != nil {
		t.Errorf("in its time: told %s; failing: %v", told, e.Failing())
	}
	mustWrite(t, e.cert, goodCert)
	mustWrite(t, e.key, goodKey)
	if told := e.poll(time.Now()); !strings.Contains(told, "in force") || e.Failing() != nil {
		t.Errorf("a good one: told %s; failing: %v", told, e.Failing())
	}
}

// DNS must not stay down because the endpoint's certificate ended while it was.
func TestAnExpiredCertificateIsLoadedAtTheStart(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -2*time.Hour, -time.Hour)
	e := newEndpoint(t, cert, key, "")
	if err := e.Failing(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("failing: %v", err)
	}
	e.shown()
	if told := e.poll(time.Now()); told != "" {
		t.Errorf("told by a poll, beside Failing: %s", told)
	}
	cert, key = a.issue(t, "endpoint", -time.Hour, time.Hour)
	mustWrite(t, e.cert, cert)
	mustWrite(t, e.key, key)
	if told := e.poll(time.Now()); !strings.Contains(told, "in force") || e.Failing() != nil {
		t.Errorf("a good one: told %s; failing: %v", told, e.Failing())
	}
}

func TestACertificateThatEndsInUseIsToldOnce(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, "")
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{time.Minute, false}, {2 * time.Hour, true}, {3 * time.Hour, false}} {
		told := e.poll(time.Now().Add(step.after))
		if (told != "") != step.want || strings.Contains(told, "not taken up") {
			t.Errorf("after %s: told %q", step.after, told)
		}
	}
	if e.Failing() == nil {
		t.Error("it does not fail")
	}
}

func TestWrongFilesAtTheStartAreAnError(t *testing.T) {
	a := newAuthority(t, "servers")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		mustWrite(t, path, content)
		return path
	}
	c, k := a.issue(t, "endpoint", -time.Hour, time.Hour)
	_, k2 := a.issue(t, "endpoint", -time.Hour, time.Hour)
	cert, key, other := write("tls.crt", c), write("tls.key", k), write("other.key", k2)
	empty, none := write("empty", ""), filepath.Join(dir, "none")
	torn := write("torn.crt", a.pem()+a.pem()[:100])
	for _, tc := range []struct {
		sentence      string
		cert, key, ca string
		want          string
	}{
		{"no certificate", none, key, "", none},
		{"no key", cert, none, "", none},
		{"another key", cert, other, "", other},
		{"no authorities", cert, key, none, none},
		{"an empty file of authorities", cert, key, empty, empty + ": there is no certificate"},
		{"an authority cut short", cert, key, torn, torn + ": 2 certificates begin in it, and 1 are whole"},
	} {
		if _, err := LoadTLS(tc.cert, tc.key, tc.ca, time.Now()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.sentence, err, tc.want)
		}
	}
}

func TestTLSIsOfOurTime(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, "")
	for _, tc := range []struct {
		sentence string
		change   func(*tls.Config)
		version  uint16 // 0 where it is refused
		protocol string
	}{
		{"TLS 1.3 where the client knows it", nil, tls.VersionTLS13, ""},
		{"TLS 1.2 where it does not", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12, ""},
		{"TLS 1.1 never", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0, ""},
		{"HTTP/1.1 of two", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, tls.VersionTLS13, "http/1.1"},
		{"HTTP/2 alone never", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, 0, ""},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			conn, err := e.dial(tc.change)
			if err != nil {
				if tc.version != 0 {
					t.Fatal(err)
				}
				return
			}
			if state := conn.ConnectionState(); state.Version != tc.version || state.NegotiatedProtocol != tc.protocol {
				t.Errorf("got %s and %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
			}
		})
	}
}

func TestOnlyClientsOfTheAuthoritiesComeIn(t *testing.T) {
	servers, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "clients")
	cert, key := servers.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, clients.pem())
	expiredCert, expiredKey := clients.issue(t, "web", -time.Hour, -time.Minute)
	expired, err := tls.X509KeyPair([]byte(expiredCert), []byte(expiredKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		sentence string
		change   func(*tls.Config)
		want     bool
	}{
		{"a client of theirs", shows(clients.client(t, "web")), true},
		{"over TLS 1.2 too", func(c *tls.Config) { shows(clients.client(t, "web"))(c); c.MaxVersion = tls.VersionTLS12 }, true},
		{"no certificate", nil, false},
		{"one of another authority by the same name", func(c *tls.Config) {
			pair := others.client(t, "web")
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}, false},
		{"one that has expired", shows(expired), false},
	} {
		_, err := e.dial(tc.change)
		if (err == nil) != tc.want {
			t.Errorf("%s: got %v", tc.sentence, err)
		}
		if err != nil && !strings.Contains(err.Error(), "remote error: tls:") {
			t.Errorf("%s: refused after the handshake: %v", tc.sentence, err)
		}
	}
}

func TestAConnectionDoesNotOutliveTheTrustInIt(t *testing.T) {
	servers, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "others")
	cert, key := servers.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, clients.pem())
	pair := clients.client(t, "web")
	sessions := tls.NewLRUClientSessionCache(8)
	withSessions := func(c *tls.Config) { shows(pair)(c); c.ClientSessionCache = sessions; c.ServerName = "endpoint" }
	conn := e.mustDial(withSessions)
	for _, step := range []struct {
		sentence  string
		authority string
		same, new bool // whether the open connection is verified, and a new one
	}{
		{"another authority comes in", clients.pem() + others.pem(), true, true},
		{"the authority is renewed", clients.renewed(t).pem(), true, true},
		{"in the middle of being written", clients.pem()[:200], true, true},
		{"no authority at all", "# none\n", true, true},
		{"the authority goes", others.pem(), false, false},
		{"and comes back", others.pem() + clients.pem(), true, true},
	} {
		mustWrite(t, e.ca, step.authority)
		e.poll(time.Now())
		for range 2 { // the second time it may be remembered
			if got, err := ask(conn); err != nil || (got == "<nil>") != step.same {
				t.Errorf("%s: the open connection: %s, %v", step.sentence, got, err)
			}
		}
		again, err := e.dial(withSessions)
		if (err == nil) != step.new {
			t.Errorf("%s: a new connection: %v", step.sentence, err)
		}
		if err == nil && again.ConnectionState().DidResume {
			t.Errorf("%s: a session was resumed, with no certificate shown", step.sentence)
		}
	}
}

func TestAConnectionDoesNotOutliveItsCertificate(t *testing.T) {
	clients := newAuthority(t, "clients")
	a := &authorities{}
	for _, tc := range []struct {
		sentence string
		file     string // the authorities when the connection is judged
		after    time.Duration
		want     bool
	}{
		{"while it lasts", clients.pem(), 59 * time.Second, true},
		{"when it has ended", clients.pem(), 61 * time.Second, false},
		{"before it began, by a clock that was set back", clients.pem(), -2 * time.Minute, false},
		{"while it lasts, with a renewed authority", clients.renewed(t).pem(), 59 * time.Second, true},
		{"when it has ended, with a renewed authority", clients.renewed(t).pem(), 61 * time.Second, false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			var err error
			if a, err = parseAuthorities([][]byte{[]byte(tc.file)}); err != nil {
				t.Fatal(err)
			}
			leaf := clients.client(t, "web").Leaf
			state := &tls.ConnectionState{
				PeerCertificates: []*x509.Certificate{leaf},
				VerifiedChains:   [][]*x509.Certificate{{leaf, clients.Cert}},
			}
			a.verify(state, time.Now()) // which may remember it
			if err := a.verify(state, time.Now().Add(tc.after)); (err == nil) != tc.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVerifyAsksForNothingWhereNoCertificateIsAskedFor(t *testing.T) {
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, "endpoint", -time.Hour, time.Hour)
	e := newEndpoint(t, cert, key, "")
	if err := e.Verify(nil, time.Now()); err != nil {
		t.Error(err)
	}
	e = newEndpoint(t, cert, key, a.pem())
	for _, state := range []*tls.ConnectionState{nil, {}} {
		if err := e.Verify(state, time.Now()); err == nil {
			t.Errorf("%v: was verified", state)
		}
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	clients := newAuthority(t, "clients")
	a, err := parseAuthorities([][]byte{[]byte(clients.pem())})
	if err != nil {
		t.Fatal(err)
	}
	leaf := clients.client(t, "web").Leaf
	state := &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
		VerifiedChains:   [][]*x509.Certificate{{leaf, clients.Cert}},
	}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { err = a.verify(state, now) }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}
