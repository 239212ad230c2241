package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A client may have HTTP/2 over TLS where the door offers it, and nowhere else. A connection resumes
// under the configuration that it began with.
func TestHTTP2IsOfferedWhereADoorSpeaksIt(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	defer certs.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	served := &tls.Config{Certificates: certs.TLS.Certificates, NextProtos: []string{"http/1.1"}}
	chosen := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return served, nil }}
	for _, config := range []*tls.Config{served, chosen} {
		for _, offered := range []bool{false, true} {
			s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintln(w, r.ProtoMajor, r.TLS.DidResume)
			}), Options{TLS: config, HTTP2: offered})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- s.Serve(l) }()
			sessions := tls.NewLRUClientSessionCache(1)
			for _, resumed := range []bool{false, true} {
				transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com", ClientSessionCache: sessions}, ForceAttemptHTTP2: true}
				response, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				var version int
				var didResume bool
				if _, err := fmt.Fscan(response.Body, &version, &didResume); err != nil {
					t.Error(err)
				}
				response.Body.Close()
				transport.CloseIdleConnections()
				if want := map[bool]int{false: 1, true: 2}[offered]; version != want || didResume != resumed {
					t.Errorf("offered %t: got HTTP/%d, resumed %t, want HTTP/%d, %t", offered, version, didResume, want, resumed)
				}
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}
