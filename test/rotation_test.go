package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const filesFailing = "coredns_registry_access_files_failing"

// overwrite writes a file in place, half of it first, as an editor on a slow disk does.
func (f files) overwrite(t testing.TB, name string, content []byte) {
	t.Helper()
	file, err := os.OpenFile(f.path(name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		if _, err := file.Write(part); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// serves reports whether a connection that begins now gets that certificate.
func (s *server) serves(p *pair, config *tls.Config) bool {
	conn, err := tls.Dial("tcp", s.endpoint.address, config)
	if err != nil {
		return false
	}
	defer conn.Close()
	return bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, p.TLS.Leaf.Raw)
}

// The certificate is replaced again and again, rightly and wrongly, while clients of all
// kinds go on. None of their requests may fail.
func TestCertificateIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	f, servers := newFiles(t), newAuthority(t, "servers")
	inForce := servers.today(t)
	f.put(t, inForce)
	s := startGuarded(t, f, guarded("tls {$FILES}/cert.pem {$FILES}/key.pem"))
	s.as(t, "", servers.trusting(nil)).must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)

	ctx, cancel := context.WithCancel(t.Context())
	var loading sync.WaitGroup
	defer loading.Wait()
	defer cancel()
	counts := make([]atomic.Int64, 5)
	for n := range counts {
		e := s.as(t, "", servers.trusting(nil))
		e.client.Transport.(*bearer).DisableKeepAlives = n%2 == 1
		loading.Go(func() {
			every(ctx, 5*time.Millisecond, func() {
				_, err := e.wants(http.StatusNoContent, http.MethodPut, heartbeatPath("web", "web-1"), "")
				if err == nil {
					_, err = e.wants(http.StatusOK, http.MethodGet, instancePath("web", "web-1"), "")
				}
				if err != nil {
					t.Errorf("client %d: %v", n, err)
				}
				counts[n].Add(1)
			})
		})
	}
	failing := func() float64 { return s.scrape(t).sum(filesFailing) }
	now := time.Now()
	other := servers.today(t)
	for _, tt := range []struct {
		what string
		pair *pair
		by   func(testing.TB, *pair)
		says string // by which it is refused; empty where it is not
	}{
		{"a new one by rename", servers.today(t), f.put, ""},
		{"a new one written in place", servers.today(t), f.putInPlace, ""},
		{"one with another's key", &pair{Cert: other.Cert, Key: servers.today(t).Key}, f.put, "key.pem, for the certificate in"},
		{"one that has expired", servers.server(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), f.put, "the certificate expired at"},
		{"one that is not yet valid", servers.server(t, now.Add(time.Hour), now.Add(2*time.Hour)), f.putInPlace, "not yet valid"},
		{"a new one after wrong ones", other, f.put, ""},
	} {
		end := s.log.end()
		tt.by(t, tt.pair)
		if tt.says == "" {
			soon(t, tt.what+" is served", func() bool { return s.serves(tt.pair, servers.trusting(nil)) })
			inForce = tt.pair
			soon(t, "the metric says that all is well", func() bool { return failing() == 0 })
			notAfter := float64(tt.pair.TLS.Leaf.NotAfter.Unix())
			if got := s.scrape(t).sum("coredns_registry_tls_not_after_timestamp_seconds"); got != notAfter {
				t.Errorf("%s: the metric says that it ends at %.0f, want %.0f", tt.what, got, notAfter)
			}
		} else {
			s.log.wait(t, end, tt.says)
			soon(t, "the metric says that something is wrong", func() bool { return failing() == 1 })
			if !s.serves(inForce, servers.trusting(nil)) {
				t.Errorf("%s: the one before is not served any more", tt.what)
			}
		}
		before := counts[len(counts)-1].Load()
		soon(t, "the load goes on", func() bool { return counts[len(counts)-1].Load() > before+2 })
	}
	cancel()
	loading.Wait()
	for n := range counts {
		t.Logf("client %d: %d rounds", n, counts[n].Load())
	}
}

// putInPlace writes a pair over the one that is there.
func (f files) putInPlace(t testing.TB, p *pair) {
	f.overwrite(t, "cert.pem", p.Cert)
	f.overwrite(t, "key.pem", p.Key)
}

// An authority that is taken away takes its clients along, those too that are connected.
func TestAuthorityOfClientsIsReplaced(t *testing.T) {
	t.Parallel()
	f, servers, old, young := newFiles(t), newAuthority(t, "servers"), newAuthority(t, "old"), newAuthority(t, "young")
	f.put(t, servers.today(t))
	f.replace(t, "clients.pem", old.PEM)
	s := startGuarded(t, f, guarded("tls {$FILES}/cert.pem {$FILES}/key.pem {$FILES}/clients.pem"))
	ofOld := servers.trusting(old.identified(t, "spiffe://example.org/old"))
	ofYoung := servers.trusting(young.identified(t, "spiffe://example.org/young"))
	connected, following := s.as(t, "", ofOld), s.as(t, "", ofOld)
	connected.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "old"), `{"addresses":["192.0.2.7"]}`)
	w := following.watch(t, "", false)
	ask := func(e *endpoint) (int, error) {
		return e.status(t.Context(), http.MethodGet, instancePath("web", "old"), "")
	}
	if _, err := ask(s.as(t, "", ofYoung)); err == nil {
		t.Error("a client of an authority that is not trusted yet is answered")
	}

	end := s.log.end()
	f.replace(t, "clients.pem", bytes.Join([][]byte{old.PEM, young.PEM}, nil))
	s.log.wait(t, end, "clients.pem: read again")
	newcomer := s.as(t, "", ofYoung)
	if status, err := ask(newcomer); err != nil || status != http.StatusOK {
		t.Errorf("a client of the new authority: %d, %v, want 200", status, err)
	}
	if status, err := ask(connected); err != nil || status != http.StatusOK {
		t.Errorf("a client of the old authority, while both are trusted: %d, %v, want 200", status, err)
	}

	end = s.log.end()
	f.replace(t, "clients.pem", young.PEM)
	s.log.wait(t, end, "clients.pem: read again")
	if status, err := ask(connected); err != nil || status != http.StatusUnauthorized {
		t.Errorf("on the open connection of a client whose authority is gone: %d, %v, want 401", status, err)
	}
	if status, err := ask(connected); err == nil {
		t.Errorf("on the next: got %d, want no answer at all", status)
	}
	newcomer.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "young"), `{"addresses":["192.0.2.8"]}`)
	w.endsWithout(t, "young")

	end = s.log.end()
	f.replace(t, "clients.pem", young.PEM[:len(young.PEM)/2])
	s.log.wait(t, end, "clients.pem: not taken up")
	if s.scrape(t).sum(filesFailing) != 1 {
		t.Error("the metric does not say that half an authority is none")
	}
	if status, err := ask(newcomer); err != nil || status != http.StatusOK {
		t.Errorf("after half an authority: %d, %v, want 200", status, err)
	}
}

// endsWithout follows a watch to its end, which must come before an instance is told.
func (w *watcher) endsWithout(t *testing.T, id string) {
	t.Helper()
	ended := make(chan string, 1)
	go func() {
		for {
			c, err := w.next()
			if err != nil {
				ended <- ""
				return
			}
			if c.ID == id {
				ended <- c.String()
				return
			}
		}
	}()
	select {
	case told := <-ended:
		if told != "" {
			t.Errorf("a watcher that may not any more is told %s", told)
		}
	case <-time.After(patience):
		t.Errorf("the stream of a watcher that may not any more has not ended within %s", patience)
	}
}

func TestTokensAreReplacedWhileItRuns(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	root, a, b := newToken(), newToken(), newToken()
	admin, lineOfA := tokenLine("root", root, "admin"), tokenLine("a", a, "write:default/*")
	f.setTokens(t, admin, lineOfA)
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens"))
	s.endpoint = *s.as(t, root, nil)
	asA, asB := s.as(t, a, nil), s.as(t, b, nil)
	is := func(e *endpoint, want int) func() bool {
		return func() bool {
			got, err := e.status(t.Context(), http.MethodPut, instancePath("web", "a"), `{"addresses":["192.0.2.7"]}`)
			if err != nil {
				t.Error(err)
			}
			return got == want
		}
	}
	if !is(asA, http.StatusCreated)() || !is(asB, http.StatusUnauthorized)() {
		t.Error("at the start: want 201 for A, 401 for B")
	}

	f.setTokens(t, admin, lineOfA, tokenLine("b", b, "write:default/other"))
	soon(t, "B is known", is(asB, http.StatusForbidden))
	f.overwrite(t, "tokens", []byte(admin+lineOfA+tokenLine("b", b, "write:default/*")))
	soon(t, "B may write", is(asB, http.StatusConflict)) // what is A's
	if !is(asA, http.StatusOK)() {
		t.Error("A may not any more what it always could")
	}

	gone, narrowed := asA.watch(t, "", false), asB.watch(t, "", false)
	for _, w := range []*watcher{gone, narrowed} {
		for c, err := w.next(); c.Type != "synced"; c, err = w.next() {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	f.setTokens(t, admin, tokenLine("b", b, "read:default/other"))
	soon(t, "A is not known any more", is(asA, http.StatusUnauthorized))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "after"), `{"addresses":["192.0.2.7"]}`)
	gone.endsWithout(t, "after")
	narrowed.endsWithout(t, "after")

	end, broken := s.log.end(), newToken()
	f.setTokens(t, admin, lineOfA, "c "+broken+" admin\n")
	line := s.log.wait(t, end, "tokens: not taken up")
	if !strings.Contains(line, "line 3: ") || !strings.Contains(line, "[ERROR]") {
		t.Errorf("got %s, want an error that names line 3", line)
	}
	if s.scrape(t).sum(filesFailing) != 1 {
		t.Error("the metric does not say that the file is not in force")
	}
	s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "after"), "")
	if !is(asA, http.StatusUnauthorized)() {
		t.Error("a part of a broken file is in force")
	}
	if err := os.Remove(f.path("tokens")); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, end, "no such file")
	s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "after"), "")

	f.setTokens(t, admin, lineOfA)
	soon(t, "A is known again", is(asA, http.StatusOK))
	soon(t, "the metric says that all is well", func() bool { return s.scrape(t).sum(filesFailing) == 0 })
	if n := strings.Count(s.log.String()[end:], "tokens: not taken up"); n != 2 {
		t.Errorf("the log says %d times that the file is not taken up, want once for each of two reasons", n)
	}
}

// A reload puts new rules into force, or it is refused and leaves those that were.
func TestReloadChangesWhoMayRegister(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	root, a := newToken(), newToken()
	f.put(t, newAuthority(t, "servers").today(t))
	f.setTokens(t, tokenLine("root", root, "admin"))
	f.replace(t, "more-tokens", []byte(tokenLine("root", root, "admin")+tokenLine("a", a, "write:*/*")))
	f.replace(t, "bad-tokens", []byte(tokenLine("root", root, "admin")+tokenLine("a", a, "write:*")))
	const were = "tokens {$FILES}/tokens\nlimit instances-per-service 3\n"
	s := startGuarded(t, f, guarded(were))
	s.endpoint = *s.as(t, root, nil)
	asA := s.as(t, a, nil)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)
	w := s.watch(t, "", false)
	n := 0
	for _, tt := range []struct {
		what, lines, refused string
		a, admitted, limited int // status of A's write, of one to 198.51.100.1, of the fourth instance
	}{
		{"to the same", were, "", 401, 201, 422},
		{"to TLS", were + "tls {$FILES}/cert.pem {$FILES}/key.pem", "restart", 401, 201, 422},
		{"to bad tokens", "tokens {$FILES}/bad-tokens\nadmit 192.0.2.0/24", "line 2: word 3 is no grant", 401, 201, 422},
		{"to no such tokens", "tokens {$FILES}/none\nlimit instances-per-service 9", "no such file", 401, 201, 422},
		{"to a certificate that is none", were + "tls {$FILES}/key.pem {$FILES}/cert.pem", "", 401, 201, 422},
		{"to an audit that cannot be", "tokens {$FILES}/more-tokens\naudit {$FILES}/none/audit", "no such file", 401, 201, 422},
		{"to a tighter admit", were + "admit 192.0.2.0/24", "", 401, 422, 422},
		{"to more tokens and room", "tokens {$FILES}/more-tokens\nlimit instances-per-service 9", "", 201, 201, 201},
		{"back", were, "", 401, 201, 422},
	} {
		end := s.log.end()
		s.configure(t, guarded(tt.lines))
		s.reload(t)
		line := s.log.wait(t, end, reloaded, notReloaded)
		refuses := tt.refused != "" || strings.Contains(tt.what, "none")
		if strings.Contains(line, notReloaded) != refuses || !strings.Contains(s.log.String()[end:], tt.refused) {
			t.Errorf("%s: got %s, want it refused with %q: %t", tt.what, line, tt.refused, refuses)
		}
		n++
		statusOf := func(e *endpoint, service, id, address string) int {
			status, err := e.status(t.Context(), http.MethodPut, instancePath(service, id), fmt.Sprintf(`{"addresses":[%q]}`, address))
			if err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
			return status
		}
		service := fmt.Sprintf("s-%d", n)
		if got := statusOf(asA, service+"-a", "a", "192.0.2.7"); got != tt.a {
			t.Errorf("%s: A gets %d, want %d", tt.what, got, tt.a)
		}
		if got := statusOf(&s.endpoint, service+"-b", "b", "198.51.100.1"); got != tt.admitted {
			t.Errorf("%s: 198.51.100.1 gets %d, want %d", tt.what, got, tt.admitted)
		}
		for i := range 3 {
			statusOf(&s.endpoint, service, fmt.Sprint(i), "192.0.2.7")
		}
		if got := statusOf(&s.endpoint, service, "3", "192.0.2.7"); got != tt.limited {
			t.Errorf("%s: the fourth instance gets %d, want %d", tt.what, got, tt.limited)
		}
		s.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", "web-1"), "")
	}
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("last", "last"), `{"addresses":["192.0.2.7"]}`)
	for c, err := w.next(); c.ID != "last"; c, err = w.next() {
		if err != nil {
			t.Fatalf("the watcher from before all reloads: %v", err)
		}
	}
}
