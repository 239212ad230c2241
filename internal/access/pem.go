package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// parsePair reads the endpoint's certificate, with those that lead to its authority behind it,
// and the key that belongs to it. The paths are for the error, which tells nothing of the key.
func parsePair(cert, key string, contents [][]byte) (tls.Certificate, error) {
	chain, err := parseCertificates(contents[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", cert, err)
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s, for the certificate in %s: %w", key, cert, err)
	}
	pair.Leaf = chain[0]
	return pair, nil
}

// inTime returns an error where now is not within the certificate's time.
func inTime(pair tls.Certificate, now time.Time) error {
	switch leaf := pair.Leaf; {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is %w valid: it is from %s on", errLater, date(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired at %s", date(leaf.NotAfter))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseCertificates reads all certificates in PEM form (RFC 7468); blocks of other types are
// passed over. A block that is not whole is an error: pem.Decode would pass over it, and an
// authority would be gone in silence.
func parseCertificates(content []byte) (certs []*x509.Certificate, err error) {
	begun := bytes.Count(content, []byte("-----BEGIN CERTIFICATE-----"))
	for {
		var block *pem.Block
		block, content = pem.Decode(content)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	switch {
	case begun == 0:
		return nil, errors.New("there is no certificate in PEM form in it")
	case len(certs) != begun:
		return nil, fmt.Errorf("%d certificates begin in it, and %d are whole", begun, len(certs))
	}
	return certs, nil
}
