package registry

import (
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
)

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
		all := registries{byListen: make(map[string]*Registry)}
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
