package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// pair is a certificate and its key, as files have them and as a client uses them.
type pair struct {
	cert, key []byte
	tls       tls.Certificate
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	p := a.issue(t, template)
	a.cert, a.key, a.pem = p.tls.Leaf, p.tls.PrivateKey.(*ecdsa.PrivateKey), p.cert
	return a
}

// issue signs a certificate, or the authority's own if it has none yet. It is valid for an
// hour, unless the template says otherwise.
func (a *authority) issue(t testing.TB, template *x509.Certificate) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	serial, failed := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	p.tls, err = tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// server issues a certificate for servers on this machine, valid from and until then.
func (a *authority) server(t testing.TB, from, until time.Time, addresses ...net.IP) *pair {
	t.Helper()
	return a.issue(t, &x509.Certificate{
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
	return a.issue(t, template)
}

// trusting is how a client connects that trusts the authority, and has a certificate unless
// p is nil. It shows it to whoever asks: Go would keep to itself one that is of no use.
func (a *authority) trusting(p *pair) *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if p != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.tls, nil }
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
	f.replace(t, "cert.pem", p.cert)
	f.replace(t, "key.pem", p.key)
}
