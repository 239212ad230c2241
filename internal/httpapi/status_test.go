package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
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
	w.memory.evictions.Services, w.memory.evictions.HeldServices = held("default/web 39", "prod/web 1"), 2
	got = w.must(http.StatusOK, "GET", "/v1/status", "").body
	want := `"evictions":{"held":40,"percent":20,"floor":10,"spanSeconds":30,"since":"1970-01-01T00:00:07.000Z",` +
		`"reason":"40 of 100 leased instances stay although their leases have ended: too many fell due at once, and in 30s at most 20% of those leased may leave, or 10, ` +
		`and a quarter of that is kept for services that have lost no other. They are answered with TTL 0 until they are renewed, or their turn comes",` +
		`"services":[{"namespace":"default","service":"web","held":39},{"namespace":"prod","service":"web","held":1}],"otherServices":0}}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("40 are held back: got %s, want at its end %s", got, want)
	}
}

// held are services that so many instances are held back of.
func held(lines ...string) (services []HeldService) {
	for _, line := range lines {
		name, n, _ := strings.Cut(line, " ")
		var s HeldService
		s.Namespace, s.Service, _ = strings.Cut(name, "/")
		s.Held, _ = strconv.Atoi(n)
		services = append(services, s)
	}
	return services
}

// Everybody may ask for the status. It has numbers for all, and names for those who may read them.
func TestTheStatusNamesHeldServicesOnlyToWhoMayReadThem(t *testing.T) {
	w, _ := guarded(t)
	lines := []string{"dark/web 900", "default/web 40", "prod/web 7"}
	for n := range 20 {
		lines = append(lines, fmt.Sprintf("many/s-%02d 1", n))
	}
	w.memory.evictions = Evictions{Leased: 1000, Held: 967, Services: held(lines...), HeldServices: 5000}
	for _, tc := range []struct {
		sentence    string
		credentials []string
		services    string
		others      int
	}{
		{"without a credential, none", nil, ``, 5000},
		{"with a wrong one, none", []string{"Authorization", "Bearer wrong"}, ``, 5000},
		{"who may read one, that one", as("reader"), `{"namespace":"default","service":"web","held":40}`, 4999},
		{"who may write another, that one", as("outwriter"), `{"namespace":"prod","service":"web","held":7}`, 4999},
		{"an administrator, ten of all", as("root"), `{"namespace":"dark","service":"web","held":900},{"namespace":"default","service":"web","held":40},` +
			`{"namespace":"prod","service":"web","held":7},{"namespace":"many","service":"s-00","held":1},{"namespace":"many","service":"s-01","held":1},` +
			`{"namespace":"many","service":"s-02","held":1},{"namespace":"many","service":"s-03","held":1},{"namespace":"many","service":"s-04","held":1},` +
			`{"namespace":"many","service":"s-05","held":1},{"namespace":"many","service":"s-06","held":1}`, 4990},
	} {
		got := w.must(http.StatusOK, "GET", "/v1/status", "", tc.credentials...).body
		if want := fmt.Sprintf(`"services":[%s],"otherServices":%d}}`, tc.services, tc.others); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %s\nwant at its end %s", tc.sentence, got, want)
		}
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
