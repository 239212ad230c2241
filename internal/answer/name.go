package answer

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// kind says what a name in a zone stands for.
type kind uint8

const (
	noName        kind = iota // nothing can have this name
	apex                      // Z
	nameServer                // ns.dns.Z
	version                   // dns-version.Z
	nonTerminal               // dns.Z, svc.Z, pod.Z, part of a reverse name: only names below it
	namespaceName             // NAMESPACE.svc.Z
	serviceName               // SERVICE.NAMESPACE.svc.Z
	hostName                  // HOST.SERVICE.NAMESPACE.svc.Z
	protocolName              // _PROTOCOL.SERVICE.NAMESPACE.svc.Z
	portName                  // _PORT._PROTOCOL.SERVICE.NAMESPACE.svc.Z
	reverseName               // the reverse name of a whole address
)

// parsed is what a name says, whether or not it exists. Which fields are set depends
// on the kind.
type parsed struct {
	kind    kind
	service service.Name
	label   string     // HOST, or _PORT._PROTOCOL, or _PROTOCOL, as written
	addr    netip.Addr // also of an apex that is the reverse name of a whole address
}

// parse takes a name apart. The name is in lower case and fully qualified, and lies in
// the zone; the zone is "." or begins and ends as "cluster.local." does.
//
// Labels are counted from the zone outwards:
//
//	1     dns, svc, pod, dns-version
//	2     ns.dns, NAMESPACE.svc
//	3     SERVICE.NAMESPACE.svc
//	4     HOST or _PROTOCOL .SERVICE.NAMESPACE.svc
//	5     _PORT._PROTOCOL.SERVICE.NAMESPACE.svc
//
// A dot inside a label arrives escaped, as "\.". Cutting there gives a label with a
// backslash in it, and no name of ours has one.
func parse(name, zone string) (p parsed) {
	rest, ok := below(name, zone)
	switch {
	case !ok, !fits(name):
		return p
	case rest == "":
		p.kind = apex
		return p
	}
	rest, last := cutLast(rest)
	switch last {
	case "dns":
		p.kind = atDNS(rest)
	case "dns-version":
		p.kind = only(rest, version)
	case "pod": // the specification's other subtree, which stands here and is empty
		p.kind = only(rest, nonTerminal)
	case "svc":
		p.inServices(rest)
	}
	return p
}

// fits reports whether a name, fully qualified and with nothing escaped in it, has a place in
// a message (RFC 1035, section 3.1). One that has none does not exist.
func fits(name string) bool { return len(name) < longestName }

// LongestZone is the most bytes that a zone has as text, fully qualified: the longest of the
// names that each has, hostmaster and dns-version, are below it.
const LongestZone = longestName - 1 - len("dns-version.")

func atDNS(rest string) kind {
	switch rest {
	case "":
		return nonTerminal
	case "ns":
		return nameServer
	}
	return noName
}

// only is for a name that has nothing below it.
func only(rest string, k kind) kind {
	if rest != "" {
		return noName
	}
	return k
}

func (p *parsed) inServices(rest string) {
	if rest == "" {
		p.kind = nonTerminal
		return
	}
	rest, p.service.Namespace = cutLast(rest)
	if rest == "" {
		p.kind = namespaceName
		return
	}
	p.label, p.service.Service = cutLast(rest)
	if p.kind = kindOf(p.label); p.kind == noName {
		*p = parsed{}
	}
}

// kindOf returns what labels below a service stand for.
func kindOf(labels string) kind {
	first, second, two := strings.Cut(labels, ".")
	switch {
	case labels == "":
		return serviceName
	case !two && labels[0] == '_':
		return protocolName
	case !two:
		return hostName
	case isUnderscored(first) && isUnderscored(second) && strings.IndexByte(second, '.') < 0:
		return portName
	}
	return noName
}

func isUnderscored(label string) bool { return label != "" && label[0] == '_' }

// below returns what stands before the zone in a name, without the dot between; false
// where the name is not in the zone.
func below(name, zone string) (string, bool) {
	if zone == "." {
		return strings.TrimSuffix(name, "."), true
	}
	rest, ok := strings.CutSuffix(name, zone)
	if !ok || rest == "" {
		return "", ok
	}
	rest, ok = strings.CutSuffix(rest, ".")
	escapes := len(rest) - len(strings.TrimRight(rest, `\`)) // an even number are backslashes themselves
	return rest, ok && rest != "" && escapes%2 == 0
}

// cutLast takes the last label off a name that has no dot at its end.
func cutLast(name string) (rest, label string) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

const (
	reverse4 = "in-addr.arpa." // RFC 1035, section 3.5
	reverse6 = "ip6.arpa."     // RFC 3596, section 2.5
)

// IsReverse reports whether a zone holds reverse names.
func IsReverse(zone string) bool {
	for _, root := range []string{reverse4, reverse6} {
		if _, ok := below(zone, root); ok {
			return true
		}
	}
	return false
}

// parseReverse takes a name in a reverse zone apart. Part of a reverse name is a
// non-terminal whether or not anything is below it: to say that it does not exist
// would say that nothing below it does (RFC 8020).
func parseReverse(name, zone string) (p parsed) {
	if rest, ok := below(name, zone); ok && (rest == "dns" || rest == "ns.dns") {
		p.kind = atDNS(strings.TrimSuffix(strings.TrimSuffix(rest, "dns"), "."))
	} else if rest, ok := below(name, reverse4); ok {
		p.kind, p.addr = parseReverse4(rest)
	} else if rest, ok := below(name, reverse6); ok {
		p.kind, p.addr = parseReverse6(rest)
	}
	if name == zone {
		p.kind = apex
	}
	return p
}

func parseReverse4(rest string) (kind, netip.Addr) {
	var octets [4]byte
	n := 0
	for ; rest != "" && n < len(octets); n++ {
		var label string
		rest, label = cutLast(rest)
		octet, err := strconv.ParseUint(label, 10, 8)
		if err != nil || len(label) > 1 && label[0] == '0' {
			return noName, netip.Addr{}
		}
		octets[n] = byte(octet)
	}
	switch {
	case rest != "":
		return noName, netip.Addr{}
	case n < len(octets):
		return nonTerminal, netip.Addr{}
	}
	return reverseName, netip.AddrFrom4(octets)
}

func parseReverse6(rest string) (kind, netip.Addr) {
	var bytes [16]byte
	n := 0
	for ; rest != "" && n < 2*len(bytes); n++ {
		var label string
		rest, label = cutLast(rest)
		nibble, err := strconv.ParseUint(label, 16, 4)
		if err != nil || len(label) != 1 {
			return noName, netip.Addr{}
		}
		bytes[n/2] |= byte(nibble) << (4 * (1 - n%2))
	}
	switch {
	case rest != "":
		return noName, netip.Addr{}
	case n < 2*len(bytes):
		return nonTerminal, netip.Addr{}
	}
	return reverseName, netip.AddrFrom16(bytes)
}

// reverseRange returns the first address whose reverse name is in the zone, and how many
// leading bits all of them share; false where no address's is.
func reverseRange(zone string) (netip.Prefix, bool) {
	root, width, size := reverse4, 8, 4
	if _, ok := below(zone, reverse6); ok {
		root, width, size = reverse6, 4, 16
	}
	rest, ok := below(zone, root)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := 0
	if rest != "" {
		bits = width * (strings.Count(rest, ".") + 1)
	}
	if bits > size*8 {
		return netip.Prefix{}, false
	}
	// Fill up to a whole reverse name with zeros: its address is the range's first.
	full := strings.Repeat("0.", (size*8-bits)/width) + zone
	if p := parseReverse(full, root); p.kind == reverseName {
		return netip.PrefixFrom(p.addr, bits), true
	}
	return netip.Prefix{}, false
}

// Describe yields what a name in the zone says, by the parts of the names that the
// package answers for: zone, namespace, service, and host or port and protocol.
func (z *Zone) Describe(name string) func(yield func(part, value string) bool) {
	p := z.parse(name)
	parts := [][2]string{{"zone", z.Origin}, {"namespace", p.service.Namespace}, {"service", p.service.Service}}
	switch p.kind {
	case hostName:
		parts = append(parts, [2]string{"host", p.label})
	case portName:
		port, protocol, _ := strings.Cut(p.label, "._")
		parts = append(parts, [2]string{"port", port[1:]}, [2]string{"protocol", protocol})
	}
	return func(yield func(part, value string) bool) {
		for _, part := range parts {
			if part[1] != "" && !yield(part[0], part[1]) {
				return
			}
		}
	}
}
