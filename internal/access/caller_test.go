package access

import (
	"testing"

	"github.com/coredns-registry/registry/service"
)

// mayTwin says what a grant allows as the contract has it: any one that fits is enough.
func mayTwin(grants []grant, n service.Name, r right) bool {
	for _, g := range grants {
		fits := (g.to.Namespace == "*" || g.to.Namespace == n.Namespace) &&
			(g.to.Service == "*" || g.to.Service == n.Service)
		if g.admin || fits && g.right >= r {
			return true
		}
	}
	return false
}

// Every set of grants for two names and "*" on both sides, against the twin. No grant names c:
// it stands for every name that there could be besides.
func TestGrantsAllowWhatTheySayAndNothingElse(t *testing.T) {
	var targets []service.Name
	for _, namespace := range []string{"a", "b", "*"} {
		for _, svc := range []string{"a", "b", "*"} {
			targets = append(targets, service.Name{Namespace: namespace, Service: svc})
		}
	}
	names := []string{"a", "b", "c"}
	sets := 1
	for range targets {
		sets *= 3 // nothing, read, write
	}
	for set := range sets {
		var grants []grant
		for i, rest := 0, set; rest > 0; i, rest = i+1, rest/3 {
			if r := right(rest % 3); r != nothing {
				grants = append(grants, grant{right: r, to: targets[i]})
			}
		}
		c := newCaller("web", grants)
		every, someWritten := true, false
		for _, namespace := range names {
			all, some := true, false
			for _, svc := range names {
				n := service.Name{Namespace: namespace, Service: svc}
				mayRead := mayTwin(grants, n, read)
				if got := c.MayRead(n); got != mayRead {
					t.Fatalf("%+v: may read %s: got %v, want %v", grants, n, got, mayRead)
				}
				if got, want := c.MayWrite(n), mayTwin(grants, n, write); got != want {
					t.Fatalf("%+v: may write %s: got %v, want %v", grants, n, got, want)
				}
				all, some = all && mayRead, some || mayRead
				someWritten = someWritten || mayTwin(grants, n, write)
			}
			if got := c.MayReadNamespace(namespace); got != all {
				t.Fatalf("%+v: may read all of %s: got %v, want %v", grants, namespace, got, all)
			}
			if got := c.MayReadSome(namespace); got != some {
				t.Fatalf("%+v: may read some of %s: got %v, want %v", grants, namespace, got, some)
			}
			every = every && all
		}
		if got := c.MayReadNamespace(anyName); got != every {
			t.Fatalf("%+v: may read all: got %v, want %v", grants, got, every)
		}
		if got := c.MayWriteSome(); got != someWritten {
			t.Fatalf("%+v: may write some: got %v, want %v", grants, got, someWritten)
		}
	}
}

// Nothing has the name "*", but a path may. It must not find more than any name would.
func TestStarInARequestGainsNothing(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		grant    string
		n        service.Name
		want     bool
	}{
		{"a grant of one service is not one of all", "write:prod/web", service.Name{Namespace: "prod", Service: "*"}, false},
		{"nor one of any namespace", "write:prod/web", service.Name{Namespace: "*", Service: "web"}, false},
		{"a grant of a namespace is not one of all", "write:prod/*", service.Name{Namespace: "*", Service: "*"}, false},
		{"a grant of any has whatever is asked", "write:prod/*", service.Name{Namespace: "prod", Service: "*"}, true},
	} {
		g, _ := parseGrant(tc.grant)
		if got := newCaller("web", []grant{g}).MayWrite(tc.n); got != tc.want {
			t.Errorf("%s: %s on %s: got %v", tc.sentence, tc.grant, tc.n, got)
		}
	}
}

func TestCallersWithoutAFile(t *testing.T) {
	n := service.Name{Namespace: "prod", Service: "web"}
	for _, tc := range []struct {
		sentence                  string
		c                         *Caller
		admin, write, all, inside bool
	}{
		{"where no credential is asked for, anyone may do everything", Anyone, true, true, true, true},
		{"the holder of a certificate may write everything, but is no admin", Writer("web"), false, true, true, true},
		{"the zero value may do nothing", new(Caller), false, false, false, false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			if tc.c.Admin != tc.admin || tc.c.MayWrite(n) != tc.write || tc.c.MayRead(n) != tc.write ||
				tc.c.MayReadNamespace(anyName) != tc.all || tc.c.MayReadSome("prod") != tc.inside {
				t.Errorf("got %+v", tc.c)
			}
		})
	}
}

func TestCallersAreEqualWhenTheyMayDoTheSame(t *testing.T) {
	caller := func(name string, words ...string) *Caller {
		var grants []grant
		for _, word := range words {
			g, ok := parseGrant(word)
			if !ok {
				t.Fatalf("no grant: %s", word)
			}
			grants = append(grants, g)
		}
		return newCaller(name, grants)
	}
	one := caller("web", "read:a/b", "write:c/*")
	for _, tc := range []struct {
		sentence string
		other    *Caller
		want     bool
	}{
		{"the same", caller("web", "read:a/b", "write:c/*"), true},
		{"in another order, and said twice", caller("web", "write:c/*", "read:a/b", "read:c/*"), true},
		{"another name", caller("api", "read:a/b", "write:c/*"), false},
		{"more", caller("web", "read:a/b", "write:c/*", "read:d/d"), false},
		{"less", caller("web", "read:a/b"), false},
		{"another right", caller("web", "write:a/b", "write:c/*"), false},
		{"admin", caller("web", "read:a/b", "write:c/*", "admin"), false},
		{"a credential that is gone", nil, false},
	} {
		if got := one.Equal(tc.other); got != tc.want {
			t.Errorf("%s: got %v", tc.sentence, got)
		}
	}
}
