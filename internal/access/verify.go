package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"time"
)

// authorities are those whose clients' certificates count, as one reading of their file has
// them.
type authorities struct {
	pool *x509.CertPool
	der  map[string]bool // each certificate as it is encoded

	// Leaves of connections that are older than these authorities and that lead to them all
	// the same, *x509.Certificate, with the time.Time until which they do. There are no more
	// than connections were open when the authorities changed.
	verified sync.Map
}

func parseAuthorities(contents [][]byte) (*authorities, error) {
	certs, err := parseCertificates(contents[0])
	if err != nil {
		return nil, err
	}
	a := &authorities{pool: x509.NewCertPool(), der: make(map[string]bool)}
	for _, cert := range certs {
		a.pool.AddCert(cert)
		a.der[string(cert.Raw)] = true
	}
	return a, nil
}

// Verify reports whether a handshake like that of the connection would succeed now. It is to be
// asked for each request: a connection may last longer than its client's certificate, or than
// our trust in the authority. After an error the connection is to be closed, so that the client
// comes again with what it has got since. Mostly it costs a look into a map.
func (c *Certificates) Verify(state *tls.ConnectionState, now time.Time) error {
	if c.clients == nil {
		return nil
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		return errors.New("the connection has no client certificate")
	}
	return c.clients.current().verify(state, now)
}

func (a *authorities) verify(state *tls.ConnectionState, now time.Time) error {
	if slices.ContainsFunc(state.VerifiedChains, func(chain []*x509.Certificate) bool { return a.holds(chain, now) }) {
		return nil
	}
	leaf := state.PeerCertificates[0]
	if until, ok := a.verified.Load(leaf); ok && !now.After(until.(time.Time)) {
		return nil
	}
	// The authority may have been renewed, with the same key: then the certificate leads to
	// the new one as it did to the old one.
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         a.pool,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	a.verified.Store(leaf, end(chains[0]))
	return nil
}

// holds reports whether a chain that was verified once would be again: signatures do not
// change, but time passes and authorities go.
func (a *authorities) holds(chain []*x509.Certificate, now time.Time) bool {
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return false
		}
	}
	return len(chain) > 0 && a.der[string(chain[len(chain)-1].Raw)]
}

// end returns when the first certificate of the chain ends.
func end(chain []*x509.Certificate) time.Time {
	first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return first.NotAfter
}
