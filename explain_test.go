package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// explained is an explanation in short: "found NOERROR", then the records, then the instances.
func explained(e httpapi.Explanation, ok bool) string {
	if !ok {
		return "forbidden"
	}
	lines := []string{e.Outcome + " " + e.Rcode}
	for _, records := range [][]string{e.Answer, e.Authority, e.Additional} {
		for _, text := range records {
			fields := strings.Fields(text)
			if fields[3] == "SOA" {
				fields = fields[:4]
			}
			lines = append(lines, strings.Join(slices.Delete(fields, 1, 3), " "))
		}
	}
	for _, i := range e.Instances {
		lines = append(lines, fmt.Sprintf("%s answered=%v", i.ID, i.Answered))
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), ".svc.cluster.local.", "")
}

// readable is what a caller of these tests may read: the services named.
func readable(names ...string) func(service.Name) bool {
	return func(n service.Name) bool { return slices.Contains(names, n.Namespace+"/"+n.Service) }
}

const secrets = `
	prod/web/web-1 192.0.2.7 http:80/tcp
	prod/web/web-2 192.0.2.8 http:80/tcp status=down
	prod/secret/hidden 192.0.2.7 http:80/tcp
	prod/secret/lone 192.0.2.9 http:80/tcp
	prod/secret/dim 192.0.2.8 http:80/tcp
	service prod/vip clusterIP 192.0.2.7 http:80/tcp
	service prod/darkvip clusterIP 192.0.2.11 http:80/tcp
	service prod/away externalName secret.prod.svc.cluster.local
	service prod/nowhere externalName none.prod.svc.cluster.local
	service prod/near externalName web.prod.svc.cluster.local
	service prod/through externalName between.prod.svc.cluster.local
	service prod/between externalName web.prod.svc.cluster.local
	service prod/todark externalName dark.svc.cluster.local
	service prod/tonone externalName none.svc.cluster.local
	service prod/toaddr externalName 9.2.0.192.in-addr.arpa
	service prod/tonoaddr externalName 99.2.0.192.in-addr.arpa
	dark/web/x 192.0.2.10
`

func TestAnExplanationHasWhatMayBeRead(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(secrets)
	a := w.api()
	web := readable("prod/web", "prod/away", "prod/nowhere", "prod/near", "prod/through", "prod/todark", "prod/tonone", "prod/toaddr", "prod/tonoaddr")
	for _, tc := range []struct {
		sentence string
		name     string
		qtype    uint16
		want     string
	}{
		{"a service that may be read", "web.prod.svc.cluster.local.", dns.TypeA,
			"found NOERROR\nweb.prod A 192.0.2.7\nweb-1.web.prod answered=true\nweb-2.web.prod answered=false"},
		{"its SRV targets, and their addresses", "web.prod.svc.cluster.local.", dns.TypeSRV,
			"found NOERROR\nweb.prod SRV 0 100 80 web-1.web.prod\nweb-1.web.prod A 192.0.2.7\nweb-1.web.prod answered=true\nweb-2.web.prod answered=false"},
		{"one that may not", "secret.prod.svc.cluster.local.", dns.TypeA, "forbidden"},
		{"one that there is not", "none.prod.svc.cluster.local.", dns.TypeA, "forbidden"},
		{"in other letters", "SECRET.prod.svc.Cluster.local.", dns.TypeA, "forbidden"},
		{"a host of it", "hidden.secret.prod.svc.cluster.local.", dns.TypeA, "forbidden"},
		{"none of it", "none.secret.prod.svc.cluster.local.", dns.TypeA, "forbidden"},
		{"a port of it", "_http._tcp.secret.prod.svc.cluster.local.", dns.TypeSRV, "forbidden"},
		{"a protocol of it", "_tcp.secret.prod.svc.cluster.local.", dns.TypeSRV, "forbidden"},
		{"with an escape", `\115ecret.prod.svc.cluster.local.`, dns.TypeA, "forbidden"},
		{"too many labels for any name", "a.b.secret.prod.svc.cluster.local.", dns.TypeA, "noname NXDOMAIN\ncluster.local. SOA"},

		{"an address that it shares", "7.2.0.192.in-addr.arpa.", dns.TypePTR,
			"found NOERROR\n7.2.0.192.in-addr.arpa. PTR web-1.web.prod\nweb-1.web.prod answered=true"},
		{"of another type", "7.2.0.192.in-addr.arpa.", dns.TypeA, "nodata NOERROR\nin-addr.arpa. SOA\nweb-1.web.prod answered=false"},
		{"an address of others alone", "9.2.0.192.in-addr.arpa.", dns.TypePTR, "noname NXDOMAIN\nin-addr.arpa. SOA"},
		{"of another type too", "9.2.0.192.in-addr.arpa.", dns.TypeA, "noname NXDOMAIN\nin-addr.arpa. SOA"},
		{"a cluster IP of others", "11.2.0.192.in-addr.arpa.", dns.TypePTR, "noname NXDOMAIN\nin-addr.arpa. SOA"},
		{"an address of nobody", "99.2.0.192.in-addr.arpa.", dns.TypePTR, "noname NXDOMAIN\nin-addr.arpa. SOA"},
		{"an address that others have while its own is down", "8.2.0.192.in-addr.arpa.", dns.TypePTR,
			"noname NXDOMAIN\nin-addr.arpa. SOA\nweb-2.web.prod answered=false"},
		{"part of an address tells nothing", "2.0.192.in-addr.arpa.", dns.TypePTR, "nodata NOERROR\nin-addr.arpa. SOA"},

		{"a namespace with something in it", "prod.svc.cluster.local.", dns.TypeA, "nodata NOERROR\ncluster.local. SOA"},
		{"one with nothing that may be read", "dark.svc.cluster.local.", dns.TypeA, "noname NXDOMAIN\ncluster.local. SOA"},
		{"one that there is not", "none.svc.cluster.local.", dns.TypeA, "noname NXDOMAIN\ncluster.local. SOA"},

		{"an alias to what may be read", "near.prod.svc.cluster.local.", dns.TypeA, "alias NOERROR\nnear.prod CNAME web.prod\nweb.prod A 192.0.2.7"},
		{"an alias to what may not", "away.prod.svc.cluster.local.", dns.TypeA, "alias NOERROR\naway.prod CNAME secret.prod"},
		{"of a type that it has not", "away.prod.svc.cluster.local.", dns.TypeAAAA, "alias NOERROR\naway.prod CNAME secret.prod"},
		{"an alias to what there is not", "nowhere.prod.svc.cluster.local.", dns.TypeA, "alias NOERROR\nnowhere.prod CNAME none.prod"},
		{"through what may not, to what may", "through.prod.svc.cluster.local.", dns.TypeA, "alias NOERROR\nthrough.prod CNAME between.prod"},
		{"to a namespace with nothing that may be read", "todark.prod.svc.cluster.local.", dns.TypeA, "alias NXDOMAIN\ntodark.prod CNAME dark\ncluster.local. SOA"},
		{"to one that there is not", "tonone.prod.svc.cluster.local.", dns.TypeA, "alias NXDOMAIN\ntonone.prod CNAME none\ncluster.local. SOA"},
		{"to an address of others", "toaddr.prod.svc.cluster.local.", dns.TypeA, "alias NXDOMAIN\ntoaddr.prod CNAME 9.2.0.192.in-addr.arpa.\nin-addr.arpa. SOA"},
		{"to one of nobody", "tonoaddr.prod.svc.cluster.local.", dns.TypeA, "alias NXDOMAIN\ntonoaddr.prod CNAME 99.2.0.192.in-addr.arpa.\nin-addr.arpa. SOA"},

		{"the zone's own names are no secret", "dns-version.cluster.local.", dns.TypeTXT, `found NOERROR` + "\n" + `dns-version.cluster.local. TXT "1.1.0"`},
		{"nor is what is not served", "secret.example.org.", dns.TypeA, "notserved "},
	} {
		if got := explained(a.Explain(tc.name, tc.qtype, web)); got != tc.want {
			t.Errorf("%s: %s %s: got\n%s\nwant\n%s", tc.sentence, tc.name, dns.TypeToString[tc.qtype], got, tc.want)
		}
	}
}

// Whoever may read everything is told what DNS answers, all of it.
func TestAnExplanationForWhoMayReadAllIsTheAnswer(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(secrets)
	a := w.api()
	for _, name := range []string{"web.prod", "secret.prod", "none.prod", "away.prod", "nowhere.prod", "near.prod", "through.prod", "todark.prod", "tonone.prod", "toaddr.prod", "tonoaddr.prod",
		"vip.prod", "prod", "dark", "none"} {
		w.explainsAll(a, name+".svc.cluster.local.")
	}
	for n := range 20 {
		w.explainsAll(a, fmt.Sprintf("%d.2.0.192.in-addr.arpa.", n))
	}
}

func (w *world) explainsAll(a *api, name string) {
	w.T.Helper()
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeTXT} {
		m := w.ask(name, qtype)
		e, ok := a.Explain(name, qtype, everything)
		slices.Sort(e.Answer)
		answer := a.texts(m.Answer, everything)
		slices.Sort(answer)
		if !ok || e.Rcode != dns.RcodeToString[m.Rcode] || !slices.Equal(e.Answer, answer) || len(e.Authority) != len(m.Ns) || len(e.Additional) != len(m.Extra) {
			w.T.Errorf("%s %s: got %+v, DNS answers\n%v", name, dns.TypeToString[qtype], e, m)
		}
	}
}

// The block that has an alias follows it in its own zones, be there a narrower zone elsewhere.
func TestAnExplanationHidesAServiceInEveryZone(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(secrets)
	a := w.api()
	narrow := newHandler(&Config{Zones: []string{"prod.svc.cluster.local."}, TTL: defaultTTL}, []netip.Addr{netip.MustParseAddr("192.0.2.53")})
	narrow.engine.Store(w.Engine)
	a.set([]*Handler{w.handler, narrow})
	w.Load("service dev/away externalName secret.prod.svc.cluster.local")
	may := readable("dev/away", "prod/web")
	if got, want := explained(a.Explain("away.dev.svc.cluster.local.", dns.TypeA, may)), "alias NOERROR\naway.dev CNAME secret.prod"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"secret.prod.svc.cluster.local.", "none.prod.svc.cluster.local."} {
		if got := explained(a.Explain(name, dns.TypeA, may)); got != "forbidden" {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

// What may not be read is forbidden before the table is loaded too, as it is afterwards.
func TestAnExplanationBeforeTheTableIsLoaded(t *testing.T) {
	w := newWorldOn(t, Config{}, enginetest.NewStore(t))
	w.Use(w.Open())
	a := w.api()
	a.set([]*Handler{w.handler})
	may := readable("prod/web")
	for name, want := range map[string]string{
		"web.prod.svc.cluster.local.":    "notready SERVFAIL",
		"secret.prod.svc.cluster.local.": "forbidden",
		"dark.svc.cluster.local.":        "notready SERVFAIL",
	} {
		if got := explained(a.Explain(name, dns.TypeA, may)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestHeldBackIsExplained(t *testing.T) {
	w := newWorld(t, Config{Shared: Shared{Eviction: &engine.Eviction{Percent: 20, Floor: 10}}})
	for n := range 20 {
		w.Load(fmt.Sprintf("prod/web/i%d 192.0.2.%d lease=10", n, n))
	}
	w.Pass(12 * time.Second)
	e, _ := w.api().Explain("web.prod.svc.cluster.local.", dns.TypeA, everything)
	if len(e.Instances) != 15 {
		t.Fatalf("%d instances are explained, want the 15 that are held back", len(e.Instances))
	}
	for _, i := range e.Instances {
		if !i.Answered || !strings.Contains(i.Reason, "ended 2s ago: it is held back, because too many leases ended at once. Of its service, 15 instances are held back and 5 were removed in 30s") {
			t.Errorf("%s: answered %v, %q", i.ID, i.Answered, i.Reason)
		}
		w.Must(w.Engine.Renew(testkit.Anyone, i.ID, service.Precondition{}))
	}
	e, _ = w.api().Explain("web.prod.svc.cluster.local.", dns.TypeA, everything)
	for _, i := range e.Instances {
		if !i.Answered || strings.Contains(i.Reason, "held back") {
			t.Errorf("%s, renewed: answered %v, %q", i.ID, i.Answered, i.Reason)
		}
	}
}
