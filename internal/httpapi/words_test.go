package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

func TestWordsAreWhatWasRead(t *testing.T) {
	var w words
	for round := range 3 {
		for n := range 2000 { // many more than are kept
			for _, s := range []string{fmt.Sprint(n), strings.Repeat("x", n%70), string(rune(n))} {
				if got := w.of([]byte(s)); got != s {
					t.Fatalf("round %d: got %q, want %q", round, got, s)
				}
			}
		}
	}
}

func TestAWordThatIsReadAgainTakesNoMemory(t *testing.T) {
	var w words
	for _, s := range []string{"", "http", "version", strings.Repeat("x", longestWord)} {
		b := []byte(s)
		w.of(b)
		if n := testing.AllocsPerRun(100, func() { w.of(b) }); n > 0 {
			t.Errorf("%q: got %v allocations", s, n)
		}
	}
}
