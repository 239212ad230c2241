package access

import (
	"crypto/x509"
	"strings"
)

// identity is one name that a certificate gives its holder.
type identity struct {
	name string
	dns  bool
}

// is reports whether the identity is that NAME. DNS names compare without case
// (RFC 9525, section 6.3), all others as they are.
func (i identity) is(name string) bool {
	return i.name == name || i.dns && strings.EqualFold(i.name, name)
}

// certKey returns what a NAME of a certificate is found by: itself without case, but with
// its case where it is a URI, whose path has one.
func certKey(name string) string {
	if looksLikeURI(name) {
		return name
	}
	return strings.ToLower(name)
}

// NameOf returns the NAME of whoever holds the certificate: the first of its identities;
// false where it has none. The certificate must have been verified.
func NameOf(cert *x509.Certificate) (name string, ok bool) {
	ids := identities(cert)
	if len(ids) == 0 {
		return "", false
	}
	return ids[0].name, true
}

// identities returns who the holder of the certificate is (RFC 8705, section 2.1.2, has the
// kinds): its URIs, then its DNS names, each in the order of the certificate; or its common
// name where it has neither. A wildcard is a name like any other. What could not be a NAME
// in a file of tokens is left out: a relative URI too, which RFC 5280, section 4.2.1.6, forbids.
func identities(cert *x509.Certificate) []identity {
	if !isSoundSVID(cert) {
		return nil
	}
	if len(cert.URIs)+len(cert.DNSNames) == 0 {
		return appendIdentity(nil, identity{name: cert.Subject.CommonName})
	}
	var ids []identity
	for _, u := range cert.URIs {
		if name := u.String(); u.IsAbs() && IsName(name) {
			ids = append(ids, identity{name: name})
		}
	}
	for _, name := range cert.DNSNames {
		ids = appendIdentity(ids, identity{strings.ToLower(name), true})
	}
	return ids
}

// appendIdentity adds one that is no URI, unless it takes on the look of one: an authority that
// is careful about URIs may let its clients choose the rest.
func appendIdentity(ids []identity, id identity) []identity {
	if !IsName(id.name) || looksLikeURI(id.name) {
		return ids
	}
	return append(ids, id)
}

func looksLikeURI(name string) bool { return strings.Contains(name, "://") }

// isSoundSVID reports false for a certificate with a SPIFFE ID that the SPIFFE X.509-SVID
// specification has rejected: one with another URI beside it (section 2), with no path
// (section 2), or which may sign (section 5.2). Such a one has no identity at all, whatever
// other names are in it. A certificate without a SPIFFE ID is none of its business.
func isSoundSVID(cert *x509.Certificate) bool {
	for _, u := range cert.URIs {
		if u.Scheme != "spiffe" {
			continue
		}
		return len(cert.URIs) == 1 && u.Host != "" && len(u.Path) > 1 &&
			!cert.IsCA && cert.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) == 0
	}
	return true
}
