package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// reloading is a Corefile with that TTL, and with more lines or server blocks.
func reloading(ttl int, lines, blocks string) string {
	return fmt.Sprintf(`
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ttl %ds
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
    %s
}
%s`, ttl, lines, blocks)
}

const reloaded, notReloaded = "Reloading complete", "[ERROR]"

func TestReload(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := start(t, reloading(5, "", ""), "TAKEN="+taken.Addr().String(), "TAKENPORT="+port(taken))

	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	leased := s.keep(t, longLease, leasedWeb) // so long that no revision is its end
	w := s.watch(t, fmt.Sprint(s.endpoint.revision(t)), false)
	began := s.endpoint.revision(t)
	ctx, cancel := context.WithCancel(t.Context())
	var loading sync.WaitGroup
	rounds := s.load(ctx, t, &loading, leased)

	for _, tt := range []struct {
		what, corefile string
		signal         bool
		says           string
		ttl            uint32 // in force afterwards
	}{
		{"a changed file and SIGUSR1", reloading(7, "reload 2s 1s", ""), true, reloaded, 7},
		{"a changed file and the plugin reload", reloading(9, "", ""), false, reloaded, 9},
		{"the same file and SIGUSR1", reloading(9, "", ""), true, reloaded, 9},
		{"a directive that there is not", reloading(11, "nonsense", ""), true, notReloaded, 9},
		{"a value that is not allowed", reloading(3601, "", ""), true, notReloaded, 9},
		{"no Corefile at all", "cluster.local {", true, notReloaded, 9},
		{"two blocks that differ about the lease", reloading(11, "", `
example.org:{$DNS} {
    registry {
        listen {$ENDPOINT}
        lease 1m
    }
}
example.net:{$DNS} {
    registry {
        listen {$ENDPOINT}
        lease 2m
    }
}`), true, notReloaded, 9},
		{"a DNS port that is taken", reloading(11, "", `
example.org:{$TAKENPORT} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ttl 20s
    }
}`), true, notReloaded, 9},
		{"an endpoint that is taken", reloading(11, "", `
example.org:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$TAKEN}
    }
}`), true, notReloaded, 9},
		{"a good file again", reloading(13, "", ""), true, reloaded, 13},
	} {
		t.Run(tt.what, func(t *testing.T) {
			end := s.log.end()
			s.configure(t, tt.corefile)
			if tt.signal {
				s.reload(t)
			}
			s.log.wait(t, end, tt.says)
			got := dial(t, "udp", s.dns).must(t, under("static.web"), dns.TypeA)
			if !has(got.Answer, "192.0.2.7") || got.Answer[0].Header().Ttl != tt.ttl {
				t.Errorf("want 192.0.2.7 with a TTL of %d, got\n%s", tt.ttl, got.Msg)
			}
			if now := s.endpoint.revision(t); now != began {
				t.Errorf("the revision is %d, want %d as before", now, began)
			}
			before := rounds()
			soon(t, "the load goes on", func() bool { return rounds() > before+20 })
		})
	}
	cancel()
	loading.Wait()
	t.Logf("%d rounds of load", rounds())

	s.must(t, http.StatusOK, http.MethodDelete, instancePath("web", "static"), "")
	for {
		c, err := w.next()
		if err != nil {
			t.Fatalf("the watcher from before all reloads: %v", err)
		}
		if c.Type == "delete" && c.ID == "static" {
			return
		}
	}
}

func port(l net.Listener) string { return fmt.Sprint(l.Addr().(*net.TCPAddr).Port) }

// leasedWeb is the instance that load keeps alive.
var leasedWeb = member{name{"web", "leased"}, "192.0.2.8"}

// load is light and steady traffic, none of which may fail or be answered wrong: queries
// over UDP and TCP, heartbeats that keep an instance alive, and explanations. It returns
// how many rounds of all of them there have been.
func (s *server) load(ctx context.Context, t *testing.T, all *sync.WaitGroup, leased *keeper) (rounds func() int) {
	const pause = 2 * time.Millisecond
	var counts []*atomic.Int64
	begin := func(request func() error) {
		count := new(atomic.Int64)
		counts = append(counts, count)
		all.Go(func() {
			every(ctx, pause, func() {
				if err := request(); err != nil {
					t.Error(err)
				}
				count.Add(1)
			})
		})
	}
	overUDP := dial(t, "udp", s.dns)
	begin(func() error { return bothAnswered(overUDP, leased) })
	begin(func() (err error) {
		// A server may close a connection whenever it likes, and that of the old generation
		// does: clients come again (RFC 7766, section 6.2.4).
		for range 3 {
			asker, closeIt, failed := dialTCP(s.dns)
			if err = failed; err == nil {
				err = bothAnswered(asker, leased)
				closeIt()
			}
			if err == nil {
				return nil
			}
		}
		return err
	})
	begin(leased.beat)
	for _, path := range []string{"/v1/explain?name=" + under("web") + "&type=A", instancePath("web", "static")} {
		begin(func() error {
			_, err := s.wants(http.StatusOK, http.MethodGet, path, "")
			return err
		})
	}
	return func() int {
		least := counts[0].Load()
		for _, count := range counts {
			least = min(least, count.Load())
		}
		return int(least)
	}
}

func dialTCP(address string) (*resolver, func() error, error) {
	conn, err := dns.DialTimeout("tcp", address, answerWithin)
	if err != nil {
		return nil, nil, err
	}
	return &resolver{conn: conn}, conn.Close, nil
}

// bothAnswered asks for the service with an instance that is static and one that is leased.
func bothAnswered(asker *resolver, leased *keeper) error {
	r := leased.renewal()
	got, err := asker.ask(under("web"), dns.TypeA)
	if err == nil && !(has(got.Answer, "192.0.2.7") && (has(got.Answer, leasedWeb.address) || !r.lasts(got.came))) {
		err = fmt.Errorf("an instance is missing\n%s", got.Msg)
	}
	return err
}
