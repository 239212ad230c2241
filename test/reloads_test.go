package test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A registry is reloaded again and again under all kinds of load. Nobody may notice.
func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "disk"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			reloads := 100 / slowness
			if soaking > 0 {
				reloads = max(reloads, soaking)
			}
			corefile := func(n int) string {
				text := kept(fmt.Sprintf("ttl %ds\nlease 2s 1s 24h", 1+n/2%2)) // every second one changes nothing
				if store == "memory" {
					text = inMemory(text)
				}
				return text
			}
			s := start(t, corefile(0), "DIR="+t.TempDir())
			s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
			leased := s.keep(t, leaseLength, leasedWeb)
			f := newFlock(t, s, 2, 50, time.Second)

			ctx, cancel := context.WithCancel(t.Context())
			var loading sync.WaitGroup
			defer loading.Wait()
			defer cancel()
			loadRounds := s.load(ctx, t, &loading, leased)
			f.beatEvery(ctx, t, 200*time.Millisecond, &loading)
			clients := make([]*client, 4)
			for n := range clients {
				c := newClient(n, 0, 600)
				c.endpoint, clients[n] = s.endpoint, c
				loading.Go(func() {
					every(ctx, 5*time.Millisecond, func() {
						if err := c.fulfil(c.wish()); err != nil && ctx.Err() == nil {
							t.Errorf("a write: %v", err)
						}
					})
				})
			}
			watched := s.mirrorUntilLast(t)

			for n := range reloads {
				end := s.log.end()
				s.configure(t, corefile(n+1))
				s.reload(t)
				if line := s.log.wait(t, end, reloaded, notReloaded); !strings.Contains(line, reloaded) {
					t.Fatalf("reload %d: %s", n, line)
				}
				if t.Failed() {
					t.Fatalf("in reload %d", n)
				}
				before := loadRounds() // everybody has been served by this generation
				soon(t, "the load goes on", func() bool { return loadRounds() > before+1 })
			}
			cancel()
			loading.Wait()
			f.isWhole(t, leased)
			for _, k := range append(f, leased) { // nobody leaves while tables are compared
				if _, err := k.register(longLease); err != nil {
					t.Fatal(err)
				}
			}
			writes := 0
			all, _ := s.served(t)
			for _, c := range clients {
				writes += c.acknowledged
				if _, wrong := c.settle(all); wrong != "" {
					t.Errorf("client %s: %s", c.id, wrong)
				}
			}
			s.must(t, http.StatusCreated, http.MethodPut, instancePath("last", "last"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
			got, err := watched()
			if err != nil {
				t.Errorf("the watcher from before all reloads: %v", err)
			}
			if want := s.mirrorOf(t); !reflect.DeepEqual(got, want) {
				t.Errorf("the watcher has\n%v\nwant\n%v", got, want)
			}
			t.Logf("%d reloads, %d rounds of load, %d writes", reloads, loadRounds(), writes)
		})
	}
}

// mirrorUntilLast follows the table on one connection, until an instance called last is
// there; what it returns waits for that. No change may be told twice, or out of order.
func (s *server) mirrorUntilLast(t *testing.T) func() (mirror, error) {
	t.Helper()
	w := s.watch(t, "", false)
	m, failed := mirror{}, make(chan error, 1)
	go func() {
		failed <- func() error {
			synced, before := false, uint64(0)
			for {
				c, err := w.next()
				if err == nil {
					err = m.apply(c)
				}
				switch {
				case err != nil:
					return err
				case c.Type == "synced":
					synced, before = true, c.Revision
				case synced && c.Revision < before:
					return fmt.Errorf("revision %d after %d", c.Revision, before)
				case synced:
					before = c.Revision
				}
				if c.ID == "last" {
					return nil
				}
			}
		}()
	}()
	return func() (mirror, error) {
		select {
		case err := <-failed:
			return m, err
		case <-time.After(patience):
			return nil, fmt.Errorf("it has not been told all within %s", patience)
		}
	}
}

// What a reload cannot change it refuses, and then all is as it was.
func TestReloadThatCannotBeLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	s := start(t, kept("ttl 5s"), "DIR="+dir, "OTHERDIR="+other, "OTHER=127.0.0.1:"+freePort(t))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	leased := s.keep(t, leaseLength, leasedWeb)
	ctx, cancel := context.WithCancel(t.Context())
	var loading sync.WaitGroup
	count := s.load(ctx, t, &loading, leased)
	defer loading.Wait()
	defer cancel()
	w := s.mirrorUntilLast(t)
	good := kept("ttl 7s")
	replaced := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the Corefile", old)
		}
		return strings.ReplaceAll(good, old, with)
	}
	for _, tt := range []struct{ what, corefile, says string }{
		{"another listen", replaced("listen {$ENDPOINT}", "listen {$OTHER}"), "restart"},
		{"no store", replaced("store disk {$DIR}", ""), "restart"},
		{"another store", replaced("store disk {$DIR}", "store memory"), "restart"},
		{"another directory", replaced("store disk {$DIR}", "store disk {$OTHERDIR}"), "restart"},
		{"another listen and directory", replaced("listen {$ENDPOINT}\n        store disk {$DIR}", "listen {$OTHER}\n        store disk {$OTHERDIR}"), "restart"},
		{"one more table on the same directory", good + `
example.org:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$OTHER}
        store disk {$DIR}
    }
}`, "store disk"},
		{"an eviction that is none", kept("eviction 101"), "eviction"},
		{"a lease that is none", kept("lease 1s 2s 3s"), "lease"},
		{"nothing that parses", "cluster.local {", ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			end := s.log.end()
			s.configure(t, tt.corefile)
			s.reload(t)
			line := s.log.wait(t, end, notReloaded, reloaded)
			if strings.Contains(line, reloaded) || !strings.Contains(s.log.String()[end:], tt.says) {
				t.Errorf("got %s, want an error with %q in it", line, tt.says)
			}
			status, answer, err := s.do(http.MethodPut, instancePath("web", "new"), `{"addresses":["192.0.2.9"]}`)
			if err != nil || status >= 300 || !strings.Contains(answer, `"leaseSeconds":30`) {
				t.Errorf("a write afterwards: %d, %v, %s", status, err, answer)
			}
			if ttl := s.ttl(t); ttl != 5 {
				t.Errorf("the TTL is %d, want 5 as before", ttl)
			}
			before := count()
			soon(t, "the load goes on", func() bool { return count() > before+20 })
		})
	}
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("last", "last"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	if _, err := w(); err != nil {
		t.Errorf("the watcher from before: %v", err)
	}
	cancel()
	loading.Wait()
	s.kill(t)
	s = start(t, good, "DIR="+dir) // nothing of it went elsewhere
	s.must(t, http.StatusOK, http.MethodGet, instancePath("last", "last"), "")
}

// ttl is that of an instance which is static.
func (s *server) ttl(t *testing.T) uint32 {
	t.Helper()
	got := dial(t, "udp", s.dns).must(t, under("static.web"), dns.TypeA)
	if len(got.Answer) == 0 {
		t.Fatalf("no answer\n%s", got.Msg)
	}
	return got.Answer[0].Header().Ttl
}

func TestReloadedLeaseAndEvictionTakeEffect(t *testing.T) {
	t.Parallel()
	s := start(t, kept("lease 400s"), "DIR="+t.TempDir())
	wants := func(id string, status, seconds int) {
		t.Helper()
		sent := time.Now()
		answer := s.must(t, status, http.MethodPut, instancePath("web", id), `{"addresses":["192.0.2.7"]}`)
		came := time.Now()
		var i struct {
			LeaseSeconds int
			ExpiresAt    time.Time
		}
		decode(t, answer, &i)
		// Its end is told in whole milliseconds at best.
		renewed := i.ExpiresAt.Add(-time.Duration(seconds) * time.Second)
		if i.LeaseSeconds != seconds || renewed.Before(sent.Add(-time.Second/10)) || renewed.After(came.Add(time.Second/10)) {
			t.Errorf("%s has a lease of %d s that ends at %s, want %d from between %s and %s", id, i.LeaseSeconds, i.ExpiresAt, seconds, sent, came)
		}
	}
	wants("before", http.StatusCreated, 400)
	s.configure(t, kept("lease 900s 600s 20m\neviction 7 3"))
	end := s.log.end()
	s.reload(t)
	s.log.wait(t, end, reloaded)
	wants("after", http.StatusCreated, 900)
	wants("before", http.StatusOK, 900) // registered again
	s.must(t, http.StatusUnprocessableEntity, http.MethodPut, instancePath("web", "short"), `{"addresses":["192.0.2.7"],"leaseSeconds":400}`)
	var status struct {
		Evictions struct{ Percent, Floor, SpanSeconds int }
	}
	decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
	if e := status.Evictions; e.Percent != 7 || e.Floor != 3 || e.SpanSeconds != 900 {
		t.Errorf("the status tells of evictions %+v, want 7, 3, 900", e)
	}
}
