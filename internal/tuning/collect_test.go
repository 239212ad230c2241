package tuning

import (
	"runtime/debug"
	"testing"
)

// However many tables are loaded at once, the collector is as it was afterwards.
func TestALoadLeavesTheCollectorAsItWas(t *testing.T) {
	operators := debug.SetGCPercent(100)
	defer debug.SetGCPercent(operators)
	for _, tc := range []struct {
		sentence        string
		is, while, then int
	}{
		{"as usual", 100, growthWhileLoading, 100},
		{"more often than usual", 20, growthWhileLoading, 20},
		{"as seldom as a load has it", growthWhileLoading, growthWhileLoading, growthWhileLoading},
		{"less often", 1000, 1000, 1000},
		{"never", -1, -1, -1},
	} {
		debug.SetGCPercent(tc.is)
		first := collectLess(growthWhileLoading)
		second := collectLess(growthWhileLoading)
		while := debug.SetGCPercent(tc.is)
		debug.SetGCPercent(while)
		first()
		second()
		if then := debug.SetGCPercent(100); while != tc.while || then != tc.then {
			t.Errorf("%s: %d while it loads and %d then, want %d and %d", tc.sentence, while, then, tc.while, tc.then)
		}
	}
}
