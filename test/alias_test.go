package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A server that follows an alias asks itself, and may come back to where it began.
func TestALoopOfAliasesOverServerBlocksEnds(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}
example.org:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}
example.net:{$DNS} {
    bind 127.0.0.1
    file {$ZONE}
    errors
}`, "ZONE="+writeFile(t, `
$ORIGIN example.net.
@ 3600 SOA ns.dns hostmaster 1 7200 1800 86400 60
back 60 CNAME around.default.svc.cluster.local.
*.wild 60 CNAME wild.default.svc.cluster.local.
`))
	for alias, target := range map[string]string{
		"x":      "y.default.svc.example.org",
		"y":      "x.default.svc.cluster.local",
		"itself": "itself.default.svc.example.org",
		"around": "back.example.net",
		"wild":   "any.wild.example.net",
		"far":    "z.default.svc.example.org",
		"z":      "back.example.net",
	} {
		s.must(t, http.StatusCreated, http.MethodPut, servicePath(alias), fmt.Sprintf(`{"type":"externalName","externalName":%q}`, target))
	}
	for _, network := range []string{"udp", "tcp"} {
		asker := dial(t, network, s.dns)
		for _, name := range []string{
			under("x"), "x.default.svc.example.org.", under("y"), "y.default.svc.example.org.", under("itself"),
			under("around"), "around.default.svc.example.org.", "back.example.net.", under("wild"), "other.wild.example.net.",
			under("far"), under("z"),
		} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
				got := asker.must(t, name, qtype)
				if got.Rcode != dns.RcodeSuccess && got.Rcode != dns.RcodeServerFailure {
					t.Errorf("%s: got %s, want NOERROR or SERVFAIL", question(got.Msg), dns.RcodeToString[got.Rcode])
				}
				if took := got.came.Sub(got.sent); took > slowness*time.Second {
					t.Errorf("%s: took %s", question(got.Msg), took)
				}
				chain := texts(got.Answer)
				if len(chain) == 0 && got.Rcode == dns.RcodeSuccess || len(slices.Compact(slices.Clone(chain))) != len(chain) {
					t.Errorf("%s: got %q, want the chain so far, no record twice", question(got.Msg), chain)
				}
			}
		}
	}
}

// What is passed on and nobody behind knows is answered by us: that it does not exist, or the alias
// that leads to it.
func TestFallthroughToNobody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, behind, gone, alias string
	}{
		{"nobody", "", "NXDOMAIN", "NOERROR"},
		{"hosts", "hosts {\n 192.0.2.1 gateway.cluster.local\n }", "NXDOMAIN", "NOERROR"},
		{"hosts, which passes on", "hosts {\n 192.0.2.1 gateway.cluster.local\n fallthrough\n }", "NXDOMAIN", "NOERROR"},
		{"a file of another zone", "file {$ZONE} example.net", "NXDOMAIN", "NOERROR"},
		{"hosts, and a file of another zone", "hosts {\n fallthrough\n }\n file {$ZONE} example.net", "NXDOMAIN", "NOERROR"},
		{"hosts, which passes on to a secondary that has no zone yet", "hosts {\n fallthrough\n }\n secondary cluster.local {\n transfer from 127.0.0.1:{$NOBODY}\n }", "SERVFAIL", "NOERROR"},
		{"a resolver that nobody answers", "forward . 127.0.0.1:{$NOBODY}", "SERVFAIL", "SERVFAIL"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := start(t, fmt.Sprintf(`
.:{$DNS} {
    bind 127.0.0.1
    registry cluster.local {
        listen {$ENDPOINT}
        fallthrough
    }
    %s
    errors
}`, tt.behind), "NOBODY="+freePort(t), "ZONE="+writeFile(t, `
$ORIGIN example.net.
@ 3600 SOA ns.dns hostmaster 1 7200 1800 86400 60
`))
			s.must(t, http.StatusCreated, http.MethodPut, servicePath("out"), `{"type":"externalName","externalName":"www.example.com"}`)
			s.must(t, http.StatusCreated, http.MethodPut, servicePath("in"), `{"type":"externalName","externalName":"gone.default.svc.cluster.local"}`)
			for _, network := range []string{"udp", "tcp"} {
				asker := dial(t, network, s.dns)
				asker.wants(t, under("gone"), dns.TypeA, dns.StringToRcode[tt.gone])
				asker.wants(t, under("in"), dns.TypeA, dns.StringToRcode[tt.gone], under("in")+" CNAME "+under("gone"))
				asker.wants(t, under("out"), dns.TypeA, dns.StringToRcode[tt.alias], under("out")+" CNAME www.example.com.")
			}
			if tt.gone != "NXDOMAIN" {
				return
			}
			if got := dial(t, "udp", s.dns).must(t, under("gone"), dns.TypeA); owner(got.Ns) != "cluster.local." {
				t.Errorf("got %s\nwant the zone's SOA", got.Msg)
			}
			if n := strings.Count(s.log.String(), "[ERROR]"); n > 0 {
				t.Errorf("%d errors are in the log, want none", n)
			}
		})
	}
}
