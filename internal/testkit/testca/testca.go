// Package testca signs certificates for tests. It imports nothing of ours, so every package may use it.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Authority signs certificates. The certificates of the zero Authority are signed by themselves.
type Authority struct {
	Cert *x509.Certificate
	PEM  []byte // Cert, as a file has it
	key  *ecdsa.PrivateKey
}

// Pair is a certificate and its key, as files have them and as a program uses them.
type Pair struct {
	Cert, Key []byte
	TLS       tls.Certificate
}

// New returns an authority of that name, with a key of its own, that is valid for an
// hour.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	return (&Authority{key: newKey(t)}).certified(t, name)
}

// Renewed returns the authority with a new certificate for its old key.
func (a *Authority) Renewed(t testing.TB) *Authority {
	t.Helper()
	return a.certified(t, a.Cert.Subject.CommonName)
}

func (a *Authority) certified(t testing.TB, name string) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	cert := sign(t, template, template, a.key, a.key)
	return &Authority{Cert: cert, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), key: a.key}
}

// Issue signs a certificate for a new key. It is valid from an hour ago for two hours, unless
// the template says otherwise.
func (a *Authority) Issue(t testing.TB, template *x509.Certificate) *Pair {
	t.Helper()
	key := newKey(t)
	parent, by := a.Cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	cert := sign(t, template, parent, key, by)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		TLS:  tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign gives the template what it lacks, a serial number and a span of time.
func sign(t testing.TB, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
