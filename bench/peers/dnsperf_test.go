package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestReportOfDnsperfIsRead(t *testing.T) {
	f, err := os.Open("testdata/dnsperf.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := parseReport(f)
	if err != nil {
		t.Fatal(err)
	}
	if r.completed != 6 || r.lost != 1 || r.rate != 59.871286 {
		t.Errorf("got %d completed, %d lost, %g a second; want 6, 1, 59.871286", r.completed, r.lost, r.rate)
	}
	if r.rcodes["NOERROR"] != 4 || r.rcodes["NXDOMAIN"] != 2 {
		t.Errorf("got %v, want 4 NOERROR and 2 NXDOMAIN", r.rcodes)
	}
	if want := []time.Duration{214 * time.Microsecond, 1002 * time.Microsecond}; !slices.Equal(r.latencies, want) {
		t.Errorf("got latencies %v, want %v", r.latencies, want)
	}
}

func TestReportWithoutQueriesIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"nothing was said", ""},
		{"nothing was completed", "Queries lost: 5\nQueries completed: 0 (0.00%)\nQueries per second: 0.0\n"},
		{"a number is none", "Queries lost: many\nQueries completed: 5\nQueries per second: 1.0\n"},
	} {
		if r, err := parseReport(strings.NewReader(tt.text)); err == nil {
			t.Errorf("%s: got %+v, want an error", tt.name, r)
		}
	}
}

func TestRunThatSaysNothingIsVoid(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report report
		rcode  int
		void   bool
	}{
		{"all answered as they should be", report{completed: 9, rcodes: map[string]int{"NXDOMAIN": 9}}, dns.RcodeNameError, false},
		{"one in a thousand lost", report{completed: 999, lost: 1, rcodes: map[string]int{"NOERROR": 999}}, dns.RcodeSuccess, false},
		{"two in a thousand lost", report{completed: 998, lost: 2, rcodes: map[string]int{"NOERROR": 998}}, dns.RcodeSuccess, true},
		{"one answered otherwise", report{completed: 9, rcodes: map[string]int{"NOERROR": 8, "SERVFAIL": 1}}, dns.RcodeSuccess, true},
	} {
		if err := tt.report.check(tt.rcode); (err != nil) != tt.void {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
