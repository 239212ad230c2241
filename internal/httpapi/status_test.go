package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheStatusTellsWhatIsHeldBackAndWhy(t *testing.T) {
	w := start(t)
	w.memory.evictions = Evictions{Leased: 100, Percent: 20, Floor: 10, Span: 30 * time.Second}
	got := w.must(http.StatusOK, "GET", "/v1/status", "").body
	if want := `"leased":100},"evictions":{"held":0,"percent":20,"floor":10,"spanSeconds":30,"since":null}}`; !strings.HasSuffix(got, want) {
		t.Errorf("nothing is held back: got %s, want at its end %s", got, want)
	}
	w.memory.evictions.Held, w.memory.evictions.Since = 40, time.Unix(7, 0)
	got = w.must(http.StatusOK, "GET", "/v1/status", "").body
	want := `"evictions":{"held":40,"percent":20,"floor":10,"spanSeconds":30,"since":"1970-01-01T00:00:07.000Z",` +
		`"reason":"40 of 100 leased instances stay although their leases have ended: too many fell due at once, and in 30s at most 20% of those leased may leave, or 10. ` +
		`They are answered with TTL 0 until they are renewed, or their turn comes"}}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("40 are held back: got %s, want at its end %s", got, want)
	}
}

func TestTheStatusTellsThatTheStoreFails(t *testing.T) {
	w := start(t)
	if got := w.must(http.StatusOK, "GET", "/v1/status", "").body; strings.Contains(got, "storeFailing") {
		t.Errorf("it does not fail: got %s", got)
	}
	w.memory.failing = true
	if got := w.must(http.StatusOK, "GET", "/v1/status", "").get(t, "storeFailing"); got != true {
		t.Errorf("it fails: got %v", got)
	}
}
