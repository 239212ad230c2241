package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
)

func TestTopLevelDomainsAreKnown(t *testing.T) {
	for _, tc := range []struct {
		names string
		want  bool
	}{
		{"com net org io dev app prod de uk", true},
		{"arpa local localhost internal test example invalid onion alt", true},
		{"xn--p1ai xn--fiqs8s", true},     // of other scripts, as they stand in DNS
		{"ck bd er fk jm kh mm np", true}, // which have rules for what is below them only
		{"default production staging kube-system web github team-a x co-uk www", false},
	} {
		for name := range strings.FieldsSeq(tc.names) {
			if got := engine.IsTopLevelDomain(name); got != tc.want {
				t.Errorf("%s: got %v, want %v", name, got, tc.want)
			}
		}
	}
}

func TestANamespaceThatShadowsPublicNamesIsWarnedOfOnce(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	warned := func(changes string) []string {
		for _, c := range w.Changes(changes) {
			w.Apply(c)
			w.Engine.WarnOfShadows()
		}
		for range 3 {
			w.Engine.WarnOfShadows()
		}
		return w.Log.Take()
	}
	for _, tc := range []struct {
		sentence, changes string
		want              []string // what the lines have in them
	}{
		{"a namespace like any other", "default/web/a 192.0.2.1", nil},
		{"top-level domains, one of them defined", "com/github/a 192.0.2.1\nservice local/printer headless", []string{
			"The namespace com is a top-level domain: clients with svc.ZONE in their search list get its service NAME when they ask for NAME.com.", "The namespace local is"}},
		{"other services of the same", "com/google/a 192.0.2.1\ncom/github/b 192.0.2.2", nil},
		{"it was gone, and comes again", "- local/printer/\nservice local/printer headless", nil},
		{"another one", "net/web/a 192.0.2.1", []string{"The namespace net is"}},
	} {
		got := warned(tc.changes)
		if len(got) != len(tc.want) {
			t.Errorf("%s: got %q, want %q", tc.sentence, got, tc.want)
			continue
		}
		for n, line := range got {
			if !strings.Contains(line, tc.want[n]) {
				t.Errorf("%s: got %q, want %q", tc.sentence, line, tc.want[n])
			}
		}
	}
	var all strings.Builder
	for c := 'a'; c <= 'z'; c++ {
		for d := 'a'; d <= 'z'; d++ {
			fmt.Fprintf(&all, "%c%c/web/a 192.0.2.1\n", c, d)
		}
	}
	got := warned(all.String())
	if last := got[len(got)-1]; len(got) != engine.MaxShadowWarnings-3+1 || !strings.Contains(last, "no more are logged") {
		t.Errorf("of hundreds: got %d lines, the last %q", len(got), last)
	}
	if got := warned("org/web/a 192.0.2.1"); len(got) > 0 {
		t.Errorf("after that: got %q", got)
	}
}

// What was there before a restart is warned of too.
func TestNamespacesOfALoadedTableAreWarnedOf(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("com/web/a 192.0.2.1")
	w.Log.Take()
	e := w.Open()
	e.WarnOfShadows()
	w.Must(e.Load())
	e.WarnOfShadows()
	if got := strings.Join(w.Log.Take(), "\n"); strings.Count(got, "The namespace com is") != 1 {
		t.Errorf("got %q", got)
	}
}
