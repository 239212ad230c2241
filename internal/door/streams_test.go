package door

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/access"
)

func TestStreamsHaveALimitForEachCredentialAndEachAddress(t *testing.T) {
	c := NewConnections(32, time.Now) // 16 streams, of each holder 4
	here, elsewhere := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	web, api := &access.Caller{Name: "web"}, &access.Caller{Name: "api"}
	var ends []func()
	for _, tc := range []struct {
		sentence string
		by       *access.Caller
		from     netip.Addr
		want     int
		refused  string
	}{
		{"a credential", web, here, 4, "this credential has 4 "},
		{"wherever it comes from", web, elsewhere, 0, "this credential has 4 "},
		{"another behind the same address", api, here, 4, "this credential has 4 "},
		{"whoever has none, by address", access.Anyone, here, 4, "this address has 4 "},
		{"of IPv6 by /64", access.Anyone, netip.MustParseAddr("2001:db8::1"), 4, "this address has 4 "},
		{"which is one", access.Anyone, netip.MustParseAddr("2001:db8::2"), 0, "this address has 4 "},
		{"all together", access.Anyone, elsewhere, 0, "16 watches, downloads and long polls are open"},
	} {
		var refusal *access.Refusal
		got := 0
		for ; refusal == nil; got++ {
			var end func()
			if end, refusal = c.Stream(tc.by, tc.from); refusal == nil {
				ends = append(ends, end)
			}
		}
		kind := map[bool]access.Kind{true: access.TooManyRequests, false: access.Unavailable}[strings.HasPrefix(tc.refused, "this")]
		if got--; got != tc.want || !strings.HasPrefix(refusal.Detail, tc.refused) || refusal.RetryAfter <= 0 || refusal.Kind != kind {
			t.Errorf("%s: got %d and then %+v, want %d and then %d %s", tc.sentence, got, refusal, tc.want, kind, tc.refused)
		}
	}
	ends[0]()
	if _, refusal := c.Stream(web, here); refusal != nil {
		t.Errorf("after one has ended: got %+v", refusal)
	} else {
		ends[0] = func() { c.streams.end(holder{name: "web"}) }
	}
	for _, end := range ends {
		end()
	}
	if c.streams.open != 0 || len(c.streams.held) != 0 {
		t.Errorf("in the end %d are counted, of %d holders", c.streams.open, len(c.streams.held))
	}
}
