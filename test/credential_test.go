package test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// guarded is a Corefile of a registry that has more lines, and that tells all it can of its
// inside.
func guarded(lines string) string {
	return `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ` + lines + `
    }
    errors
    prometheus {$METRICS}
    pprof {$PPROF}
}`
}

// startGuarded starts a server whose clients may need credentials, with FILES as the directory
// of its files, and returns when it serves. In the end nothing that it has told, in answer, log,
// metrics or files, may have a secret in it.
func startGuarded(t testing.TB, f files, corefile string, variables ...string) *server {
	t.Helper()
	s := launch(t, corefile, append(variables, "FILES="+string(f))...)
	s.log.wait(t, 0, "CoreDNS-")
	t.Cleanup(func() { s.hasToldNoSecret(t, f) })
	return s
}

// as is the endpoint as the holder of a token sees it; over TLS if there is a configuration.
// An empty token is none.
func (s *server) as(t testing.TB, token string, config *tls.Config) *endpoint {
	t.Helper()
	e := newEndpoint(s.endpoint.address)
	transport := e.client.Transport.(*http.Transport)
	transport.TLSClientConfig = config
	e.client.Transport = &bearer{t, token, config != nil, transport}
	t.Cleanup(e.client.CloseIdleConnections)
	return &e
}

// from has the endpoint's client come from another address of this machine.
func (e *endpoint) from(address string) *endpoint {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	e.client.Transport.(*bearer).DialContext = dialer.DialContext
	return e
}

// bearer shows a token with each request.
type bearer struct {
	t     testing.TB
	token string
	tls   bool
	*http.Transport
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.tls {
		r.URL.Scheme = "https"
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	response, err := b.Transport.RoundTrip(r)
	if err != nil || response.StatusCode < 400 {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	hasNoSecret(b.t, "an answer to "+r.Method+" "+r.URL.Path, fmt.Sprint(response.Header, string(body)))
	return response, err
}

// secrets are all tokens of this run.
var secrets struct {
	sync.Mutex
	tokens []string
}

func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it ends the process rather than return an error
	token := base64.RawURLEncoding.EncodeToString(b)
	secrets.Lock()
	defer secrets.Unlock()
	secrets.tokens = append(secrets.tokens, token)
	return token
}

// tokenLine is the line of a tokens file for a token.
func tokenLine(name, token string, grants ...string) string {
	return fmt.Sprintf("%s sha256:%x %s\n", name, sha256.Sum256([]byte(token)), strings.Join(grants, " "))
}

// setTokens writes the tokens file.
func (f files) setTokens(t testing.TB, lines ...string) {
	t.Helper()
	f.replace(t, "tokens", []byte(strings.Join(lines, "")))
}

// hasNoSecret holds a text to have no part of any token in it, nor of its form in base64.
func hasNoSecret(t testing.TB, where, text string) {
	t.Helper()
	secrets.Lock()
	defer secrets.Unlock()
	for n, token := range secrets.tokens {
		for _, part := range partsOf(token) {
			if i := strings.Index(text, part); i >= 0 {
				t.Errorf("%s has a part of token %d in it: %q", where, n, text[max(0, i-100):min(len(text), i+100)])
				return
			}
		}
	}
}

// partsOf are texts of which every longer part of the token has one in it, as it is or in
// base64, at whatever place the token stands there.
func partsOf(token string) (parts []string) {
	split := func(text string, size int) {
		for ; len(text) >= size; text = text[size:] {
			parts = append(parts, text[:size])
		}
	}
	split(token, 8)
	for skipped := range 3 {
		split(base64.StdEncoding.EncodeToString([]byte(token[skipped:skipped+39])), 12)
	}
	return parts
}

// hasToldNoSecret looks at everything that the server tells, and stops it.
func (s *server) hasToldNoSecret(t testing.TB, f files) {
	t.Helper()
	select {
	case <-s.exited:
	default:
		for _, url := range []string{s.metrics + "/metrics", s.pprof + "/debug/pprof/goroutine?debug=2", s.pprof + "/debug/pprof/cmdline"} {
			hasNoSecret(t, url, get(t, url))
		}
	}
	s.stop(t)
	hasNoSecret(t, "the log", s.log.String())
	audits, err := filepath.Glob(f.path("audit*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range audits {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		hasNoSecret(t, path, string(content))
	}
}

func get(t testing.TB, url string) (text string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return string(b)
}
