package door

import (
	"math"
	"testing"
)

func TestConnectionsLeaveFilesToDNS(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		files    uint64
		want     int
	}{
		{"a shell of old", 1024, 512},
		{"as many as there is use for", 16384, 8192},
		{"more", 1 << 20, 8192},
		{"no limit", math.MaxUint64, 8192},
		{"none to speak of", 1, 1},
	} {
		if got := connectionsWith(tc.files); got != tc.want {
			t.Errorf("%s: %d files: got %d connections, want %d", tc.sentence, tc.files, got, tc.want)
		}
	}
}
