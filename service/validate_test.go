package service

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

var valid = ID{Name{"prod", "web"}, "web-1"}

// registration returns a change that registers a valid instance, altered.
func registration(alter func(*Instance)) Change {
	i := &Instance{
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
		Ports:     []Port{{"http", TCP, 8080}},
		Hostname:  "web-1",
		Zone:      "eu-west-1a",
		Metadata:  Metadata{{"version", "1.4.2"}},
	}
	alter(i)
	return Change{Op: Register, ID: valid, Instance: i}
}

// definition returns a change that defines a service.
func definition(d Definition) Change {
	return Change{Op: Define, ID: ID{Name: valid.Name}, Definition: &d}
}

func withID(id ID) Change { return Change{Op: Renew, ID: id} }

func addresses(texts ...string) func(*Instance) {
	return func(i *Instance) {
		i.Addresses = nil
		for _, text := range texts {
			addr, _ := netip.ParseAddr(text)
			i.Addresses = append(i.Addresses, addr)
		}
	}
}

func differentAddresses(n int) func(*Instance) {
	return func(i *Instance) { i.Addresses = manyAddresses(n) }
}

// manyAddresses returns that many, each once.
func manyAddresses(n int) (addrs []netip.Addr) {
	for k := range n {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}))
	}
	return addrs
}

func ports(ports ...Port) func(*Instance) {
	return func(i *Instance) { i.Ports = ports }
}

func manyPorts(n int) (ports []Port) {
	for k := range n {
		ports = append(ports, Port{"", TCP, uint16(k + 1)})
	}
	return ports
}

func metadata(pairs ...Pair) func(*Instance) {
	return func(i *Instance) { i.Metadata = pairs }
}

func pairs(n int) []Pair {
	var pairs []Pair
	for k := range n {
		pairs = append(pairs, Pair{fmt.Sprintf("k%02d", k), ""})
	}
	return pairs
}

func clusterIPs(texts ...string) (addrs []netip.Addr) {
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs
}

// TestFaultsNameTheFieldAndWhatWouldBeRight has a row for each rule of the contract,
// section 3, on both sides of it. A wanted line is a field, and a part of the message
// that says what would be right; a change without one has no fault.
func TestFaultsNameTheFieldAndWhatWouldBeRight(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tc := range []struct {
		sentence string
		change   Change
		want     []string
	}{
		{"a valid registration", registration(func(*Instance) {}), nil},
		{"an instance of addresses alone", registration(func(i *Instance) { *i = Instance{Addresses: i.Addresses} }), nil},

		{"names of 63 bytes", withID(ID{Name{long, long}, "a"}), nil},
		{"a namespace of 64 bytes", withID(ID{Name{long + "a", "web"}, "a"}), []string{"namespace: 1 to 63"}},
		{"an empty namespace", withID(ID{Name{"", "web"}, "a"}), []string{"namespace: 1 to 63"}},
		{"a service in capital letters", withID(ID{Name{"prod", "Web"}, "a"}), []string{"service: lower case"}},
		{"a service with a dot", withID(ID{Name{"prod", "web.de"}, "a"}), []string{"service: RFC 1123 label"}},
		{"a service that begins with a hyphen", withID(ID{Name{"prod", "-web"}, "a"}), []string{"service: without a hyphen at either end"}},
		{"a service that ends with a hyphen", withID(ID{Name{"prod", "web-"}, "a"}), []string{"service: without a hyphen at either end"}},
		{"a service that begins with an underscore", withID(ID{Name{"prod", "_tcp"}, "a"}), []string{"service: a-z 0-9 -"}},
		{"a service beyond ASCII", withID(ID{Name{"prod", "wéb"}, "a"}), []string{"service: a-z 0-9 -"}},
		{"a service of digits and a single letter", withID(ID{Name{"0", "w"}, "a"}), nil},
		{"every part wrong at once", withID(ID{Name{"", ""}, ""}), []string{"namespace: label", "service: label", "id: 1 to 253"}},

		{"an id of every character there may be", withID(ID{valid.Name, "aZ09._:-"}), nil},
		{"an id of 253 bytes", withID(ID{valid.Name, strings.Repeat("x", 253)}), nil},
		{"an id of 254 bytes", withID(ID{valid.Name, strings.Repeat("x", 254)}), []string{"id: 1 to 253"}},
		{"no id", withID(ID{valid.Name, ""}), []string{"id: 1 to 253"}},
		{"an id that is a dot", withID(ID{valid.Name, "."}), []string{"id: neither . nor .."}},
		{"an id of two dots", withID(ID{valid.Name, ".."}), []string{"id: neither . nor .."}},
		{"an id of three dots", withID(ID{valid.Name, "..."}), nil},
		{"an id with a slash", withID(ID{valid.Name, "a/b"}), []string{"id: A-Z a-z 0-9 . _ : -"}},
		{"an id with a space", withID(ID{valid.Name, "a b"}), []string{"id: A-Z a-z 0-9 . _ : -"}},
		{"an id beyond ASCII", withID(ID{valid.Name, "é"}), []string{"id: A-Z a-z 0-9 . _ : -"}},
		{"a service has no id to be wrong", Change{Op: Undefine, ID: ID{Name: valid.Name}}, nil},

		{"no address", registration(addresses()), []string{"addresses: 1 to 16"}},
		{"16 addresses", registration(differentAddresses(16)), nil},
		{"17 addresses", registration(differentAddresses(17)), []string{"addresses: 1 to 16"}},
		{"an address twice", registration(addresses("192.0.2.7", "192.0.2.8", "192.0.2.7")), []string{"addresses[2]: repeated: it is addresses[0] already"}},
		{"what is no address", registration(addresses("192.0.2.7", "here")), []string{"addresses[1]: is not an IP address"}},
		{"an address with a zone id", registration(addresses("fe80::1%eth0")), []string{"addresses[0]: DNS has none"}},
		{"a link-local address without", registration(addresses("fe80::1")), nil},
		{"a loopback address", registration(addresses("127.0.0.1", "::1")), nil},
		{"an IPv4-mapped address", registration(addresses("::ffff:192.0.2.7")), []string{"addresses[0]: write 192.0.2.7"}},
		{"the unspecified address", registration(addresses("0.0.0.0")), []string{"addresses[0]: unspecified"}},
		{"that of IPv6", registration(addresses("::")), []string{"addresses[0]: unspecified"}},
		{"a multicast address", registration(addresses("224.0.0.1")), []string{"addresses[0]: unicast"}},
		{"one of IPv6", registration(addresses("ff02::1")), []string{"addresses[0]: unicast"}},
		{"every address wrong at once", registration(addresses("::", "x", "ff02::1")),
			[]string{"addresses[0]: unspecified", "addresses[1]: not an IP", "addresses[2]: unicast"}},

		{"port 1 and port 65535", registration(ports(Port{"", TCP, 1}, Port{"", TCP, 65535})), nil},
		{"port 0", registration(ports(Port{"", TCP, 0})), []string{"ports[0].port: 1 to 65535"}},
		{"every protocol", registration(ports(Port{"a", TCP, 1}, Port{"a", UDP, 1}, Port{"a", SCTP, 1})), nil},
		{"another protocol", registration(ports(Port{"a", "quic", 1})), []string{"ports[0].protocol: tcp, udp or sctp"}},
		{"a protocol in capital letters", registration(ports(Port{"a", "TCP", 1})), []string{"ports[0].protocol: tcp, udp or sctp"}},
		{"no protocol: whoever reads the wire fills it in", registration(ports(Port{"a", "", 1})), []string{"ports[0].protocol: tcp, udp or sctp"}},
		{"a port name of 62 bytes", registration(ports(Port{long[:62], TCP, 1})), nil},
		{"a port name of 63 bytes, which an underscore would make too long", registration(ports(Port{long, TCP, 1})), []string{"ports[0].name: at most 62"}},
		{"a port name that is no label", registration(ports(Port{"a_b", TCP, 1})), []string{"ports[0].name: DNS label"}},
		{"unnamed ports, any number", registration(ports(Port{"", TCP, 1}, Port{"", TCP, 2}, Port{"", TCP, 1})), nil},
		{"64 ports", registration(ports(manyPorts(64)...)), nil},
		{"65 ports", registration(ports(manyPorts(65)...)), []string{"ports: at most 64"}},
		{"65 ports, and one of them wrong", registration(ports(append(manyPorts(64), Port{"", TCP, 0})...)), []string{"ports: at most 64", "ports[64].port: 1 to 65535"}},
		{"a port name twice", registration(ports(Port{"a", TCP, 1}, Port{"b", TCP, 2}, Port{"a", TCP, 3})), []string{"ports[2].name: the same name and protocol"}},
		{"twice but for its case, which DNS does not see", registration(ports(Port{"a", TCP, 1}, Port{"A", TCP, 2})), []string{"ports[1].name: the same name and protocol"}},
		{"a port wrong all through", registration(ports(Port{"-", "x", 0})),
			[]string{"ports[0].port: 1 to 65535", "ports[0].protocol: tcp", "ports[0].name: DNS label"}},

		{"no hostname", registration(func(i *Instance) { i.Hostname = "" }), nil},
		{"a hostname in capital letters", registration(func(i *Instance) { i.Hostname = "WEB-1" }), nil},
		{"a hostname of two labels", registration(func(i *Instance) { i.Hostname = "web.1" }), []string{"hostname: DNS label"}},
		{"a hostname of 64 bytes", registration(func(i *Instance) { i.Hostname = long + "a" }), []string{"hostname: 1 to 63"}},

		{"a zone of 63 bytes", registration(func(i *Instance) { i.Zone = long }), nil},
		{"a zone of 64 bytes", registration(func(i *Instance) { i.Zone = long + "a" }), []string{"zone: at most 63"}},

		{"64 pairs of metadata", registration(metadata(pairs(64)...)), nil},
		{"65 pairs of metadata", registration(metadata(pairs(65)...)), []string{"metadata: at most 64"}},
		{"a key of 63 bytes", registration(metadata(Pair{long, ""})), nil},
		{"a key of 64 bytes", registration(metadata(Pair{long + "a", ""})), []string{"metadata." + long + "a: 1 to 63"}},
		{"an empty key", registration(metadata(Pair{"", "x"})), []string{"metadata.: 1 to 63"}},
		{"a key of printable ASCII", registration(metadata(Pair{" ~!", ""})), nil},
		{"a key with =", registration(metadata(Pair{"a=b", ""})), []string{"metadata.a=b: without ="}},
		{"a key with a control character", registration(metadata(Pair{"a\x1f", ""})), []string{"metadata.a\x1f: printable ASCII"}},
		{"a key with DEL", registration(metadata(Pair{"a\x7f", ""})), []string{"metadata.a\x7f: printable ASCII"}},
		{"a key beyond ASCII", registration(metadata(Pair{"é", ""})), []string{"metadata.é: printable ASCII"}},
		{"a value of any bytes", registration(metadata(Pair{"a", "=é\x00\\\""})), nil},
		{"a pair of 254 bytes", registration(metadata(Pair{"a", strings.Repeat("x", 253)})), nil},
		{"a pair of 255 bytes", registration(metadata(Pair{"a", strings.Repeat("x", 254)})), []string{"metadata.a: at most 254"}},

		{"a status", Change{Op: SetStatus, ID: valid, Status: Draining}, nil},
		{"no status where one is asked for", Change{Op: SetStatus, ID: valid}, []string{"status: up, draining, down"}},

		{"a headless definition", definition(Definition{}), nil},
		{"cluster IPs", definition(Definition{Type: ClusterIP, ClusterIPs: clusterIPs("192.0.2.1", "2001:db8::1")}), nil},
		{"clusterIP without one", definition(Definition{Type: ClusterIP}), []string{"clusterIPs: 1 to 16"}},
		{"16 cluster IPs", definition(Definition{Type: ClusterIP, ClusterIPs: manyAddresses(16)}), nil},
		{"17 cluster IPs", definition(Definition{Type: ClusterIP, ClusterIPs: manyAddresses(17)}), []string{"clusterIPs: 1 to 16"}},
		{"a cluster IP of another type", definition(Definition{ClusterIPs: clusterIPs("192.0.2.1")}), []string{"clusterIPs: this one is headless"}},
		{"a cluster IP twice", definition(Definition{Type: ClusterIP, ClusterIPs: clusterIPs("192.0.2.1", "192.0.2.1")}), []string{"clusterIPs[1]: repeated"}},
		{"a multicast cluster IP", definition(Definition{Type: ClusterIP, ClusterIPs: clusterIPs("224.0.0.1")}), []string{"clusterIPs[0]: multicast"}},
		{"an external name", definition(Definition{Type: ExternalName, ExternalName: "example.org"}), nil},
		{"one that ends in a dot", definition(Definition{Type: ExternalName, ExternalName: "example.org."}), nil},
		{"one with underscores", definition(Definition{Type: ExternalName, ExternalName: "_http._tcp.Example.org"}), nil},
		{"an external name of 253 bytes", definition(Definition{Type: ExternalName, ExternalName: strings.Repeat("a.", 126) + "a"}), nil},
		{"an external name of 254 bytes", definition(Definition{Type: ExternalName, ExternalName: strings.Repeat("a.", 126) + "aa"}), []string{"externalName: at most 253 bytes"}},
		{"no external name", definition(Definition{Type: ExternalName}), []string{"externalName: labels of 1 to 63"}},
		{"a dot alone", definition(Definition{Type: ExternalName, ExternalName: "."}), []string{"externalName: labels of 1 to 63"}},
		{"an empty label in it", definition(Definition{Type: ExternalName, ExternalName: "a..b"}), []string{"externalName: labels of 1 to 63"}},
		{"an address for a name", definition(Definition{Type: ExternalName, ExternalName: "192.0.2.1"}), []string{"externalName: name a host"}},
		{"an external name of another type", definition(Definition{ExternalName: "example.org"}), []string{"externalName: this one is headless"}},
		{"a definition's ports are as an instance's", definition(Definition{Ports: []Port{{"a", TCP, 0}}}), []string{"ports[0].port: 1 to 65535"}},
		{"and so is their number", definition(Definition{Ports: manyPorts(65)}), []string{"ports: at most 64"}},
		{"and so is its metadata", definition(Definition{Metadata: Metadata{{"", ""}}}), []string{"metadata.: 1 to 63"}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			faults := tc.change.Check()
			if len(faults) != len(tc.want) {
				t.Fatalf("got %d faults, want %d: %v", len(faults), len(tc.want), faults)
			}
			for n, want := range tc.want {
				field, message, _ := strings.Cut(want, ": ")
				if f := faults[n]; f.Field != field || !strings.Contains(f.Message, message) {
					t.Errorf("fault %d: got %q: %q, want %q: …%q…", n, f.Field, f.Message, field, message)
				}
			}
		})
	}
}
