package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"
)

// messages returns what is wrong with each change, "change field: message" in a line each.
func messages(err error) string {
	var invalid *service.Invalid
	if !errors.As(err, &invalid) {
		return fmt.Sprint(err)
	}
	var lines []string
	for _, f := range invalid.Faults {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(f.Change, " ", f.Field))+": "+f.Message)
	}
	return strings.Join(lines, "\n")
}

// limited returns rules with a limit of that kind.
func limited(kind string, n int) engine.Rules {
	r := enginetest.Rules()
	*r.Limits.Of(kind) = n
	return r
}

// within returns rules that admit addresses of those networks.
func within(networks ...netip.Prefix) engine.Rules {
	r := enginetest.Rules()
	r.Networks = networks
	return r
}

// A quota is met exactly: the last that there is room for is let in, the next is not and is
// told which quota it was. What is there already never counts twice.
func TestQuotasAtTheirEdge(t *testing.T) {
	const table = "prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2 lease=30\nprod/db/c 192.0.2.3\n"
	for _, tc := range []struct {
		sentence string
		limit    string
		n        int
		change   string
		want     string // of the refusal; empty where there is room
	}{
		{"the last instance", "instances", 4, "prod/db/new 192.0.2.9", ""},
		{"one instance more", "instances", 3, "prod/db/new 192.0.2.9", "0: quota exceeded: the table has 3 instances"},
		{"an instance is replaced", "instances", 3, "prod/web/a 192.0.2.9", ""},
		{"the same again", "instances", 3, "prod/web/a 192.0.2.1", ""},
		{"a heartbeat", "instances", 1, "renew prod/web/b", ""},
		{"a status", "instances", 1, "draining prod/web/b", ""},
		{"a definition is no instance", "instances", 3, "service prod/new headless", ""},

		{"the last of the service", "instances-per-service", 3, "prod/web/new 192.0.2.9", ""},
		{"one more of the service", "instances-per-service", 2, "prod/web/new 192.0.2.9", "0: quota exceeded: the service has 2 instances"},
		{"one of another service", "instances-per-service", 2, "prod/db/new 192.0.2.9", ""},
		{"one of the service is replaced", "instances-per-service", 2, "prod/web/a 192.0.2.9", ""},
		{"the first of a service", "instances-per-service", 1, "prod/new/new 192.0.2.9", ""},

		{"the last service, by an instance", "services", 3, "prod/new/new 192.0.2.9", ""},
		{"one service more, by an instance", "services", 2, "prod/new/new 192.0.2.9", "0: quota exceeded: the table has 2 services"},
		{"the last service, by a definition", "services", 3, "service prod/new headless", ""},
		{"one service more, by a definition", "services", 2, "service prod/new headless", "0: quota exceeded: the table has 2 services"},
		{"a service that is there is defined", "services", 2, "service prod/web headless", ""},
		{"another instance of one", "services", 2, "prod/web/new 192.0.2.9", ""},

		{"the last namespace", "namespaces", 2, "test/new/new 192.0.2.9", ""},
		{"one namespace more", "namespaces", 1, "test/new/new 192.0.2.9", "0: quota exceeded: the table has 1 namespaces"},
		{"one namespace more, by a definition", "namespaces", 1, "service test/new headless", "0: quota exceeded: the table has 1 namespaces"},
		{"another service in one", "namespaces", 1, "prod/new/new 192.0.2.9", ""},

		{"no limit", "instances", 0, "prod/web/new 192.0.2.9", ""},
		{"no limit", "instances-per-service", 0, "prod/web/new 192.0.2.9", ""},
		{"no limit", "services", 0, "prod/new/new 192.0.2.9", ""},
		{"no limit", "namespaces", 0, "test/new/new 192.0.2.9", ""},

		{"a batch frees the room that it takes", "instances", 3, "- prod/web/a\nprod/web/new 192.0.2.9", ""},
		{"a batch frees it too late", "instances", 3, "prod/web/new 192.0.2.9\n- prod/web/a", "0: quota exceeded: the table has 3 instances"},
		{"a batch takes it twice", "instances", 4, "prod/web/x 192.0.2.8\nprod/web/y 192.0.2.9", "1: quota exceeded: the table has 4 instances"},
		{"a batch registers one twice", "instances", 4, "prod/web/x 192.0.2.8\nprod/web/x 192.0.2.9", ""},
		{"a batch replaces the service", "services", 2, "- prod/db/c\nprod/new/new 192.0.2.9", ""},
		{"a batch takes a service with all of its own", "instances", 3, "- prod/web/\nprod/db/x 192.0.2.8\nprod/db/y 192.0.2.9", ""},
		{"and no more", "instances", 3, "- prod/web/\nprod/db/x 192.0.2.7\nprod/db/y 192.0.2.8\nprod/db/z 192.0.2.9",
			"3: quota exceeded: the table has 3 instances"},
		{"a batch moves to another namespace", "namespaces", 1, "- prod/web/\n- prod/db/\ntest/new/new 192.0.2.9", ""},
		{"a batch names each that is too many", "instances-per-service", 2, "prod/web/x 192.0.2.8\nprod/db/y 192.0.2.8\nprod/db/z 192.0.2.9",
			"0: quota exceeded: the service has 2 instances\n2: quota exceeded: the service has 2 instances"},
	} {
		t.Run(fmt.Sprint(tc.limit, " ", tc.n, ", ", tc.sentence), func(t *testing.T) {
			w := enginetest.NewWorld(t, enginetest.Rules(), nil)
			w.Load(table)
			// What is there may be more than is allowed by now.
			w.SetRules(limited(tc.limit, tc.n))
			before := w.Engine.State()
			err := w.Try(w.Changes(tc.change)...)
			if tc.want == "" {
				w.Must(err)
			} else if got := messages(err); got != tc.want || w.Engine.State() != before {
				t.Errorf("got  %s\nwant %s, and the table as it was", got, tc.want)
			}
		})
	}
}

// An instance that has left makes room, though nobody has settled with the store yet.
func TestWhoHasLeftMakesRoom(t *testing.T) {
	w := enginetest.NewWorld(t, limited("instances", 1), nil)
	w.Load("prod/web/a 192.0.2.1 lease=2")
	if err := w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")); err == nil {
		t.Fatal("two of one are there")
	}
	w.Pass(3 * time.Second)
	w.Must(w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")))
}

// However many register at once, exactly as many get in as there is room for.
func TestQuotasHoldUnderConcurrentRegistrations(t *testing.T) {
	const callers, each = 8, 40
	for limit, n := range map[string]int{"instances": 100, "services": 30, "namespaces": 5, "instances-per-service": 3} {
		t.Run(limit, func(t *testing.T) {
			w := enginetest.NewWorld(t, limited(limit, n), enginetest.NewStore(t))
			var wg sync.WaitGroup
			var there atomic.Int64
			for caller := range callers {
				wg.Go(func() {
					for i := range each {
						c := testkit.Register(fmt.Sprint("n", i%10), fmt.Sprint("s", i), fmt.Sprint("i", caller), "192.0.2.1")
						switch err := w.ApplyAs(service.Caller{Name: fmt.Sprint(caller)}, c); {
						case err == nil:
							there.Add(1)
						case !strings.Contains(err.Error(), "quota exceeded"):
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			namespaces, services, instances := w.Engine.State().Totals()
			most := 0
			for view := range w.Engine.State().Services(service.Name{}) {
				most = max(most, view.Len())
			}
			got := map[string]int{"instances": instances, "services": services, "namespaces": namespaces, "instances-per-service": most}[limit]
			if got != n || instances != int(there.Load()) {
				t.Errorf("got %d, want %d; %d were let in and %d are there", got, n, there.Load(), instances)
			}
			w.Same()
		})
	}
}

// Some names would shadow those that a resolver's search list completes: a service of them
// answered for names of others.
func TestReservedNamesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		change string
		want   string
	}{
		{"svc/web/a 192.0.2.1", `0 namespace: "svc" is reserved`},
		{"pod/web/a 192.0.2.1", `0 namespace: "pod" is reserved`},
		{"dns-version/web/a 192.0.2.1", `0 namespace: "dns-version" is reserved`},
		{"prod/dns-version/a 192.0.2.1", `0 service: "dns-version" is reserved`},
		{"dns-version/dns-version/a 192.0.2.1", `0 service: "dns-version" is reserved`},
		{"service svc/web headless", `0 namespace: "svc" is reserved`},
		{"service prod/dns-version headless", `0 service: "dns-version" is reserved`},
		{"prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2\npod/web/c 192.0.2.3", `2 namespace: "pod" is reserved`},

		{"prod/svc/a 192.0.2.1", ""},
		{"prod/pod/a 192.0.2.1", ""},
		{"svc1/web/a 192.0.2.1", ""},
		{"prod/web/dns-version 192.0.2.1", ""},
		{"prod/web/svc 192.0.2.1 host=svc", ""},
		{"service default/kubernetes headless", ""},
	} {
		w := enginetest.NewWorld(t, enginetest.Rules(), nil)
		err := w.Try(w.Changes(tc.change)...)
		if tc.want == "" {
			w.Must(err)
		} else if !strings.Contains(messages(err), tc.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.change, messages(err), tc.want)
		}
	}
}

// An instance whose name, or whose place in the network, is not admitted any more can be kept
// alive, drained and taken away. It cannot be registered again.
func TestWhatIsThereAndNotAdmittedCanLeave(t *testing.T) {
	for _, line := range []string{"svc/web/a 192.0.2.1 lease=30", "prod/web/a 198.51.100.1 lease=30"} {
		t.Run(line, func(t *testing.T) {
			s := enginetest.NewStore(t)
			w := enginetest.NewWorld(t, enginetest.Rules(), nil)
			c := w.Changes(line)[0]
			c.Instance.Status = service.Up
			s.Objects[c.ID] = store.Object{ID: c.ID, Revision: 1, Instance: c.Instance, RegisteredAt: w.Now()}
			s.Revision = 1
			w = enginetest.NewWorld(t, within(netip.MustParsePrefix("192.0.2.0/24")), s)

			if err := w.Try(c); !strings.Contains(fmt.Sprint(err), "reserved") && !strings.Contains(fmt.Sprint(err), "not admitted") {
				t.Errorf("registered again: got %v", err)
			}
			w.Must(w.Engine.Renew(testkit.Anyone, c.ID, service.Precondition{}))
			w.Must(w.Try(service.Change{Op: service.Renew, ID: c.ID}))
			w.Must(w.Try(service.Change{Op: service.SetStatus, ID: c.ID, Status: service.Draining}))
			w.Must(w.Try(service.Change{Op: service.Deregister, ID: c.ID}))
		})
	}
}

func TestAddressesLieInTheNetworksThatAreAdmitted(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, tc := range []struct {
		sentence string
		change   string
		want     string
	}{
		{"within", "prod/web/a 192.0.2.127", ""},
		{"within, of both families", "prod/web/a 192.0.2.0 2001:db8:1:ffff::1", ""},
		{"just outside", "prod/web/a 192.0.2.128", "0 addresses[0]: 192.0.2.128 is not admitted: it must be in 192.0.2.0/25, 2001:db8:1::/48"},
		{"one of several", "prod/web/a 192.0.2.1 2001:db8:2::1 192.0.2.2", "0 addresses[1]: 2001:db8:2::1 is not admitted: it must be in 192.0.2.0/25, 2001:db8:1::/48"},
		{"loopback", "prod/web/a 127.0.0.1", "0 addresses[0]: 127.0.0.1 is not admitted: it must be in 192.0.2.0/25, 2001:db8:1::/48"},
		{"the second of a batch", "prod/web/a 192.0.2.1\nprod/web/b 203.0.113.1", "1 addresses[0]: 203.0.113.1 is not admitted: it must be in 192.0.2.0/25, 2001:db8:1::/48"},
		{"a cluster IP is no instance's address", "service prod/vip clusterIP 10.0.0.1", ""},
	} {
		w := enginetest.NewWorld(t, within(networks...), nil)
		err := w.Try(w.Changes(tc.change)...)
		if tc.want == "" {
			w.Must(err)
		} else if got := messages(err); got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.sentence, got, tc.want)
		}
	}
}
