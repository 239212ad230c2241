package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/service"
)

// Callers with a credential, and one on another machine without.
var (
	alice = service.Caller{Name: "alice"}
	bob   = service.Caller{Name: "bob"}
	root  = service.Caller{Name: "root", Admin: true}
	there = service.Caller{From: netip.MustParseAddr("192.0.2.200")}
)

// applyAs makes changes as one transaction of the caller.
func (w *world) applyAs(by service.Caller, changes ...service.Change) error {
	_, _, err := w.registry.Apply(by, changes, w.registry.now())
	return err
}

// must fails the test where there is an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

const gone = "gone"

// ownerOf returns whose an instance is; gone where there is none.
func (w *world) ownerOf(id service.ID) string {
	i := w.registry.State().Instance(id)
	if i == nil {
		return gone
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
		{"its owner takes it away", alice, alice, "- prod/web/a", nil, gone},

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
		{"an administrator takes it away", alice, root, "- prod/web/a", nil, gone},
		{"no credential is asked for any more", alice, anyone, other, nil, "alice"},

		{"nobody's is adopted by who replaces it", anyone, alice, other, nil, "alice"},
		{"nobody's is adopted by who registers the very same", anyone, alice, known, nil, "alice"},
		{"nobody's is adopted by an administrator too", anyone, root, known, nil, "root"},
		{"nobody's is renewed by anybody, and stays nobody's", anyone, bob, "renew prod/web/a", nil, ""},
		{"nobody's is drained by anybody, and stays nobody's", anyone, bob, "draining prod/web/a", nil, ""},
		{"nobody's is taken away by anybody", anyone, bob, "- prod/web/a", nil, gone},
		{"nobody's stays nobody's where no credential is asked for", anyone, anyone, other, nil, ""},

		{"one that is static is its owner's no less", alice, bob, "prod/web/static 192.0.2.9", service.ErrNotOwner, "alice"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			for _, form := range []string{"alone", "in a batch", "as a heartbeat"} {
				w := newShelved(t, Config{}, nil)
				w.must(w.applyAs(tc.first, w.changes(known+"\nprod/web/static 192.0.2.1")...))
				before := w.registry.State()
				changes := w.changes(tc.change)
				id, at := changes[0].ID, 0
				var err error
				switch {
				case form == "alone":
					err = w.applyAs(tc.by, changes...)
				case form == "in a batch":
					at = 1
					changes = slices.Concat(w.changes("prod/db/b 192.0.2.2"), changes, w.changes("prod/db/c 192.0.2.3"))
					err = w.applyAs(tc.by, changes...)
				case changes[0].Op == service.Renew:
					err = w.registry.Renew(tc.by, id, service.Precondition{})
				default:
					continue
				}
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: got %v, want %v", form, err, tc.want)
				}
				if owner := w.ownerOf(id); owner != tc.owner {
					t.Errorf("%s: afterwards it is %q's, want %q's", form, owner, tc.owner)
				}
				var invalid *service.Invalid
				if errors.As(err, &invalid) && (len(invalid.Faults) != 1 || invalid.Faults[0].Change != at) {
					t.Errorf("%s: got faults %+v, want one in change %d", form, invalid.Faults, at)
				}
				if err != nil && w.registry.State() != before {
					t.Errorf("%s: it was refused, and the table has changed", form)
				}
			}
		})
	}
}

func TestABatchNamesAllThatBelongToOthers(t *testing.T) {
	w := newShelved(t, Config{}, nil)
	w.must(w.applyAs(alice, w.changes("prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2\nprod/web/c 192.0.2.3")...))
	w.must(w.applyAs(bob, w.changes("prod/web/mine 192.0.2.4")...))
	err := w.applyAs(bob, w.changes("- prod/web/a\nrenew prod/web/mine\ndraining prod/web/b\nprod/web/mine 192.0.2.5\nprod/web/c 192.0.2.3\n- prod/web/x")...)
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
		{"it is imported where no credential is asked for", "", anyone, "bob", "bob"},
	} {
		w := newWorld(t, Config{})
		c := register("prod", "web", "a", "192.0.2.1")
		if tc.first != "" {
			w.must(w.applyAs(service.Caller{Name: tc.first}, c))
		}
		is := *c.Instance
		is.Owner = tc.says
		c.Instance = &is
		w.must(w.applyAs(tc.by, c))
		if got := w.ownerOf(c.ID); got != tc.want {
			t.Errorf("%s: it is %q's, want %q's", tc.sentence, got, tc.want)
		}
	}
}

func TestAnImportBringsTheOwners(t *testing.T) {
	from := newShelved(t, Config{}, nil)
	from.must(from.applyAs(alice, from.changes("prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2 lease=30")...))
	from.must(from.applyAs(bob, from.changes("prod/web/c 192.0.2.3")...))
	to := newShelved(t, Config{}, nil)
	to.call("POST", "/v1/import", from.call("GET", "/v1/export", ""))
	for instance, want := range map[string]string{"a": "alice", "b": "alice", "c": "bob"} {
		if got := to.ownerOf(id("prod", "web", instance)); got != want {
			t.Errorf("%s is %q's, want %q's", instance, got, want)
		}
	}
	if err := to.applyAs(bob, to.changes("- prod/web/a")...); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob takes away what is alice's: got %v", err)
	}
}

// Whose lease has ended owns nothing any more, also while the instance is in the table yet
// because the store hangs. One that is held back is not at its end.
func TestTheEndOfALeaseFreesTheID(t *testing.T) {
	const line = "prod/web/a 192.0.2.1 lease=2"
	which := id("prod", "web", "a")

	w := newShelved(t, Config{}, newShelf(t))
	w.must(w.applyAs(alice, w.changes(line)...))
	w.pass(3 * time.Second)
	w.must(w.applyAs(bob, w.changes(line)...))
	if owner := w.ownerOf(which); owner != "bob" {
		t.Errorf("registered after the end of alice's lease: it is %q's", owner)
	}

	over := w.hangIn(func() { w.load("prod/db/new 192.0.2.9") }, kept)
	w.passHung(3 * time.Second)
	if owner := w.ownerOf(which); owner != "bob" {
		t.Fatalf("while the store hangs it is %q's: this tests nothing", owner)
	}
	if err := w.registry.Renew(alice, which, service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		t.Errorf("alice renews what has ended: got %v, want ErrNotFound", err)
	}
	over()
	w.must(w.applyAs(alice, w.changes(line)...))
	if owner := w.ownerOf(which); owner != "alice" {
		t.Errorf("registered after the end of bob's lease: it is %q's", owner)
	}

	w = newShelved(t, Config{Shared: Shared{Eviction: &Eviction{0, 0}}}, nil)
	w.must(w.applyAs(alice, w.changes(line)...))
	w.pass(10 * time.Second)
	if err := w.applyAs(bob, w.changes(line)...); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("it is held back, and bob registers it: got %v", err)
	}
	w.must(w.registry.Renew(alice, which, service.Precondition{}))
}

// Whoever may write a service may undefine it. That takes all its instances along.
func TestUndefineTakesTheInstancesOfAll(t *testing.T) {
	w := newShelved(t, Config{}, nil)
	w.must(w.applyAs(alice, w.changes("prod/web/a 192.0.2.1\nprod/db/a 192.0.2.1")...))
	w.must(w.applyAs(bob, w.changes("- prod/web/")...))
	if _, services, instances := w.registry.State().Totals(); services != 1 || instances != 1 {
		t.Errorf("got %d services with %d instances, want prod/db alone", services, instances)
	}
}

func TestOwnersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	open := func() *world {
		kept, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, Config{})
		w.registry = newRegistry("127.0.0.1:0", func() time.Time { return w.clock }, kept)
		w.must(w.registry.load())
		return w
	}
	mine, nobodys := register("prod", "web", "a", "192.0.2.1"), register("prod", "web", "b", "192.0.2.2")
	w := open()
	w.must(w.applyAs(alice, mine))
	w.must(w.applyAs(anyone, nobodys))
	w.must(w.registry.close())

	w = open()
	if err := w.applyAs(bob, mine); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob registers what is alice's: got %v", err)
	}
	if err := w.registry.Renew(bob, mine.ID, service.Precondition{}); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob renews what is alice's: got %v", err)
	}
	w.must(w.applyAs(alice, mine))
	w.must(w.applyAs(bob, nobodys))
	w.must(w.registry.close())

	w = open()
	defer func() { w.must(w.registry.close()) }()
	if got := w.ownerOf(mine.ID) + " " + w.ownerOf(nobodys.ID); got != "alice bob" {
		t.Errorf("after another restart they belong to %q, want alice and bob", got)
	}
}
