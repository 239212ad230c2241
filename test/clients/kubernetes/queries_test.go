package kubernetes

import (
	"slices"
	"strings"
	"unicode"

	"github.com/miekg/dns"
)

// types are asked of every name that exists: those that have answers, those that were special to some server once,
// and some that nobody has.
var types = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeTXT, dns.TypeCNAME, dns.TypeSOA, dns.TypeNS,
	dns.TypeMX, dns.TypeANY, dns.TypeDS, dns.TypeHTTPS,
}

// fewTypes are asked of all other names, and of those that exist once more in mixed case: one for each path through
// either plugin.
var fewTypes = []uint16{dns.TypeA, dns.TypeSRV, dns.TypePTR, dns.TypeTXT, dns.TypeCNAME, dns.TypeSOA, dns.TypeNS}

// queries are all types of all names.
func queries() []query {
	var all []query
	ask := func(name string, types ...uint16) {
		for _, qtype := range types {
			all = append(all, query{name, qtype})
		}
	}
	for _, name := range names() {
		if exists(name) {
			ask(name, types...)
			ask(mixed(name), fewTypes...)
		} else {
			ask(name, fewTypes...)
			ask(mixed(name), dns.TypeA)
		}
	}
	return all
}

// names are every name that the world gives rise to, and what comes of mistaking them.
func names() []string {
	all := slices.Concat(schemaNames(), serviceNames(), reverseNames(), innerNames())
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool {
		_, ok := dns.IsDomainName(name)
		return !ok // too long, most likely
	})
}

// schemaNames are the names that do not depend on what is registered.
func schemaNames() []string {
	var all []string
	for _, z := range zones {
		all = append(all, z)
		for _, prefix := range list(`svc pod dns ns.dns dns-version any missing * a.b.c.d.e
			x.svc x.pod x.dns x.ns.dns x.dns-version svc.svc pod.svc svc.pod dns.ns
			_tcp _http._tcp _tcp.svc _http._tcp.svc hostmaster www.example.net`) {
			all = append(all, prefix+"."+z)
		}
	}
	return append(all, `web.shop.svc.cluster\.local.`, `web.shop.svc\.cluster.local.`, `web.shop.svc.inner\.cluster.local.`)
}

// serviceNames are each service's name, and the names around it.
func serviceNames() []string {
	var all []string
	for _, s := range world {
		if s.namespace == "hops" {
			all = append(all, s.fqdn()) // it is only their chain that matters
			continue
		}
		namespace := s.namespace + ".svc." + zone
		all = append(all,
			namespace,
			s.namespace+"."+zone,
			s.namespace+".pod."+zone,
			"svc."+namespace,
			"*."+namespace,
			"x."+namespace,

			s.fqdn(),
			s.name+"."+s.namespace+"."+zone,
			s.name+".svc."+zone,
			s.name+"."+s.namespace+".pod."+zone,
			s.name+"x."+namespace,
			s.name+`\.`+s.namespace+".svc."+zone, // one label with a dot in it, not two
			s.name+`\ .`+namespace,
			`\000.`+namespace,
			strings.Repeat("x", 63)+"."+namespace,
			strings.Repeat("x.", 90)+namespace,
		)
		for _, other := range list("shop infra edge svc pod nowhere") {
			all = append(all, s.name+"."+other+".svc."+zone)
		}
		for _, below := range list("x * _ _tcp _udp _sctp tcp udp svc cluster-0 x.x _x._tcp _._tcp _._ _tcp._tcp *._tcp _http.* x._x._tcp") {
			all = append(all, below+"."+s.fqdn())
		}
		for _, i := range s.few() {
			all = append(all, instanceNames(s, i)...)
			for _, p := range s.portsOf(i) {
				all = append(all, portNames(s, p)...)
			}
		}
		for _, p := range s.ports {
			all = append(all, portNames(s, p)...)
		}
	}
	return all
}

// few are the first instances: the others of a crowd are only more of the same.
func (s service) few() []instance { return s.instances[:min(len(s.instances), 5)] }

func instanceNames(s service, i instance) []string {
	var all []string
	for _, host := range s.hosts(i) {
		label, _, _ := strings.Cut(host, ".")
		all = append(all,
			host,
			"x."+host,
			"_http._tcp."+host,
			"_"+host,
			label+".web.shop.svc."+zone,
			label+"."+s.name+"."+s.namespace+".pod."+zone,
			label+"."+s.namespace+".svc."+zone,
			label+"."+s.namespace+".pod."+zone,
		)
	}
	for _, address := range i.addresses {
		// Not a HOST where the instance has a hostname, or where the address is written otherwise.
		plain := strings.NewReplacer(".", "-", ":", "-").Replace(address)
		all = append(all,
			plain+"."+s.fqdn(),
			dashed(address)+"."+s.fqdn(),
			dashed(address)+"."+s.namespace+".pod."+zone,
			strings.ReplaceAll(plain, "--", "-0-0-")+"."+s.fqdn(),
			"0"+plain+"."+s.fqdn(),
			address+"."+s.fqdn(),
		)
	}
	return all
}

func portNames(s service, p port) []string {
	var all []string
	for _, name := range []string{"_" + p.name, p.name} {
		for _, protocol := range []string{"_" + p.protocol, p.protocol, "_tcp", "_udp", "_sctp", "_x", "_"} {
			all = append(all, name+"."+protocol+"."+s.fqdn())
		}
		all = append(all, name+"."+s.fqdn(), "x."+name+"._"+p.protocol+"."+s.fqdn(), name+"x._"+p.protocol+"."+s.fqdn())
	}
	return slices.DeleteFunc(all, func(name string) bool { return strings.HasPrefix(name, ".") }) // an unnamed port
}

// reverseNames are those of each address, their parts, and what is around them.
func reverseNames() []string {
	var all []string
	for _, s := range world {
		addresses := s.clusterIPs
		for _, i := range s.few() {
			addresses = append(addresses, i.addresses...)
		}
		for _, address := range addresses {
			name := reverse(address)
			all = append(all, "x."+name, "0."+name, "0"+name, "f"+name[1:])
			for ; name != "arpa."; name = parent(name) {
				all = append(all, name)
			}
		}
	}
	return append(all,
		reverse("192.0.2.99"), reverse("198.51.100.99"), reverse("2001:db8::99"), reverse("203.0.113.200"),
		"256.2.0.192.in-addr.arpa.", "x.2.0.192.in-addr.arpa.", "10.x.0.192.in-addr.arpa.", "-1.2.0.192.in-addr.arpa.",
		"192.0.2.10.in-addr.arpa.", "g.ip6.arpa.", "99.in-addr.arpa.", "10.0.in-addr.arpa.",
		// An IPv4 address, mapped into IPv6.
		"a.0.2.0.0.0.0.c.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
		// The right digits below the other zone.
		"10.2.0.192.ip6.arpa.",
	)
}

// innerNames are those of the inner zone that exist.
func innerNames() []string {
	var all []string
	for name := range existing() {
		// From one zone into another kubernetes counts the hops anew.
		if dns.IsSubDomain(inner, name) && !dns.IsSubDomain("hops.svc."+inner, name) {
			all = append(all, name)
		}
	}
	return all
}

// parent is the name without its first label.
func parent(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}

// mixed is the name with every other letter in upper case.
func mixed(name string) string {
	upper := false
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			upper = !upper
			if upper {
				return unicode.ToUpper(r)
			}
		}
		return r
	}, name)
}
