package test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// explanation is an answer of /v1/explain.
type explanation struct {
	Rcode                         string
	Answer, Authority, Additional []string
	Instances                     []struct {
		Service, ID, Reason string
		Answered            bool
	}
}

func TestExplainAgreesWithDNS(t *testing.T) {
	t.Parallel()
	s := start(t, transferring, "SECONDARY=127.0.0.1:"+freePort(t))
	s.zoo(t)
	asker := dial(t, "tcp", s.dns)
	answered, not := 0, 0
	for _, q := range zooQuestions {
		if strings.Contains(q.name, "outside") {
			continue // what upstream says is left out
		}
		for _, qtype := range q.types {
			var e explanation
			query := url.Values{"name": {q.name}, "type": {dns.TypeToString[qtype]}}
			decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/explain?"+query.Encode(), ""), &e)
			got := asker.must(t, q.name, qtype)
			if want := dns.RcodeToString[got.Rcode]; e.Rcode != want {
				t.Errorf("%s: explained as %s, answered as %s", question(got.Msg), e.Rcode, want)
			}
			for _, section := range []struct {
				what      string
				explained []string
				answered  []dns.RR
			}{
				{"answer", e.Answer, got.Answer}, {"authority", e.Authority, got.Ns}, {"additional", e.Additional, got.Extra},
			} {
				if explained := texts(parse(t, section.explained)); !slices.Equal(explained, texts(section.answered)) {
					t.Errorf("%s: %s explained as %q, answered as %q", question(got.Msg), section.what, explained, texts(section.answered))
				}
			}
			for _, i := range e.Instances {
				if i.Reason == "" {
					t.Errorf("%s: no reason is given for %s.%s", question(got.Msg), i.ID, i.Service)
				}
				if in := slices.ContainsFunc(got.Answer, func(rr dns.RR) bool { return standsFor(rr, zooParts[i.ID]...) }); in != i.Answered {
					t.Errorf("%s: %s.%s is in the answer: %t, explained as %t: %s", question(got.Msg), i.ID, i.Service, in, i.Answered, i.Reason)
				}
				if i.Answered {
					answered++
				} else {
					not++
				}
			}
		}
	}
	if answered == 0 || not == 0 {
		t.Errorf("%d instances were answered, %d were not: this shows nothing", answered, not)
	}
}

// zooParts are the addresses and hosts of the instances in the zoo.
var zooParts = map[string][]string{
	"web-1": {"192.0.2.7", "2001:db8::7", "web-1.web."},
	"web-2": {"192.0.2.8", "web-2.web."},
	"web-3": {"192.0.2.9", "web-3.web."},
	"a:b":   {"192.0.2.7", "192.0.2.10", "192-0-2-7.bare.", "192-0-2-10.bare."},
	"v-1":   {"192.0.2.11", "v-1.virtual."},
	"e-1":   {"192.0.2.12", "e-1.eager."},
}

func parse(t *testing.T, records []string) (rrs []dns.RR) {
	t.Helper()
	for _, record := range records {
		rr, err := dns.NewRR(record)
		if err != nil {
			t.Fatalf("%q: %v", record, err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}
