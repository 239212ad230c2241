package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// transports are the ways to ask, with how long an answer may be.
var transports = []struct {
	what    string
	network string
	payload uint16
	room    int
}{
	{"UDP", "udp", 0, 512},
	{"UDP with EDNS 1232", "udp", 1232, 1232},
	{"UDP with EDNS 4096", "udp", 4096, 4096},
	{"UDP with EDNS 65508, which no datagram holds", "udp", 65508, 65507},
	{"UDP with EDNS 65535", "udp", 65535, 65507},
	{"TCP", "tcp", 0, 65535},
	{"TCP with EDNS 1232", "tcp", 1232, 65535},
}

func TestAnswersThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
    ready {$READY}
}`)
	for _, count := range []int{1, 2, 5, 10, 16, 25, 26, 27, 28, 29, 30, 31, 70, 71, 72, 73, 120, 250, 1000, 2338, 2339, 2340, 4085, 4095, 5000} {
		service := fmt.Sprintf("of-%d", count)
		var operations []object
		for n := range count {
			operations = append(operations, operation("register", service, fmt.Sprintf("web-%04d", n), object{"instance": object{
				"addresses":    []string{fmt.Sprintf("198.18.%d.%d", n/256, n%256), fmt.Sprintf("2001:db8::%x", n+1)},
				"ports":        []object{{"name": "http", "port": 8080}},
				"leaseSeconds": 0,
			}}))
		}
		s.batch(t, operations)
		for _, transport := range transports {
			asker := dial(t, transport.network, s.dns)
			asker.payload = transport.payload
			for _, name := range []string{under(service), under("_http._tcp." + service)} {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
					if strings.HasPrefix(name, "_") && qtype != dns.TypeSRV {
						continue
					}
					got := asker.must(t, name, qtype)
					for _, fault := range misfits(got, transport.room, count, transport.payload > 0) {
						t.Errorf("%s over %s: %s", question(got.Msg), transport.what, fault)
					}
				}
			}
		}
		s.must(t, http.StatusOK, http.MethodDelete, servicePath(service), "")
	}
}

// misfits says what is wrong with an answer that should have that many records, and of SRV
// records two addresses for each besides.
func misfits(got reply, room, count int, edns bool) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	extra := len(got.Extra)
	if edns {
		extra-- // the OPT record
	}
	answers, largest := make(map[string]bool), 0
	for _, rr := range got.Answer {
		answers[rr.String()] = true
		largest = max(largest, sizeOf(rr))
	}
	if got.size > room {
		fault("%d bytes, want at most %d", got.size, room)
	}
	if len(answers) != len(got.Answer) || len(answers) > count {
		fault("%d records, %d of them different, want at most %d", len(got.Answer), len(answers), count)
	}
	if got.Truncated != (len(answers) < count) {
		fault("TC is %t with %d records of %d", got.Truncated, len(answers), count)
	}
	if got.Truncated && extra > 0 {
		fault("%d additional records are kept while answers are missing", extra)
	}
	if got.Truncated && got.size+largest <= room {
		fault("%d records in %d bytes: one more fits into %d", len(answers), got.size, room)
	}
	want := 0
	if got.Question[0].Qtype == dns.TypeSRV {
		want = 2 * count
	}
	if extra != 0 && extra != want {
		fault("%d additional records, want %d or none", extra, want)
	}
	if extra == 0 && want > 0 && got.size+glueSize(got.Answer) <= room {
		fault("no additional records: %d bytes, which %d more would not make longer than %d", got.size, glueSize(got.Answer), room)
	}
	return faults
}

// sizeOf is how many bytes a record takes whose owner is that of the question.
func sizeOf(rr dns.RR) int {
	return dns.Len(rr) - len(rr.Header().Name) - 1 + 2
}

// glueSize is how many bytes the addresses of the targets take at most: each has a pointer
// to its name, and an A or AAAA record.
func glueSize(srvs []dns.RR) int {
	return len(srvs) * (2*12 + 4 + 16)
}
