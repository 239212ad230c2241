package main

import (
	"testing"
	"time"
)

func TestSchedstat(t *testing.T) {
	if got, err := parseSchedstat([]byte("215988 126124 1\n")); err != nil || got != 215988*time.Nanosecond {
		t.Errorf("got %s, %v, want 215.988µs", got, err)
	}
	for _, text := range []string{"", "1 2", "one 2 3"} {
		if got, err := parseSchedstat([]byte(text)); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}
