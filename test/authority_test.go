package test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/testkit/testca"
)

// authority signs certificates for servers on this machine, and for their clients.
type authority struct{ *testca.Authority }

type pair = testca.Pair

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	return &authority{testca.New(t, name)}
}

// server issues a certificate for servers on this machine, valid from and until then.
func (a *authority) server(t testing.TB, from, until time.Time, addresses ...net.IP) *pair {
	t.Helper()
	return a.Issue(t, &x509.Certificate{
		NotBefore:   from,
		NotAfter:    until,
		DNSNames:    []string{"localhost"},
		IPAddresses: append(addresses, net.IPv4(127, 0, 0, 1)),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// today issues a certificate for servers on this machine that is valid now.
func (a *authority) today(t testing.TB, addresses ...net.IP) *pair {
	t.Helper()
	return a.server(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), addresses...)
}

// identified issues a certificate for a client whose name is that URI.
func (a *authority) identified(t testing.TB, uri string) *pair {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a.client(t, &x509.Certificate{URIs: []*url.URL{u}})
}

// client issues a certificate for a client.
func (a *authority) client(t testing.TB, template *x509.Certificate) *pair {
	t.Helper()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if template.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return a.Issue(t, template)
}

// trusting is how a client connects that trusts the authority, and has a certificate unless
// p is nil. It shows it to whoever asks: Go would keep to itself one that is of no use.
func (a *authority) trusting(p *pair) *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.Cert)
	if p != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.TLS, nil }
	}
	return config
}

// files is a directory of files that a server reads while a test changes them.
type files string

func newFiles(t testing.TB) files { return files(t.TempDir()) }

func (f files) path(name string) string { return filepath.Join(string(f), name) }

// replace puts a file there by rename, as a careful program does.
func (f files) replace(t testing.TB, name string, content []byte) {
	t.Helper()
	next := f.path(name + ".next")
	if err := errors.Join(os.WriteFile(next, content, 0o600), os.Rename(next, f.path(name))); err != nil {
		t.Fatal(err)
	}
}

// put puts a pair there, one file after the other.
func (f files) put(t testing.TB, p *pair) {
	t.Helper()
	f.replace(t, "cert.pem", p.Cert)
	f.replace(t, "key.pem", p.Key)
}
