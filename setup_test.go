package registry

import (
	"fmt"
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
)

func parseText(text string) (*Config, error) {
	c := caddy.NewTestController("dns", text)
	c.ServerBlockKeys = []string{"dns://cluster.local:1053"}
	return parse(c)
}

// Each Corefile in testdata/corefiles/good says in its first line what is right about it, and
// in the lines after that which settings are not the defaults.
func TestCorefileThatIsRight(t *testing.T) {
	forEachCorefile(t, "good", func(t *testing.T, text string, comments []string) {
		config, err := parseText(text)
		if err != nil {
			t.Fatalf("%s%v", text, err)
		}
		if got := settings(config); !slices.Equal(got, comments[1:]) {
			t.Errorf("%sgot\n%s\nwant\n%s", text, strings.Join(got, "\n"), strings.Join(comments[1:], "\n"))
		}
	})
}

// Each Corefile in testdata/corefiles/bad says in its first line what is wrong with it, and in
// the second the error: it names the directive, the value and what would be right.
func TestCorefileThatIsWrong(t *testing.T) {
	forEachCorefile(t, "bad", func(t *testing.T, text string, comments []string) {
		_, err := parseText(text)
		if err == nil {
			t.Fatalf("%sgot no error", text)
		}
		if got := "error: " + complaint(err); len(comments) != 2 || got != comments[1] {
			t.Errorf("%sgot  %s\nwant %s", text, got, comments[1:])
		}
	})
}

// forEachCorefile runs a test on the Corefiles of a kind, of which there must be some, and on
// the comments at their beginnings.
func forEachCorefile(t *testing.T, kind string, run func(t *testing.T, text string, comments []string)) {
	for name, text := range corefiles(t, kind) {
		t.Run(name, func(t *testing.T) {
			var comments []string
			for line := range strings.Lines(text) {
				comment, ok := strings.CutPrefix(line, "# ")
				if !ok {
					break
				}
				comments = append(comments, strings.TrimSuffix(comment, "\n"))
			}
			if len(comments) == 0 {
				t.Fatal("the file does not begin with a comment that says what the case is")
			}
			run(t, text, comments)
		})
	}
}

// corefiles returns the Corefiles of a kind by their names, and fails the test where there are none.
func corefiles(t testing.TB, kind string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, path := range must(filepath.Glob("testdata/corefiles/" + kind + "/*"))(t) {
		texts[filepath.Base(path)] = string(must(os.ReadFile(path))(t))
	}
	if len(texts) == 0 {
		t.Fatalf("there are no files in testdata/corefiles/%s", kind)
	}
	return texts
}

// settings writes down the settings that are not the defaults, a line each.
func settings(config *Config) (lines []string) {
	defaults := Config{Zones: []string{"cluster.local."}, Listen: defaultListen, TTL: defaultTTL}
	differ := func(v, usual reflect.Value) {
		for n := range v.NumField() {
			field := v.Type().Field(n)
			if field.Anonymous || reflect.DeepEqual(v.Field(n).Interface(), usual.Field(n).Interface()) {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s: %+v", field.Name, reflect.Indirect(v.Field(n))))
		}
	}
	differ(reflect.ValueOf(*config), reflect.ValueOf(defaults))
	differ(reflect.ValueOf(config.Shared), reflect.ValueOf(defaults.Shared))
	return lines
}

// complaint returns what is wrong, without the place that Caddy names.
func complaint(err error) string {
	_, text, ok := strings.Cut(err.Error(), "Error during parsing: ")
	if !ok {
		return err.Error()
	}
	return text
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
	for _, kind := range []string{"good", "bad"} {
		for _, text := range corefiles(f, kind) {
			f.Add(text)
		}
	}
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
			if !slices.Contains(limitKinds, kind) || n < 0 {
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
