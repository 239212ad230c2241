package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/testkit/testca"
)

// authority issues certificates, as files have them.
type authority struct{ *testca.Authority }

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	return &authority{testca.New(t, name)}
}

// renewed returns the authority with a new certificate for its old key.
func (a *authority) renewed(t testing.TB) *authority {
	t.Helper()
	return &authority{a.Renewed(t)}
}

// pem returns the authority's certificate as a file has it.
func (a *authority) pem() string { return string(a.PEM) }

// issue returns a certificate for 127.0.0.1 and a client of that DNS name, and its key.
func (a *authority) issue(t testing.TB, name string, from, until time.Duration) (cert, key string) {
	t.Helper()
	p := a.pair(t, name, from, until)
	return string(p.Cert), string(p.Key)
}

// client returns a certificate for a client to show.
func (a *authority) client(t testing.TB, name string) tls.Certificate {
	t.Helper()
	return a.pair(t, name, -time.Minute, time.Minute).TLS
}

func (a *authority) pair(t testing.TB, name string, from, until time.Duration) *testca.Pair {
	t.Helper()
	return a.Issue(t, &x509.Certificate{
		DNSNames:    []string{name},
		NotBefore:   time.Now().Add(from),
		NotAfter:    time.Now().Add(until),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
