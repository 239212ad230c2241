// Package kubernetes tests that a client which knows the Kubernetes plugin of CoreDNS is at home with ours: both
// are given the same world and asked the same questions.
package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// mostReported bounds the differences that are printed in full: a single bug may make thousands.
const mostReported = 20

func TestAnswersAsKubernetesDoes(t *testing.T) {
	theirs := dial(t, startKubernetes(t))
	ours := dial(t, startRegistry(t))

	all := queries()
	counts := make([]int, len(differences))
	wrong := 0
	for _, q := range all {
		waitTheirs, waitOurs := theirs.ask(t, q), ours.ask(t, q)
		want, got := waitTheirs(), waitOurs()
		if stray := got.stray(); stray != nil {
			t.Errorf("%s: got an additional record that no answer points to: %s", q, stray)
		}
		var made []string
		for n, d := range differences {
			if d.where(q, want) {
				changed := d.ours(q, want)
				if changed.String() != want.String() {
					counts[n]++
					made = append(made, d.what)
				}
				want = changed
			}
		}
		if got.String() != want.String() {
			if wrong++; wrong <= mostReported {
				t.Errorf("%s: got\n%swant as kubernetes answers%s\n%s", q, got, except(made), want)
			}
		}
	}
	if wrong > mostReported {
		t.Errorf("and %d more", wrong-mostReported)
	}

	var report strings.Builder
	for n, d := range differences {
		fmt.Fprintf(&report, "\n%6d %s", counts[n], d.what)
		if counts[n] == 0 {
			t.Errorf("nothing asked shows this difference any more, so it should go: %s", d.what)
		}
	}
	t.Logf("%d questions, wrong %d, answered otherwise on purpose:%s", len(all), wrong, &report)
}

func except(made []string) string {
	if len(made) == 0 {
		return ""
	}
	return ", except that " + strings.Join(made, ", and ")
}
