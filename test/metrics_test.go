package test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// inREADME finds the metrics that the manual page names, in its own form.
var inREADME = regexp.MustCompile("(?m)^\\* `(coredns_registry_[a-z_]+)\\{([a-z, ]*)\\}`")

// moved says by which labels it shows that a metric moves.
var moved = map[string][][]string{
	"coredns_registry_instances":                         {{`namespace="default"`, `status="up"`}, {`status="draining"`}},
	"coredns_registry_services":                          {{`namespace="default"`}},
	"coredns_registry_revision":                          {{`endpoint="127.0.0.1:`}},
	"coredns_registry_watchers":                          {{}},
	"coredns_registry_registrations_total":               {{}},
	"coredns_registry_renewals_total":                    {{}},
	"coredns_registry_deregistrations_total":             {{}},
	"coredns_registry_expiries_total":                    {{}},
	"coredns_registry_evictions_held":                    {{}},
	"coredns_registry_evictions_held_by_service":         {{`namespace="default"`, `service="web"`}},
	"coredns_registry_programming_duration_seconds":      {{}},
	"coredns_registry_endpoint_requests_total":           {{`route="PUT instance"`, `code="201"`}, {`route="PUT heartbeat"`, `code="204"`}, {`route="other"`, `code="404"`}},
	"coredns_registry_endpoint_request_duration_seconds": {{`route="GET watch"`}},
	"coredns_registry_answers_total": {{`zone="cluster.local."`, `outcome="found"`}, {`outcome="nodata"`},
		{`outcome="noname"`}, {`outcome="alias"`}},
}

// movedElsewhere are the metrics that take more than requests to move.
var movedElsewhere = map[string]string{
	"coredns_registry_store_failures_total":            "TestDiskTroubleCostsWritesAndNothingElse",
	"coredns_registry_access_files_failing":            "TestCertificateIsReplacedUnderLoad",
	"coredns_registry_tls_not_after_timestamp_seconds": "TestCertificateIsReplacedUnderLoad",
}

func TestMetricsMove(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        eviction 0 1
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
}`)
	before := s.scrape(t)

	s.must(t, 201, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":3600}`)
	s.must(t, 201, http.MethodPut, instancePath("web", "web-2"), `{"addresses":["192.0.2.8"],"status":"draining","leaseSeconds":3600}`)
	s.must(t, 201, http.MethodPut, instancePath("web", "web-3"), `{"addresses":["192.0.2.9"],"leaseSeconds":3600}`)
	s.must(t, 201, http.MethodPut, instancePath("web", "web-4"), `{"addresses":["192.0.2.10"],"leaseSeconds":2}`)
	s.must(t, 201, http.MethodPut, instancePath("web", "web-5"), `{"addresses":["192.0.2.11"],"leaseSeconds":2}`)
	s.must(t, 204, http.MethodPut, heartbeatPath("web", "web-1"), "")
	s.must(t, 200, http.MethodDelete, instancePath("web", "web-3"), "")
	s.must(t, 201, http.MethodPut, servicePath("alias"), `{"type":"externalName","externalName":"web.default.svc.cluster.local"}`)
	asker := dial(t, "udp", s.dns)
	for _, name := range []string{under("web"), under("_tcp.web"), under("nobody"), "svc.cluster.local.", under("alias")} {
		asker.must(t, name, dns.TypeA)
	}
	for n := range 100 {
		s.must(t, 404, http.MethodGet, fmt.Sprintf("/v%d/nothing", n+2), "")
	}
	s.watch(t, "", false)

	soon(t, "one instance has left, and one is held back", func() bool {
		now := s.scrape(t)
		return now.sum("coredns_registry_expiries_total") > 0 && now.sum("coredns_registry_evictions_held") > 0
	})
	after := s.scrape(t)
	for name, labels := range moved {
		values := name
		if strings.HasSuffix(name, "_seconds") {
			values = name + "_count"
		}
		for _, labels := range labels {
			if was, is := before.sum(values, labels...), after.sum(values, labels...); is <= was {
				t.Errorf("%s %v: got %v after %v, want more", values, labels, is, was)
			}
		}
	}
	if n := len(after.of("coredns_registry_endpoint_requests_total")); n > 20 {
		t.Errorf("%d series of requests: a client can make as many as it likes\n%v", n, after)
	}
}

func TestMetricsAreThoseOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, match := range inREADME.FindAllStringSubmatch(string(readme), -1) {
		named = append(named, match[1])
	}
	for name := range moved {
		if !slices.Contains(named, name) {
			t.Errorf("the README does not name %s", name)
		}
	}
	for _, name := range named {
		if moved[name] == nil && movedElsewhere[name] == "" {
			t.Errorf("no test shows that %s moves, which the README names", name)
		}
	}
	for _, match := range regexp.MustCompile(`(?:newCounter|describe)\("([a-z_]+)"|Name:\s+"([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		if name := "coredns_registry_" + match[1] + match[2]; moved[name] == nil && movedElsewhere[name] == "" {
			t.Errorf("no test shows that %s moves", name)
		}
	}
}
