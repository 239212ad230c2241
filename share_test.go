package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"github.com/coredns-registry/registry/internal/engine"
)

// Blocks that share a table may leave open what another says, and may not contradict it.
func TestBlocksOfOneTableMustAgree(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		a, b     string // the lines of a block
		differs  string // what they contradict each other about; empty for nothing
	}{
		{"the same lease in both", "lease 10s", "lease 10s", ""},
		{"a lease in one", "lease 10s", "", ""},
		{"a lease in the other", "", "lease 10s", ""},
		{"two leases", "lease 10s", "lease 20s", "lease differs"},
		{"two evictions", "eviction 1 2", "eviction 2 2", "eviction differs"},
		{"two stores", "store disk /a", "", "store differs"},
		{"one store of two tables", "store disk /a", "listen 127.0.0.1:1\nstore disk /a", "store disk /a is that of two tables"},
		{"two leases of two tables", "lease 10s", "listen 127.0.0.1:1\nlease 20s", ""},

		{"the same tls in both", "tls /c /k", "tls /c /k", ""},
		{"tls in one", "tls /c /k", "", ""},
		{"two certificates", "tls /c /k", "tls /d /k", "tls differs"},
		{"an authority of clients in one", "tls /c /k", "tls /c /k /ca", "tls differs"},
		{"the same tokens in both", "tokens /a", "tokens /a", ""},
		{"tokens in one", "", "tokens /a", ""},
		{"two files of tokens", "tokens /a", "tokens /b", "tokens differs"},
		{"two files for the audit", "audit /a", "audit /b", "audit differs"},
		{"insecure in one", "insecure", "", ""},
		{"the same networks in both", "admit 10.0.0.0/8 192.0.2.0/24", "admit 10.0.0.0/8 192.0.2.0/24", ""},
		{"networks in one", "admit 10.0.0.0/8", "", ""},
		{"other networks", "admit 10.0.0.0/8", "admit 10.0.0.0/8 192.0.2.0/24", "admit differs"},
		{"the same limit in both", "limit instances 5", "limit instances 5", ""},
		{"limits of different kinds", "limit instances 5", "limit services 6", ""},
		{"two limits of one kind", "limit instances 5\nlimit services 6", "limit services 7", "limit services differs"},
		{"a limit and none at all", "limit instances 5", "limit instances 0", "limit instances differs"},
		{"two limits of two tables", "limit instances 5", "listen 127.0.0.1:1\nlimit instances 6", ""},
	} {
		g := &generation{}
		var err error
		for _, lines := range []string{tc.a, tc.b} {
			config, bad := parseText("registry {\n" + lines + "\n}")
			if bad != nil {
				t.Fatalf("%s: %v", tc.sentence, bad)
			}
			if err == nil {
				err = g.add(config)
			}
		}
		if tc.differs == "" && err != nil || tc.differs != "" && (err == nil || !strings.Contains(err.Error(), tc.differs)) {
			t.Errorf("%s: got %v, want %q", tc.sentence, err, tc.differs)
		}
	}
}

// What one block says holds for the table, whichever says it; the rest is as it is by default.
func TestWhatOneBlockSaysHoldsForAll(t *testing.T) {
	lines := []string{
		"lease 10s 5s 1m", "eviction 7 8", "tls /c /k /ca", "tokens /t", "audit /a", "insecure", "admit 10.0.0.0/8",
		"limit instances 5", "limit requests-per-second 0",
	}
	for _, blocks := range [][]string{
		{strings.Join(lines, "\n"), ""},
		{"", strings.Join(lines, "\n")},
		{strings.Join(lines[:4], "\n"), strings.Join(lines[4:], "\n")},
		{strings.Join(lines[4:], "\n"), strings.Join(lines, "\n"), strings.Join(lines[:4], "\n")},
	} {
		g := &generation{}
		for _, block := range blocks {
			config, err := parseText("registry {\n" + block + "\n}")
			if err != nil {
				t.Fatal(err)
			}
			if err := g.add(config); err != nil {
				t.Fatal(err)
			}
		}
		whole, err := parseText("registry {\n" + strings.Join(lines, "\n") + "\n}")
		if err != nil {
			t.Fatal(err)
		}
		if got := g.shared[defaultListen]; !reflect.DeepEqual(*got, whole.Shared) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", blocks, *got, whole.Shared)
		}
		want := engine.Rules{
			Leases:   engine.LeaseRange{Default: 10 * time.Second, Min: 5 * time.Second, Max: time.Minute},
			Eviction: engine.Eviction{Percent: 7, Floor: 8},
			Limits:   engine.DefaultRules.Limits,
			Networks: whole.Networks,
		}
		want.Limits.Instances = 5
		if got := g.shared[defaultListen].rules(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", blocks, got, want)
		}
	}
	if engine.DefaultRules.Limits.Instances == 5 {
		t.Error("the defaults have changed with the settings")
	}
}

// What differs is named by the directive that sets it, so each setting has one.
func TestEverySharedSettingNamesItsDirective(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Shared]()) {
		if name := field.Tag.Get("directive"); directives[name].parse == nil {
			t.Errorf("%s is set by the directive %q, which does not exist", field.Name, name)
		}
	}
}

// Files that are named without a directory are in that of *root*, else where the process was
// started.
func TestPathsAreUnderTheRoot(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ root, path, want string }{
		{"/etc/coredns", "tokens", "/etc/coredns/tokens"},
		{"/etc/coredns", "secret/../tokens", "/etc/coredns/tokens"},
		{"/etc/coredns", "/run/tokens", "/run/tokens"},
		{"", "tokens", filepath.Join(here, "tokens")},
		{"conf", "tokens", filepath.Join(here, "conf/tokens")},
		{"", "/run/tokens", "/run/tokens"},
	} {
		p := tc.path
		c := caddy.NewTestController("dns", "registry {\n tokens "+p+"\n audit "+p+"\n tls "+p+" "+p+" "+p+"\n}")
		c.ServerBlockKeys = []string{"dns://cluster.local:1053"}
		dnsserver.GetConfig(c).Root = tc.root
		config, err := parse(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{*config.Tokens, *config.Audit, config.TLS.Cert, config.TLS.Key, config.TLS.ClientCA} {
			if got != tc.want {
				t.Errorf("%s with root %q: got %s, want %s", tc.path, tc.root, got, tc.want)
			}
		}
	}
}

// Garbage is collected less often while there is a table, unless the operator has said how often.
func TestTheCollectorIsTheOperators(t *testing.T) {
	operators := debug.SetGCPercent(100)
	defer debug.SetGCPercent(operators)
	for _, tc := range []struct {
		sentence  string
		said      string // in GOGC
		is, while int
	}{
		{"nobody has said anything", "", 100, 200},
		{"the operator has, more often", "50", 50, 50},
		{"less often", "800", 800, 800},
		{"as usual", "100", 100, 100},
	} {
		t.Setenv("GOGC", tc.said)
		debug.SetGCPercent(tc.is)
		all := registries{byListen: make(map[string]*sharedRegistry)}
		var percents []int
		for _, open := range []int{1, 2, 1, 0} {
			clear(all.byListen)
			for n := range open {
				all.byListen[fmt.Sprint(n)] = nil
			}
			all.tune()
			percent := debug.SetGCPercent(-1)
			debug.SetGCPercent(percent)
			percents = append(percents, percent)
		}
		if want := []int{tc.while, tc.while, tc.while, tc.is}; !slices.Equal(percents, want) {
			t.Errorf("%s: got %v, want %v", tc.sentence, percents, want)
		}
	}
}
