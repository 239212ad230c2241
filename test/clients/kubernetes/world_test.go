package kubernetes

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

const (
	// zone holds the forward names of the world.
	zone = "cluster.local."
	// inner holds them once more; it is a zone of its own, although its names are below the other's.
	inner = "inner." + zone
	// ttl is that of every answer of both servers, in seconds.
	ttl = 5
)

// zones are those of both servers. PTR records lead into the first that is not a reverse zone.
var zones = append(list("in-addr.arpa. "+zone+" "+inner), list("2.0.192.in-addr.arpa. ip6.arpa.")...)

// A service with no cluster IPs and no external name is headless.
type service struct {
	namespace, name string
	clusterIPs      []string
	externalName    string
	ports           []port
	publishNotReady bool
	undefined       bool // known to the registry by its instances alone
	instances       []instance
}

// An instance without ports of its own has those of its service.
type instance struct {
	hostname  string
	addresses []string
	ports     []port
	down      bool
}

type port struct {
	name, protocol string
	number         int
}

// world is what both servers are told.
var world = []service{
	// Cluster IPs.
	{
		namespace: "shop", name: "web", clusterIPs: list("198.51.100.10"), ports: ports("http:80/tcp https:443/tcp"),
		instances: []instance{
			{addresses: list("192.0.2.10"), ports: ports("http:8080/tcp https:8443/tcp")},
			{addresses: list("192.0.2.11"), ports: ports("http:8080/tcp https:8443/tcp")},
		},
	},
	{ // both families, one unnamed port
		namespace: "shop", name: "cart", clusterIPs: list("198.51.100.11 2001:db8:96::11"), ports: ports(":7070/tcp"),
		instances: []instance{{addresses: list("192.0.2.12 2001:db8::12")}},
	},
	{ // both families, named ports
		namespace: "edge", name: "gate", clusterIPs: list("2001:db8:96::12 198.51.100.12"), ports: ports("http:80/tcp http3:443/udp"),
		instances: []instance{{hostname: "gate-a", addresses: list("2001:db8::13 192.0.2.13")}},
	},
	{ // one name in two protocols
		namespace: "infra", name: "dns", clusterIPs: list("198.51.100.53"), ports: ports("dns:53/udp dns:53/tcp metrics:9153/tcp"),
		instances: []instance{
			{addresses: list("192.0.2.53")},
			{addresses: list("192.0.2.54"), down: true},
		},
	},
	{ // nobody behind it: the cluster IP is answered all the same
		namespace: "infra", name: "idle", clusterIPs: list("198.51.100.20"), ports: ports("http:80/tcp"),
	},
	{ // an IPv6 cluster IP that ends in zeros
		namespace: "edge", name: "six", clusterIPs: list("2001:db8:96::"), ports: ports("sip:5060/sctp"),
	},
	{ // shares its cluster IP with web.shop; Kubernetes would not assign it, but both plugins take it
		namespace: "edge", name: "webtoo", clusterIPs: list("198.51.100.10"), ports: ports("http:80/tcp"),
	},

	// Headless, with hostnames.
	{
		namespace: "shop", name: "cache", ports: ports("redis:6379/tcp"),
		instances: []instance{
			{hostname: "cache-0", addresses: list("192.0.2.20")},
			{hostname: "cache-1", addresses: list("192.0.2.21")},
			{hostname: "cache-2", addresses: list("192.0.2.22"), down: true},
		},
	},
	{ // one hostname, two addresses
		namespace: "shop", name: "both", ports: ports("grpc:9000/tcp metrics:9090/tcp"),
		instances: []instance{{hostname: "both-0", addresses: list("192.0.2.23 2001:db8::23")}},
	},
	{ // one hostname, several instances
		namespace: "shop", name: "pool", ports: ports("work:4000/tcp"),
		instances: []instance{
			{hostname: "member", addresses: list("192.0.2.30")},
			{hostname: "member", addresses: list("192.0.2.31")},
			{hostname: "member", addresses: list("2001:db8::31")},
			{hostname: "leader", addresses: list("192.0.2.32")},
		},
	},
	{ // one hostname, an instance up and one down
		namespace: "edge", name: "half", ports: ports("work:4000/tcp"),
		instances: []instance{
			{hostname: "shared", addresses: list("192.0.2.33")},
			{hostname: "shared", addresses: list("192.0.2.34"), down: true},
		},
	},

	// Headless, without hostnames.
	{
		namespace: "shop", name: "db", ports: ports("pg:5432/tcp metrics:9187/tcp"),
		instances: []instance{
			{addresses: list("192.0.2.40")},
			{addresses: list("192.0.2.41")},
			{addresses: list("192.0.2.42"), down: true},
		},
	},
	{ // dashes: in the middle, at the end, at the beginning; and an unnamed port
		namespace: "shop", name: "db6", ports: ports(":5432/tcp"),
		instances: []instance{
			{addresses: list("2001:db8::7")},
			{addresses: list("2001:db8:7::")},
			{addresses: list("2001:db8:1:2:3:4:5:6")},
			{addresses: list("fd00::a:b")},
		},
	},
	{ // both families without a hostname: two hosts
		namespace: "infra", name: "twin", ports: ports("a:1001/tcp b:1002/udp"),
		instances: []instance{{addresses: list("192.0.2.44 2001:db8::44")}},
	},
	{ // one name in two protocols, and two names of one port
		namespace: "infra", name: "resolver", ports: ports("dns:53/udp dns:53/tcp dns-tcp:53/tcp metrics:9153/tcp"),
		instances: []instance{
			{hostname: "r1", addresses: list("192.0.2.50")},
			{hostname: "r2", addresses: list("192.0.2.51 2001:db8::51")},
		},
	},
	{ // instances that do not have the same ports
		namespace: "infra", name: "mixed", ports: ports("old:8001/tcp new:8002/tcp planned:8003/tcp"),
		instances: []instance{
			{hostname: "m1", addresses: list("192.0.2.60"), ports: ports("old:8001/tcp")},
			{hostname: "m2", addresses: list("192.0.2.61"), ports: ports("old:8101/tcp new:8002/tcp")},
			{hostname: "m3", addresses: list("192.0.2.62"), ports: ports("extra:8009/sctp"), down: true},
		},
	},
	{ // no ports at all
		namespace: "infra", name: "portless",
		instances: []instance{{hostname: "p1", addresses: list("192.0.2.70")}},
	},
	{ // answered before they are ready
		namespace: "infra", name: "early", ports: ports("join:2380/tcp"), publishNotReady: true,
		instances: []instance{
			{hostname: "e1", addresses: list("192.0.2.71"), down: true},
			{hostname: "e2", addresses: list("192.0.2.72")},
		},
	},
	{ // never defined
		namespace: "infra", name: "adhoc", undefined: true,
		instances: []instance{{hostname: "x1", addresses: list("192.0.2.73"), ports: ports("http:8080/tcp")}},
	},
	{ // nobody there
		namespace: "infra", name: "quiet", ports: ports("http:80/tcp"),
	},
	{ // nobody ready
		namespace: "infra", name: "asleep", ports: ports("http:80/tcp"),
		instances: []instance{{hostname: "z1", addresses: list("192.0.2.74"), down: true}},
	},

	{ // nobody there, in a namespace of its own
		namespace: "lonely", name: "quiet", ports: ports("http:80/tcp"),
	},
	{ // nobody ready, and never defined
		namespace: "infra", name: "adhoc-asleep", undefined: true,
		instances: []instance{{hostname: "y1", addresses: list("192.0.2.75"), ports: ports("http:80/tcp"), down: true}},
	},

	// Addresses in several places.
	{ // an instance of web.shop, by another name
		namespace: "edge", name: "again", ports: ports("http:8080/tcp"),
		instances: []instance{{hostname: "w", addresses: list("192.0.2.10")}},
	},
	{ // an instance whose address is a cluster IP
		namespace: "edge", name: "vip", ports: ports("http:80/tcp"),
		instances: []instance{{hostname: "v", addresses: list("198.51.100.20")}},
	},

	{ // one address twice in a service, with other ports
		namespace: "edge", name: "ports", ports: ports("a:1001/tcp b:1002/tcp"),
		instances: []instance{
			{addresses: list("192.0.2.90"), ports: ports("a:1001/tcp")},
			{addresses: list("192.0.2.90"), ports: ports("b:1002/tcp")},
		},
	},
	{ // a hostname that is another instance's address in dashes
		namespace: "edge", name: "lookalike", ports: ports("http:80/tcp"),
		instances: []instance{
			{hostname: "192-0-2-91", addresses: list("192.0.2.92")},
			{addresses: list("192.0.2.91")},
		},
	},

	// Some ports named, some not.
	{
		namespace: "infra", name: "halfnamed", ports: ports(":1001/tcp b:1002/tcp"),
		instances: []instance{{hostname: "h1", addresses: list("192.0.2.93")}},
	},
	{
		namespace: "infra", name: "halfnamed-vip", clusterIPs: list("198.51.100.93"), ports: ports(":1001/tcp b:1002/tcp"),
	},

	// More than a weight of 100 can be shared among.
	{namespace: "infra", name: "crowd", ports: ports("http:80/tcp"), instances: crowd(120)},

	// Names that look like the words of the schema. As namespaces those are reserved.
	{
		namespace: "dns", name: "svc", ports: ports("tcp:1/tcp udp:2/udp svc:3/tcp"),
		instances: []instance{{hostname: "svc", addresses: list("192.0.2.80")}},
	},
	{
		namespace: "ns", name: "pod", ports: ports("ns:1/tcp"),
		instances: []instance{{hostname: "ns", addresses: list("192.0.2.81")}},
	},

	// External names.
	{namespace: "edge", name: "to-cluster-ip", externalName: "web.shop.svc.cluster.local"},
	{namespace: "edge", name: "to-headless", externalName: "both.shop.svc.cluster.local."},
	{namespace: "edge", name: "to-host", externalName: "cache-0.cache.shop.svc.cluster.local"},
	{namespace: "edge", name: "to-six", externalName: "six.edge.svc.cluster.local"},
	{namespace: "edge", name: "to-external", externalName: "to-headless.edge.svc.cluster.local"},
	{namespace: "edge", name: "to-missing", externalName: "gone.shop.svc.cluster.local"},
	{namespace: "edge", name: "to-quiet", externalName: "quiet.infra.svc.cluster.local"},
	{namespace: "edge", name: "to-namespace", externalName: "shop.svc.cluster.local"},
	{namespace: "edge", name: "to-far-missing", externalName: "to-missing.edge.svc.cluster.local"},
	{namespace: "edge", name: "to-zone", externalName: "cluster.local"},
	{namespace: "edge", name: "to-itself", externalName: "to-itself.edge.svc.cluster.local"},
	{namespace: "edge", name: "to-and", externalName: "fro.edge.svc.cluster.local"},
	{namespace: "edge", name: "fro", externalName: "to-and.edge.svc.cluster.local"},
	{namespace: "edge", name: "outside", externalName: "www.example.net"},
	{namespace: "edge", name: "outside-alias", externalName: "alias.example.net"},
	{namespace: "edge", name: "outside-v4", externalName: "v4.example.net"},
	{namespace: "edge", name: "outside-missing", externalName: "missing.example.net"},
	{namespace: "edge", name: "outside-alias-missing", externalName: "nowhere.example.net"},
	{namespace: "edge", name: "outside-far", externalName: "outside.edge.svc.cluster.local"},
	{namespace: "edge", name: "outside-broken", externalName: "www.broken.example"},
	{namespace: "hops", name: "hop-1", externalName: "web.shop.svc.cluster.local"},
	{namespace: "hops", name: "hop-2", externalName: "hop-1.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-3", externalName: "hop-2.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-4", externalName: "hop-3.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-5", externalName: "hop-4.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-6", externalName: "hop-5.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-7", externalName: "hop-6.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-8", externalName: "hop-7.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-9", externalName: "hop-8.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-10", externalName: "hop-9.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-11", externalName: "hop-10.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-12", externalName: "hop-11.hops.svc.cluster.local"},
	{namespace: "hops", name: "hop-13", externalName: "hop-12.hops.svc.cluster.local"},
	{namespace: "edge", name: "outside-unserved", externalName: "www.example.com"},
}

// outside is the zone of the world beyond, which both servers serve with CoreDNS's file plugin. Of broken.example
// both know that it cannot be resolved now, and of any other name nothing.
const outside = `
$ORIGIN example.net.
` + outsideSOA + `
@       60 IN NS    ns
ns      60 IN A     203.0.113.53
www     60 IN A     203.0.113.80
www     60 IN AAAA  2001:db8:f::80
www     60 IN TXT   "outside"
www     60 IN MX    10 mail
mail    60 IN A     203.0.113.25
v4      60 IN A     203.0.113.4
alias   60 IN CNAME www
nowhere 60 IN CNAME missing
`

const outsideSOA = "example.net. 60 IN SOA ns.example.net. hostmaster.example.net. 1 7200 1800 86400 60"

func crowd(n int) []instance {
	var all []instance
	for i := range n {
		all = append(all, instance{addresses: list(fmt.Sprintf("203.0.113.%d", i+1))})
	}
	return all
}

// list("a b") is the list of a and b.
func list(words string) []string { return strings.Fields(words) }

// ports("http:80/tcp :53/udp") is a named port and an unnamed one.
func ports(words string) []port {
	var all []port
	for _, word := range strings.Fields(words) {
		name, rest, _ := strings.Cut(word, ":")
		number, protocol, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		if err != nil {
			panic("port in the table of the world: " + word)
		}
		all = append(all, port{name, protocol, n})
	}
	return all
}

func (s service) fqdn() string { return s.name + "." + s.namespace + ".svc." + zone }

func (s service) headless() bool { return s.clusterIPs == nil && s.externalName == "" }

// up is whether an instance of the service is answered.
func (s service) up(i instance) bool { return !i.down || s.publishNotReady }

func (s service) portsOf(i instance) []port {
	if i.ports == nil {
		return s.ports
	}
	return i.ports
}

// hosts are the names below its service that lead to the instance.
func (s service) hosts(i instance) []string {
	if i.hostname != "" {
		return []string{i.hostname + "." + s.fqdn()}
	}
	var all []string
	for _, address := range i.addresses {
		all = append(all, dashed(address)+"."+s.fqdn())
	}
	return all
}

// dashed is an address as a label, which may not end in a dash.
func dashed(address string) string {
	label := strings.NewReplacer(".", "-", ":", "-").Replace(address)
	if strings.HasSuffix(label, "-") {
		label += "0"
	}
	return label
}

func reverse(address string) string {
	name, err := dns.ReverseAddr(address)
	if err != nil {
		panic("address in the table of the world: " + address)
	}
	return name
}
