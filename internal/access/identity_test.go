package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// certificate returns one with these names: "uri:…", "dns:…" and "cn:…".
func certificate(t *testing.T, names ...string) *x509.Certificate {
	t.Helper()
	cert := new(x509.Certificate)
	for _, name := range names {
		kind, name, _ := strings.Cut(name, ":")
		switch kind {
		case "uri":
			u, err := url.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, u)
		case "dns":
			cert.DNSNames = append(cert.DNSNames, name)
		case "cn":
			cert.Subject = pkix.Name{CommonName: name}
		}
	}
	return cert
}

func TestCallerOfACertificate(t *testing.T) {
	tokens := mustParse(t, `
		spiffe://example.org/web   cert write:prod/web
		https://example.org/api    cert read:*/*
		urn:example:api            cert read:*/*
		web.example.org            cert write:prod/web
		*.example.org              cert read:prod/web
		Robot                      cert admin
		ci                         `+sha("s3cret")+` admin
	`)
	web := service.Name{Namespace: "prod", Service: "web"}
	for _, tc := range []struct {
		sentence string
		names    string
		want     string // by the tokens
		name     string // without tokens
	}{
		{"a SPIFFE ID", "uri:spiffe://example.org/web", "spiffe://example.org/web read write", "spiffe://example.org/web"},
		{"its path has case", "uri:spiffe://example.org/Web", "nobody", "spiffe://example.org/Web"},
		{"a SPIFFE ID has no URI beside it", "uri:spiffe://example.org/web uri:https://example.org/api", "nobody", "-"},
		{"in whatever order", "uri:https://example.org/api uri:spiffe://example.org/web", "nobody", "-"},
		{"nor a second SPIFFE ID", "uri:spiffe://example.org/web uri:spiffe://example.org/web", "nobody", "-"},
		{"nor do its other names count then", "uri:spiffe://example.org/web uri:spiffe://example.org/x dns:web.example.org", "nobody", "-"},
		{"DNS names beside it are right", "uri:spiffe://example.org/web dns:x.example.org", "spiffe://example.org/web read write", "spiffe://example.org/web"},
		{"a SPIFFE ID of a whole trust domain", "uri:spiffe://example.org/ dns:web.example.org", "nobody", "-"},
		{"one without an authority", "uri:spiffe:web dns:web.example.org", "nobody", "-"},
		{"the first URI that is known", "uri:https://example.org/x uri:https://example.org/api", "https://example.org/api read", "https://example.org/x"},
		{"a URI before a DNS name", "uri:urn:example:api dns:web.example.org", "urn:example:api read", "urn:example:api"},
		{"a DNS name when no URI is known", "uri:urn:example:x dns:web.example.org", "web.example.org read write", "urn:example:x"},
		{"without case", "dns:WEB.Example.ORG", "web.example.org read write", "web.example.org"},
		{"the first of several", "dns:x.example.org dns:web.example.org", "web.example.org read write", "x.example.org"},
		{"a wildcard is a name like any other", "dns:*.example.org", "*.example.org read", "*.example.org"},
		{"and matches nothing", "dns:*.org", "nobody", "*.org"},
		{"a common name", "cn:Robot", "Robot read write admin", "Robot"},
		{"which has case", "cn:robot", "nobody", "robot"},
		{"a common name where there is another", "dns:x.example.org cn:Robot", "nobody", "x.example.org"},
		{"a common name where another is no good", "uri:relative cn:Robot", "nobody", "-"},
		{"a common name in the shape of a URI", "cn:spiffe://example.org/web", "nobody", "-"},
		{"a DNS name in the shape of a URI", "dns:spiffe://example.org/web", "nobody", "-"},
		{"a relative URI in the shape of a DNS name", "uri:web.example.org", "nobody", "-"},
		{"the NAME of a token is no certificate's", "cn:ci", "nobody", "ci"},
		{"no name at all", "", "nobody", "-"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			cert := certificate(t, strings.Fields(tc.names)...)
			if got := describe(tokens.ByCertificate(cert), web); got != tc.want {
				t.Errorf("with tokens: got %s, want %s", got, tc.want)
			}
			name, ok := NameOf(cert)
			if !ok {
				name = "-"
			}
			if name != tc.name {
				t.Errorf("without: got %s, want %s", name, tc.name)
			}
		})
	}
}

func TestASPIFFEIDThatMaySignIsNone(t *testing.T) {
	for sentence, spoil := range map[string]func(*x509.Certificate){
		"an authority":          func(c *x509.Certificate) { c.IsCA = true },
		"signs certificates":    func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign },
		"signs revocations too": func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature },
	} {
		cert := certificate(t, "uri:spiffe://example.org/web", "dns:web.example.org")
		spoil(cert)
		if name, ok := NameOf(cert); ok {
			t.Errorf("%s: got %s", sentence, name)
		}
	}
}

func TestAnIdentityThatCouldNotStandInAFileIsNone(t *testing.T) {
	for sentence, cn := range map[string]string{
		"white space":       "two words",
		"the end of a line": "web\nadmin",
		"too long":          strings.Repeat("x", maxName+1),
		"not UTF-8":         "w\xffb",
	} {
		cert := new(x509.Certificate)
		cert.Subject.CommonName = cn
		if name, ok := NameOf(cert); ok {
			t.Errorf("%s: got %q", sentence, name)
		}
	}
}
