package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/access"

	"github.com/prometheus/client_golang/prometheus"
)

// credentials are files that a Corefile may name.
type credentials struct {
	dir                             string
	tokens, certTokens, pair, audit string
	notAfter                        time.Time
}

// newCredentials makes a file of tokens in which "secret" is ann's; one in which there is a
// certificate too; and a certificate with its key in one file, which is its own authority.
func newCredentials(t testing.TB) *credentials {
	t.Helper()
	c := &credentials{dir: t.TempDir(), notAfter: time.Now().Add(time.Hour).Truncate(time.Second)}
	c.tokens = c.write(t, "tokens", tokenLine("ann", "secret"))
	c.certTokens = c.write(t, "tokens-and-certs", tokenLine("ann", "secret")+"web cert write:prod/web\n")
	c.audit = filepath.Join(c.dir, "audit")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "registry"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              c.notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
	private := must(x509.MarshalPKCS8PrivateKey(key))(t)
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&text, block); err != nil {
			t.Fatal(err)
		}
	}
	c.pair = c.write(t, "pair.pem", text.String())
	return c
}

func tokenLine(name, token string) string {
	return fmt.Sprintf("%s sha256:%x write:prod/*\n", name, sha256.Sum256([]byte(token)))
}

func (c *credentials) write(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// config reads the lines of a block, in which TOKENS, CERTTOKENS, PAIR, AUDIT and MISSING
// stand for the files.
func (c *credentials) config(t testing.TB, lines string) *Config {
	t.Helper()
	text := strings.NewReplacer("CERTTOKENS", c.certTokens, "TOKENS", c.tokens, "PAIR", c.pair, "AUDIT", c.audit,
		"MISSING", filepath.Join(c.dir, "missing")).Replace(lines)
	config, err := parseText("registry {\n" + text + "\n}")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Beyond loopback nobody may do anything unless it is said who: an endpoint that does not say
// so does not start.
func TestTheEndpointFailsClosed(t *testing.T) {
	files := newCredentials(t)
	outside := []string{":8053", "0.0.0.0:8053", "[::]:8053", "192.0.2.1:8053", "10.0.0.1:8053", "169.254.1.1:8053", "[2001:db8::1]:8053", "[fe80::1]:8053",
		"[::ffff:192.0.2.1]:8053", "[::ffff:0.0.0.0]:8053", "128.0.0.1:8053"}
	loopback := []string{"127.0.0.1:8053", "127.9.9.9:8053", "[::1]:8053", "localhost:8053", "[::ffff:127.0.0.1]:8053"}
	for _, tc := range []struct {
		lines string
		opens bool // beyond loopback
	}{
		{"", false},
		{"tls PAIR PAIR", false},
		{"admit 10.0.0.0/8", false},
		{"limit requests-per-second 1", false},
		{"audit AUDIT", false},
		{"tls PAIR PAIR\naudit AUDIT\nadmit 10.0.0.0/8", false},
		{"insecure", true},
		{"tls PAIR PAIR\ninsecure", true},
		{"tokens TOKENS", true},
		{"tls PAIR PAIR\ntokens TOKENS", true},
		{"tls PAIR PAIR PAIR", true},
		{"tls PAIR PAIR PAIR\ntokens CERTTOKENS", true},
	} {
		for n, listen := range append(outside, loopback...) {
			config := files.config(t, "listen "+listen+"\n"+tc.lines)
			guard, err := openGuard(config.Listen, &config.Shared)
			if guard != nil {
				closeGuard(guard)
			}
			switch wanted := tc.opens || n >= len(outside); {
			case wanted != (err == nil):
				t.Errorf("listen %s, %q: got %v, want it to open: %t", listen, tc.lines, err, wanted)
			case err != nil && !containsAll(err.Error(), "listen "+config.Listen, "not a loopback address", "`tokens FILE`", "`tls CERT KEY CLIENT_CA`", "`insecure`"):
				t.Errorf("listen %s, %q: got %v", listen, tc.lines, err)
			}
		}
	}
}

func containsAll(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// A file that cannot be read, or that nobody could use, refuses to start: nothing is opened
// without it.
func TestFilesThatAreWrongRefuseToStart(t *testing.T) {
	files := newCredentials(t)
	for _, tc := range []struct {
		sentence string
		lines    string
		want     []string
	}{
		{"no such tokens", "tokens MISSING", []string{"tokens: ", "missing", "no such file"}},
		{"tokens that are none", "tokens PAIR", []string{"tokens: ", "line 1"}},
		{"certificates in the tokens, and nobody is asked for one", "tokens CERTTOKENS", []string{"tokens: ", "cert credentials", "`tls CERT KEY CLIENT_CA`"}},
		{"the same with tls alone", "tls PAIR PAIR\ntokens CERTTOKENS", []string{"tokens: ", "`tls CERT KEY CLIENT_CA`"}},
		{"no such certificate", "tls MISSING PAIR", []string{"tls: ", "missing"}},
		{"no certificate in it", "tls TOKENS PAIR", []string{"tls: ", "no certificate"}},
		{"no such authority", "tls PAIR PAIR MISSING", []string{"tls: ", "missing"}},
		{"no directory for the audit", "audit MISSING/audit", []string{"audit: ", "missing/audit"}},
	} {
		config := files.config(t, tc.lines)
		guard, err := openGuard(config.Listen, &config.Shared)
		if err == nil {
			closeGuard(guard)
			t.Errorf("%s: got no error", tc.sentence)
		} else if !containsAll(err.Error(), tc.want...) {
			t.Errorf("%s: got %v, want %q in it", tc.sentence, err, tc.want)
		}
	}
}

// Where nobody has a credential all callers of a machine have one address: no limit on it is
// the default, since one caller out of bounds would shut out the others.
func TestWhoIsLimitedByDefault(t *testing.T) {
	files := newCredentials(t)
	for _, tc := range []struct {
		sentence string
		lines    string
		want     int
	}{
		{"an open loopback endpoint has no limit", "", 0},
		{"unless it is asked for", "limit requests-per-second 7", 7},
		{"another limit is not that", "limit instances 7", 0},
		{"with tokens there is one", "tokens TOKENS", 5000},
		{"with certificates there is one", "tls PAIR PAIR PAIR", 5000},
		{"with the endpoint's certificate alone there is none", "tls PAIR PAIR", 0},
		{"beyond loopback there is one", "listen :8053\ninsecure", 5000},
		{"or none, where that is said", "listen :8053\ninsecure\nlimit requests-per-second 0", 0},
	} {
		config := files.config(t, tc.lines)
		if got := config.requestRate(config.Listen); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.sentence, got, tc.want)
		}
	}
}

// admits reports whether a request to a host with a token, if it is not empty, gets past a guard.
func admits(g *access.Guard, host, token string) bool {
	r := access.Request{From: netip.MustParseAddrPort("127.0.0.1:40000"), Host: host, Credential: access.Credential{Sent: token != "", Token: token}}
	_, refusal := g.Admit(&r, time.Now())
	return refusal == nil
}

// A page can have a browser on this machine call an open endpoint by a name of its own. Beyond
// loopback, or with a credential, the endpoint has names of its own too.
func TestAnOpenLoopbackEndpointIsForThisMachine(t *testing.T) {
	files := newCredentials(t)
	for _, tc := range []struct {
		lines, host, token string
		want               bool
	}{
		{"", "localhost:8053", "", true},
		{"", "127.0.0.1:8053", "", true},
		{"", "evil.example:8053", "", false},
		{"insecure", "evil.example:8053", "", false},
		{"tls PAIR PAIR", "evil.example:8053", "", false},
		{"listen :8053\ninsecure", "registry.example.org:8053", "", true},
		{"tokens TOKENS", "registry.example.org:8053", "secret", true},
		{"tokens TOKENS", "registry.example.org:8053", "", false},
		{"tokens TOKENS", "localhost:8053", "guess", false},
	} {
		config := files.config(t, tc.lines)
		guard, err := openGuard(config.Listen, &config.Shared)
		if err != nil {
			t.Fatal(err)
		}
		if got := admits(guard, tc.host, tc.token); got != tc.want {
			t.Errorf("%q, a request to %s with token %q: got admitted %t, want %t", tc.lines, tc.host, tc.token, got, tc.want)
		}
		closeGuard(guard)
	}
}

// start has a generation of blocks take their endpoints, as a start or a reload does, and
// returns it with the first error.
func (o *registries) start(t testing.TB, configs ...*Config) (*generation, error) {
	t.Helper()
	g := &generation{}
	for _, config := range configs {
		if err := g.add(config); err != nil {
			t.Fatal(err)
		}
	}
	for _, config := range configs {
		if err := o.acquire(g, newHandler(config, nil), config); err != nil {
			return g, err
		}
	}
	return g, nil
}

// A reload that fails leaves nothing of itself: at no moment are its settings in force, and
// what it has opened is closed. One that does not fail takes over when the one before goes.
func TestSettingsOfAFailingReloadAreNeverInForce(t *testing.T) {
	files := newCredentials(t)
	o := &registries{byListen: make(map[string]*sharedRegistry)}
	const listen = "listen 127.0.0.1:0\n"
	check := func(when string, instances int, token string) {
		t.Helper()
		e := o.byListen["127.0.0.1:0"]
		if got := e.engine.Rules().Limits.Instances; got != instances {
			t.Errorf("%s: %d instances are allowed, want %d", when, got, instances)
		}
		for _, known := range []string{"secret", "other", ""} {
			if got := admits(e.guard.Load(), "localhost", known); got != (known == token) {
				t.Errorf("%s: token %q is admitted: %t", when, known, got)
			}
		}
	}
	first, err := o.start(t, files.config(t, listen+"tokens TOKENS\nlimit instances 1\naudit AUDIT"))
	if err != nil {
		t.Fatal(err)
	}
	check("at the start", 1, "secret")

	other := files.write(t, "other", tokenLine("bob", "other"))
	for _, tc := range []struct {
		sentence string
		configs  []*Config
	}{
		{"with other tokens, and a file that is missing for another endpoint", []*Config{
			files.config(t, listen+"tokens "+other+"\nlimit instances 2\naudit AUDIT"),
			files.config(t, "listen 127.0.0.2:0\ntokens MISSING")}},
		{"without any tokens", []*Config{
			files.config(t, listen+"limit instances 3\naudit AUDIT"),
			files.config(t, "listen 127.0.0.2:0\ntokens MISSING")}},
		{"with an endpoint more, which is open by then", []*Config{
			files.config(t, "listen 127.0.0.3:0\ninsecure\naudit AUDIT"),
			files.config(t, listen+"insecure\naudit AUDIT"),
			files.config(t, "listen 127.0.0.2:0\ntls MISSING MISSING")}},
		{"with an address that is not this machine's, for which all else is right", []*Config{
			files.config(t, listen+"limit instances 4\naudit AUDIT"),
			files.config(t, "listen 203.0.113.1:0\ntokens TOKENS\naudit AUDIT")}},
		{"with TLS switched on", []*Config{files.config(t, listen+"tls PAIR PAIR\naudit AUDIT")}},
	} {
		if _, err := o.start(t, tc.configs...); err == nil {
			t.Fatalf("%s: it did not fail", tc.sentence)
		}
		check("while a reload fails "+tc.sentence, 1, "secret")
		if err := o.keepOnly(first); err != nil {
			t.Error(err)
		}
		check("after a reload has failed "+tc.sentence, 1, "secret")
		if len(o.byListen) != 1 {
			t.Errorf("%s: %d endpoints are open", tc.sentence, len(o.byListen))
		}
		auditFiles(t, 1)
	}

	second, err := o.start(t,
		files.config(t, listen+"tokens "+other+"\nlimit instances 2\naudit AUDIT"),
		files.config(t, listen))
	if err != nil {
		t.Fatal(err)
	}
	check("both generations are there", 1, "secret")
	if err := o.keepOnly(second); err != nil {
		t.Error(err)
	}
	check("the first has gone", 2, "other")
	auditFiles(t, 1)
	if err := o.remove(func(*user) bool { return true }); err != nil {
		t.Error(err)
	}
	auditFiles(t, 0)
}

// auditFiles waits until so many files are open for the audit: each has a goroutine, and the log one
// beside it, which end when their guard is closed.
func auditFiles(t testing.TB, want int) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(10 * time.Second)
	stacks := make([]byte, 4<<20)
	for {
		got := strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "audit.(*AsyncWriter).run(")
		if got == 2*want {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%d goroutines write the audit, want 2 for each of %d files", got, want)
		}
	}
}

// A guard's files that are not in force as they are, and the end of its certificate, are told
// in metrics.
func TestFilesThatFailAreCounted(t *testing.T) {
	files := newCredentials(t)
	config := files.config(t, "listen 192.0.2.1:8053\ntls PAIR PAIR\ntokens TOKENS")
	guard, err := openGuard(config.Listen, &config.Shared)
	if err != nil {
		t.Fatal(err)
	}
	defer closeGuard(guard)
	e := newRegistry(config.Listen, "", nil, guard, nil)
	plain := newRegistry("127.0.0.1:8053", "", nil, access.NewGuard(access.Rules{}), nil)
	for _, e := range []*Registry{e, plain} {
		open.add(e)
		defer open.delete(e)
	}

	check := func(when string, failing float64) {
		t.Helper()
		got := gauges(t)
		for name, want := range map[string]float64{
			"coredns_registry_access_files_failing 192.0.2.1:8053":            failing,
			"coredns_registry_access_files_failing 127.0.0.1:8053":            0,
			"coredns_registry_tls_not_after_timestamp_seconds 192.0.2.1:8053": float64(files.notAfter.Unix()),
		} {
			if got, ok := got[name]; !ok || got != want {
				t.Errorf("%s: %s is %v, there: %t, want %v", when, name, got, ok, want)
			}
		}
		if _, ok := got["coredns_registry_tls_not_after_timestamp_seconds 127.0.0.1:8053"]; ok {
			t.Errorf("%s: an endpoint without TLS has an end of its certificate", when)
		}
	}
	check("at the start", 0)
	files.write(t, "tokens", "what is this")
	e.pollFiles() // each change counts when two polls have seen it
	check("seen once", 0)
	e.pollFiles()
	check("a file of tokens that does not parse", 1)
	if !admits(guard, "registry.example.org", "secret") {
		t.Error("the tokens read before are not in force")
	}
	files.write(t, "tokens", tokenLine("ann", "another"))
	e.pollFiles()
	e.pollFiles()
	check("it is right again", 0)
	if admits(guard, "registry.example.org", "secret") || !admits(guard, "registry.example.org", "another") {
		t.Error("the new tokens are not in force")
	}
	files.write(t, "pair.pem", "")
	e.pollFiles()
	e.pollFiles()
	check("the certificate is gone", 1)
}

func (o *registries) add(e *Registry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byListen[e.listen] = &sharedRegistry{Registry: e}
}

func (o *registries) delete(e *Registry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byListen, e.listen)
}

// gauges reads what is told of the endpoints that are open, by name and endpoint.
func gauges(t testing.TB) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(tables{})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			all[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	return all
}
