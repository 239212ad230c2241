package registry

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"github.com/coredns-registry/registry/internal/engine"
)

func parseText(text string) (*Config, error) {
	c := caddy.NewTestController("dns", text)
	c.ServerBlockKeys = []string{"dns://cluster.local:1053"}
	return parse(c)
}

func TestCorefileThatIsRight(t *testing.T) {
	path := func(s string) *string { return &s }
	leases := func(d, least, most time.Duration) *engine.LeaseRange {
		return &engine.LeaseRange{Default: d, Min: least, Max: most}
	}
	base := Config{Zones: []string{"cluster.local."}, Listen: defaultListen, TTL: defaultTTL}
	for _, tc := range []struct {
		sentence string
		text     string
		want     func(*Config)
	}{
		{"nothing at all is the defaults, for the zones of the server block", "registry", func(*Config) {}},
		{"zones may be named", "registry example.org 10.0.0.0/8", func(c *Config) { c.Zones = []string{"example.org.", "10.in-addr.arpa."} }},
		{"a zone may be as long as its own names allow", "registry " + strings.Repeat("a.", 120) + "b", func(c *Config) { c.Zones = []string{strings.Repeat("a.", 120) + "b."} }},
		{"listen takes an address", "registry {\n listen [::1]:99\n}", func(c *Config) { c.Listen = "[::1]:99" }},
		{"or localhost", "registry {\n listen localhost:99\n}", func(c *Config) { c.Listen = "127.0.0.1:99" }},
		{"listen takes every address, which the rest of the settings must allow", "registry {\n listen :8053\n}", func(c *Config) { c.Listen = ":8053" }},
		{"listen takes an address of another machine's network", "registry {\n listen [2001:db8::1]:8053\n}", func(c *Config) { c.Listen = "[2001:db8::1]:8053" }},
		{"tls with the endpoint's own certificate", "registry {\n tls /etc/cert.pem /etc/key.pem\n}", func(c *Config) { c.TLS = &TLSFiles{Cert: "/etc/cert.pem", Key: "/etc/key.pem"} }},
		{"tls with an authority of clients", "registry {\n tls /etc/cert.pem /etc/key.pem /etc/ca.pem\n}", func(c *Config) {
			c.TLS = &TLSFiles{"/etc/cert.pem", "/etc/key.pem", "/etc/ca.pem"}
		}},
		{"tokens", "registry {\n tokens /etc/tokens\n}", func(c *Config) { c.Tokens = path("/etc/tokens") }},
		{"insecure", "registry {\n insecure\n}", func(c *Config) { c.Insecure = true }},
		{"audit", "registry {\n audit /var/log/audit\n}", func(c *Config) { c.Audit = path("/var/log/audit") }},
		{"admit one network", "registry {\n admit 10.0.0.0/8\n}", func(c *Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }},
		{"admit several, of both families", "registry {\n admit 10.0.0.0/8 2001:db8::/32 192.0.2.7/32\n}", func(c *Config) {
			c.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.7/32")}
		}},
		{"limit of one kind", "registry {\n limit instances 100\n}", func(c *Config) { c.Limits = map[string]int{"instances": 100} }},
		{"limits of all kinds, and none of one", "registry {\n limit instances 1\n limit services 2\n limit namespaces 3\n limit instances-per-service 4\n limit requests-per-second 0\n}", func(c *Config) {
			c.Limits = map[string]int{"instances": 1, "services": 2, "namespaces": 3, "instances-per-service": 4, "requests-per-second": 0}
		}},
		{"store memory is the store there is", "registry {\n store memory\n}", func(*Config) {}},
		{"store disk has a directory", "registry {\n store disk /var/lib/registry\n}", func(c *Config) { c.Dir = "/var/lib/registry" }},
		{"eviction with the percentage alone keeps the floor", "registry {\n eviction 50\n}", func(c *Config) { c.Eviction = &engine.Eviction{Percent: 50, Floor: 10} }},
		{"eviction with both, and a percent sign", "registry {\n eviction 5% 0\n}", func(c *Config) { c.Eviction = &engine.Eviction{Percent: 5, Floor: 0} }},
		{"ttl", "registry {\n ttl 1h\n}", func(c *Config) { c.TTL = time.Hour }},
		{"ttl of nothing", "registry {\n ttl 0s\n}", func(c *Config) { c.TTL = 0 }},
		{"lease with the default alone keeps the range", "registry {\n lease 1m\n}", func(c *Config) { c.Leases = leases(time.Minute, 2*time.Second, 24*time.Hour) }},
		{"lease with its range", "registry {\n lease 10s 5s 1m\n}", func(c *Config) { c.Leases = leases(10*time.Second, 5*time.Second, time.Minute) }},
		{"answers", "registry {\n answers 8\n}", func(c *Config) { c.Most = 8 }},
		{"answers that transfers follow", "registry {\n answers 100 transfer\n}", func(c *Config) { c.Most, c.TransferMost = 100, 100 }},
		{"fallthrough of every zone", "registry {\n fallthrough\n}", func(c *Config) { c.Fall = fall.Root }},
		{"fallthrough of some", "registry {\n fallthrough in-addr.arpa\n}", func(c *Config) { c.Fall = fall.F{Zones: []string{"in-addr.arpa."}} }},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			want := base
			tc.want(&want)
			got, err := parseText(tc.text)
			if err != nil {
				t.Fatalf("%s: %v", tc.text, err)
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", tc.text, *got, want)
			}
		})
	}
}

// A refusal names the directive, the value and what would be right.
func TestCorefileThatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		text     string
		want     []string
	}{
		{"an unknown directive", "registry {\n liste 127.0.0.1:1\n}", []string{"liste", "listen, tls, tokens, insecure, audit, admit, limit, store, ttl, lease, eviction"}},
		{"a directive of a later version", "registry {\n shards 4\n}", []string{"shards", "unknown"}},
		{"a directive twice", "registry {\n ttl 5s\n ttl 6s\n}", []string{"ttl", "twice", "once"}},
		{"the plugin twice", "registry\nregistry", []string{"once"}},
		{"no argument", "registry {\n listen\n}", []string{"listen", "0 arguments", "listen ADDRESS"}},
		{"too many arguments", "registry {\n ttl 1s 2s\n}", []string{"ttl", "2 arguments", "ttl DURATION"}},
		{"zones that are all reverse", "registry 10.0.0.0/8", []string{"10.in-addr.arpa.", "reverse", "cluster.local"}},
		{"a zone that is too long for the names below it", "registry " + strings.Repeat("a.", 121) + "b", []string{"a.b.", "244 bytes", "242", "ns.dns"}},
		{"listen without a port", "registry {\n listen 127.0.0.1\n}", []string{"listen 127.0.0.1", "host and port"}},
		{"listen on a port that is none", "registry {\n listen 127.0.0.1:http\n}", []string{"http", "0 to 65535"}},
		{"listen on a name", "registry {\n listen example.org:1\n}", []string{"example.org", "IP address"}},
		{"tls without a key", "registry {\n tls /etc/cert.pem\n}", []string{"tls", "1 arguments", "tls CERT KEY [CLIENT_CA]"}},
		{"tls with a fourth file", "registry {\n tls a b c d\n}", []string{"tls", "4 arguments", "tls CERT KEY [CLIENT_CA]"}},
		{"tls twice", "registry {\n tls a b\n tls a b\n}", []string{"tls", "twice", "once"}},
		{"tokens without a file", "registry {\n tokens\n}", []string{"tokens", "0 arguments", "tokens FILE"}},
		{"tokens in two files", "registry {\n tokens a b\n}", []string{"tokens", "2 arguments", "tokens FILE"}},
		{"insecure of something", "registry {\n insecure yes\n}", []string{"insecure", "1 arguments", `write "insecure"`}},
		{"audit without a file", "registry {\n audit\n}", []string{"audit", "0 arguments", "audit FILE"}},
		{"admit nothing", "registry {\n admit\n}", []string{"admit", "0 arguments", "admit CIDR..."}},
		{"admit an address", "registry {\n admit 10.0.0.0/8 192.0.2.1\n}", []string{"admit 10.0.0.0/8 192.0.2.1", `"192.0.2.1" is no network`, "10.0.0.0/8"}},
		{"admit a network with bits behind its length", "registry {\n admit 10.1.0.0/8\n}", []string{"admit 10.1.0.0/8", "write 10.0.0.0/8"}},
		{"admit an IPv4 network written as IPv6", "registry {\n admit ::ffff:10.0.0.0/104\n}", []string{"admit ::ffff:10.0.0.0/104", "IPv4 network written as IPv6"}},
		{"limit of a kind there is not", "registry {\n limit ports 5\n}", []string{"limit ports 5", `"ports"`, "instances, services, namespaces, instances-per-service, requests-per-second"}},
		{"limit without a number", "registry {\n limit instances\n}", []string{"limit", "1 arguments", "limit KIND NUMBER"}},
		{"limit below nothing", "registry {\n limit instances -1\n}", []string{"limit instances -1", `"-1"`, "1 or more, or 0"}},
		{"limit that is no number", "registry {\n limit services many\n}", []string{"limit services many", `"many"`, "1 or more, or 0"}},
		{"limit beyond all numbers", "registry {\n limit services 2147483648\n}", []string{"2147483648", "1 or more, or 0"}},
		{"limit of one kind twice", "registry {\n limit instances 1\n limit services 2\n limit instances 1\n}", []string{"limit instances", "twice", "once"}},
		{"a store there is not", "registry {\n store disk\n}", []string{"store disk", "memory"}},
		{"a store in memory with a directory", "registry {\n store memory /tmp\n}", []string{"store memory /tmp", "disk"}},
		{"eviction of more than all", "registry {\n eviction 101\n}", []string{"101", "0 to 100"}},
		{"a floor below nothing", "registry {\n eviction 20 -1\n}", []string{"-1", "0 or more"}},
		{"ttl without a unit", "registry {\n ttl 5\n}", []string{"ttl", `"5"`, "30s"}},
		{"ttl below the range", "registry {\n ttl -1s\n}", []string{"-1s", "0s to 1h"}},
		{"ttl above the range", "registry {\n ttl 61m\n}", []string{"61m", "0s to 1h"}},
		{"ttl with a fraction", "registry {\n ttl 1500ms\n}", []string{"1500ms", "whole seconds"}},
		{"lease with half a range", "registry {\n lease 30s 2s\n}", []string{"lease 30s 2s", "MIN MAX"}},
		{"lease of nothing", "registry {\n lease 0s\n}", []string{"0s", "1s to"}},
		{"a default outside its range", "registry {\n lease 1m 2s 30s\n}", []string{"1m0s", "30s", "MIN <= DEFAULT <= MAX"}},
		{"a default outside the range that is not written", "registry {\n lease 1s\n}", []string{"1s", "2s"}},
		{"answers that something else follows", "registry {\n answers 100 everywhere\n}", []string{"answers 100 everywhere", `"everywhere"`, "MAX transfer"}},
		{"answers below nothing", "registry {\n answers -1\n}", []string{"answers -1", "0 (all) to 65535"}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			_, err := parseText(tc.text)
			if err == nil {
				t.Fatalf("%s: got no error", tc.text)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s:\ngot  %v\nwant %q in it", tc.text, err, want)
				}
			}
		})
	}
}

func TestNameServersAreWhereTheServerIsBound(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		bound    []string
		want     string
	}{
		{"the addresses bound to, in order", []string{"192.0.2.2", "192.0.2.1"}, "[192.0.2.1 192.0.2.2]"},
		{"loopback where that is bound", []string{"127.0.0.1"}, "[127.0.0.1]"},
		{"each once, without zone", []string{"fe80::1%eth0", "fe80::1"}, "[fe80::1]"},
	} {
		if got := nameServers(tc.bound); !slices.Equal(got, parseAddrs(tc.want)) {
			t.Errorf("%s: got %v, want %s", tc.sentence, got, tc.want)
		}
	}
	for _, addr := range nameServers([]string{""}) {
		if addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
			t.Errorf("bound to everything: got %s among the interfaces' addresses", addr)
		}
	}
}

func parseAddrs(list string) []netip.Addr {
	var addrs []netip.Addr
	for f := range strings.FieldsSeq(strings.Trim(list, "[]")) {
		addrs = append(addrs, netip.MustParseAddr(f))
	}
	return addrs
}

// FuzzCorefile holds that what parses is in range, and nothing panics.
func FuzzCorefile(f *testing.F) {
	for _, name := range must(filepath.Glob("testdata/corefiles/*"))(f) {
		f.Add(string(must(os.ReadFile(name))(f)))
	}
	f.Add("registry {\n lease 10s 5s 1m\n answers 8\n fallthrough in-addr.arpa\n}")
	f.Add("registry {\n listen :1\n tls a b c\n tokens d\n insecure\n audit e\n admit 10.0.0.0/8 ::/0\n limit instances 5\n limit services 0\n}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseText(text)
		if err != nil {
			return
		}
		if c.TTL < 0 || c.TTL > time.Hour || c.Most < 0 || c.Most > 65535 || len(c.Zones) == 0 {
			t.Errorf("%q: parsed to %+v", text, c)
		}
		if l := c.Leases; l != nil && (l.Min < shortestLease || l.Default < l.Min || l.Max < l.Default) {
			t.Errorf("%q: parsed to leases %+v", text, *l)
		}
		for _, network := range c.Networks {
			if !network.IsValid() || network != network.Masked() {
				t.Errorf("%q: parsed to the network %s", text, network)
			}
		}
		for kind, n := range c.Limits {
			if new(engine.Limits).Of(kind) == nil || n < 0 {
				t.Errorf("%q: parsed to a limit of %d %s", text, n, kind)
			}
		}
		if host, _, err := net.SplitHostPort(c.Listen); err != nil || host != "" && !netip.MustParseAddr(host).IsValid() {
			t.Errorf("%q: parsed to listen on %q", text, c.Listen)
		}
	})
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
