package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"
)

// Callers with a credential, and one on another machine without.
var (
	alice = service.Caller{Name: "alice"}
	bob   = service.Caller{Name: "bob"}
	root  = service.Caller{Name: "root", Admin: true}
	there = service.Caller{From: netip.MustParseAddr("192.0.2.200")}
)

const none = "none"

// ownerOf returns whose an instance is; none where there is no such instance.
func ownerOf(w *enginetest.World, id service.ID) string {
	i := w.Engine.State().Instance(id)
	if i == nil {
		return none
	}
	return i.Owner
}

func TestAnInstanceBelongsToWhoRegisteredIt(t *testing.T) {
	const known = "prod/web/a 192.0.2.1 lease=30"
	const other = "prod/web/a 192.0.2.9 lease=30"
	for _, tc := range []struct {
		sentence  string
		first, by service.Caller // who registered it, and who comes now
		change    string
		want      error
		owner     string // afterwards
	}{
		{"its owner replaces it", alice, alice, other, nil, "alice"},
		{"its owner registers it again", alice, alice, known, nil, "alice"},
		{"its owner renews it", alice, alice, "renew prod/web/a", nil, "alice"},
		{"its owner drains it", alice, alice, "draining prod/web/a", nil, "alice"},
		{"its owner takes it away", alice, alice, "- prod/web/a", nil, none},

		{"another replaces it", alice, bob, other, service.ErrNotOwner, "alice"},
		{"another registers the very same", alice, bob, known, service.ErrNotOwner, "alice"},
		{"another renews it", alice, bob, "renew prod/web/a", service.ErrNotOwner, "alice"},
		{"another drains it", alice, bob, "draining prod/web/a", service.ErrNotOwner, "alice"},
		{"another takes it away", alice, bob, "- prod/web/a", service.ErrNotOwner, "alice"},
		{"who has no name replaces it", alice, there, other, service.ErrNotOwner, "alice"},
		{"who has no name registers the very same", alice, there, known, service.ErrNotOwner, "alice"},

		{"an administrator replaces it, and it stays its owner's", alice, root, other, nil, "alice"},
		{"an administrator registers the very same", alice, root, known, nil, "alice"},
		{"an administrator renews it", alice, root, "renew prod/web/a", nil, "alice"},
		{"an administrator drains it", alice, root, "draining prod/web/a", nil, "alice"},
		{"an administrator takes it away", alice, root, "- prod/web/a", nil, none},
		{"no credential is asked for any more", alice, testkit.Anyone, other, nil, "alice"},

		{"nobody's is adopted by who replaces it", testkit.Anyone, alice, other, nil, "alice"},
		{"nobody's is adopted by who registers the very same", testkit.Anyone, alice, known, nil, "alice"},
		{"nobody's is adopted by an administrator too", testkit.Anyone, root, known, nil, "root"},
		{"nobody's is renewed by anybody, and stays nobody's", testkit.Anyone, bob, "renew prod/web/a", nil, ""},
		{"nobody's is drained by anybody, and stays nobody's", testkit.Anyone, bob, "draining prod/web/a", nil, ""},
		{"nobody's is taken away by anybody", testkit.Anyone, bob, "- prod/web/a", nil, none},
		{"nobody's stays nobody's where no credential is asked for", testkit.Anyone, testkit.Anyone, other, nil, ""},

		{"one that is static is its owner's no less", alice, bob, "prod/web/static 192.0.2.9", service.ErrNotOwner, "alice"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			for _, form := range []string{"alone", "in a batch", "as a heartbeat"} {
				w := enginetest.NewWorld(t, enginetest.Rules(), nil)
				w.Must(w.ApplyAs(tc.first, w.Changes(known+"\nprod/web/static 192.0.2.1")...))
				before := w.Engine.State()
				changes := w.Changes(tc.change)
				id, at := changes[0].ID, 0
				var err error
				switch {
				case form == "alone":
					err = w.ApplyAs(tc.by, changes...)
				case form == "in a batch":
					at = 1
					changes = slices.Concat(w.Changes("prod/db/b 192.0.2.2"), changes, w.Changes("prod/db/c 192.0.2.3"))
					err = w.ApplyAs(tc.by, changes...)
				case changes[0].Op == service.Renew:
					err = w.Engine.Renew(tc.by, id, service.Precondition{})
				default:
					continue
				}
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: got %v, want %v", form, err, tc.want)
				}
				if owner := ownerOf(w, id); owner != tc.owner {
					t.Errorf("%s: afterwards it is %q's, want %q's", form, owner, tc.owner)
				}
				var invalid *service.Invalid
				if errors.As(err, &invalid) && (len(invalid.Faults) != 1 || invalid.Faults[0].Change != at) {
					t.Errorf("%s: got faults %+v, want one in change %d", form, invalid.Faults, at)
				}
				if err != nil && w.Engine.State() != before {
					t.Errorf("%s: it was refused, and the table has changed", form)
				}
			}
		})
	}
}

func TestABatchNamesAllThatBelongToOthers(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	w.Must(w.ApplyAs(alice, w.Changes("prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2\nprod/web/c 192.0.2.3")...))
	w.Must(w.ApplyAs(bob, w.Changes("prod/web/mine 192.0.2.4")...))
	err := w.ApplyAs(bob, w.Changes("- prod/web/a\nrenew prod/web/mine\ndraining prod/web/b\nprod/web/mine 192.0.2.5\nprod/web/c 192.0.2.3\n- prod/web/x")...)
	var invalid *service.Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, f := range invalid.Faults {
		got = append(got, fmt.Sprint(f.Change, f.Err == service.ErrNotOwner))
	}
	if want := []string{"0 true", "2 true", "4 true", "5 false"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
}

// The owner is not the client's to say, but who administrates may: that is how an import
// brings the owners along.
func TestOnlyAnAdministratorSaysWhoOwns(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		first    string // its owner; empty where it is new
		by       service.Caller
		says     string
		want     string
	}{
		{"a client says that it is another's", "", alice, "bob", "alice"},
		{"its owner gives it away", "alice", alice, "bob", "alice"},
		{"an administrator imports it", "", root, "bob", "bob"},
		{"an administrator gives it to another", "alice", root, "bob", "bob"},
		{"an administrator leaves that open", "alice", root, "", "alice"},
		{"an administrator registers for itself", "", root, "", "root"},
		{"it is imported where no credential is asked for", "", testkit.Anyone, "bob", "bob"},
	} {
		w := enginetest.NewWorld(t, enginetest.Rules(), nil)
		c := testkit.Register("prod", "web", "a", "192.0.2.1")
		if tc.first != "" {
			w.Must(w.ApplyAs(service.Caller{Name: tc.first}, c))
		}
		is := *c.Instance
		is.Owner = tc.says
		c.Instance = &is
		w.Must(w.ApplyAs(tc.by, c))
		if got := ownerOf(w, c.ID); got != tc.want {
			t.Errorf("%s: it is %q's, want %q's", tc.sentence, got, tc.want)
		}
	}
}

// Whose lease has ended owns nothing any more, also while the instance is in the table yet
// because the store hangs. One that is held back is not at its end.
func TestTheEndOfALeaseFreesTheID(t *testing.T) {
	const line = "prod/web/a 192.0.2.1 lease=2"
	which := testkit.ID("prod", "web", "a")

	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Must(w.ApplyAs(alice, w.Changes(line)...))
	w.Pass(3 * time.Second)
	w.Must(w.ApplyAs(bob, w.Changes(line)...))
	if owner := ownerOf(w, which); owner != "bob" {
		t.Errorf("registered after the end of alice's lease: it is %q's", owner)
	}

	over := w.HangIn(func() { w.Load("prod/db/new 192.0.2.9") }, enginetest.Keep)
	w.PassHung(3 * time.Second)
	if owner := ownerOf(w, which); owner != none || w.Engine.State().Service(which.Name).Len() != 1 {
		t.Fatalf("while the store hangs it is %q's, want nobody's, and still in the table", owner)
	}
	if err := w.Engine.Renew(alice, which, service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		t.Errorf("alice renews what has ended: got %v, want ErrNotFound", err)
	}
	over()
	w.Must(w.ApplyAs(alice, w.Changes(line)...))
	if owner := ownerOf(w, which); owner != "alice" {
		t.Errorf("registered after the end of bob's lease: it is %q's", owner)
	}

	rules := enginetest.Rules()
	rules.Eviction = engine.Eviction{}
	w = enginetest.NewWorld(t, rules, nil)
	w.Must(w.ApplyAs(alice, w.Changes(line)...))
	w.Pass(10 * time.Second)
	if err := w.ApplyAs(bob, w.Changes(line)...); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("it is held back, and bob registers it: got %v", err)
	}
	w.Must(w.Engine.Renew(alice, which, service.Precondition{}))
}

// Whoever may write a service may undefine it. That takes all its instances along.
func TestUndefineTakesTheInstancesOfAll(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	w.Must(w.ApplyAs(alice, w.Changes("prod/web/a 192.0.2.1\nprod/db/a 192.0.2.1")...))
	w.Must(w.ApplyAs(bob, w.Changes("- prod/web/")...))
	if _, services, instances := w.Engine.State().Totals(); services != 1 || instances != 1 {
		t.Errorf("got %d services with %d instances, want prod/db alone", services, instances)
	}
}

func TestOwnersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	open := func() *enginetest.World {
		opened, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		w := enginetest.NewWorld(t, enginetest.Rules(), nil)
		w.Use(w.OpenOn(opened))
		w.Must(w.Engine.Load())
		return w
	}
	mine, nobodys := testkit.Register("prod", "web", "a", "192.0.2.1"), testkit.Register("prod", "web", "b", "192.0.2.2")
	w := open()
	w.Must(w.ApplyAs(alice, mine))
	w.Must(w.ApplyAs(testkit.Anyone, nobodys))
	w.Must(w.Engine.Close())

	w = open()
	if err := w.ApplyAs(bob, mine); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob registers what is alice's: got %v", err)
	}
	if err := w.Engine.Renew(bob, mine.ID, service.Precondition{}); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob renews what is alice's: got %v", err)
	}
	w.Must(w.ApplyAs(alice, mine))
	w.Must(w.ApplyAs(bob, nobodys))
	w.Must(w.Engine.Close())

	w = open()
	defer func() { w.Must(w.Engine.Close()) }()
	if got := ownerOf(w, mine.ID) + " " + ownerOf(w, nobodys.ID); got != "alice bob" {
		t.Errorf("after another restart they belong to %q, want alice and bob", got)
	}
}
