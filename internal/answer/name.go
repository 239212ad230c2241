package answer

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// kind says what a name in a zone denotes.
type kind uint8

const (
	noName        kind = iota // no such name can exist
	apex                      // Z
	nameServer                // ns.dns.Z
	version                   // dns-version.Z
	nonTerminal               // dns.Z, svc.Z, pod.Z, part of a reverse name: it has no records
	namespaceName             // NAMESPACE.svc.Z
	serviceName               // SERVICE.NAMESPACE.svc.Z
	hostName                  // HOST.SERVICE.NAMESPACE.svc.Z
	protocolName              // _PROTOCOL.SERVICE.NAMESPACE.svc.Z
	portName                  // _PORT._PROTOCOL.SERVICE.NAMESPACE.svc.Z
	reverseName               // the reverse name of a whole address
)

// parsed is a parsed name, whether or not it exists. The kind decides which fields are set.
type parsed struct {
	kind    kind
	service service.Name
	label   string     // HOST, or _PORT._PROTOCOL, or _PROTOCOL, as written
	addr    netip.Addr // also set if the apex is the reverse name of a whole address
}

// parse parses a name. The name is in lower case, fully qualified and in the zone; the zone is "."
// or is written like "cluster.local.".
//
// Labels are counted from the zone outwards:
//
//	1     dns, svc, pod, dns-version
//	2     ns.dns, NAMESPACE.svc
//	3     SERVICE.NAMESPACE.svc
//	4     HOST or _PROTOCOL .SERVICE.NAMESPACE.svc
//	5     _PORT._PROTOCOL.SERVICE.NAMESPACE.svc
//
// A dot inside a label arrives escaped, as "\.". Cutting there yields a label with a backslash, and
// none of our names has one.
func parse(name, zone string) (p parsed) {
	rest, ok := below(name, zone)
	switch {
	case !ok, !fitsMessage(name):
		return p
	case rest == "":
		p.kind = apex
		return p
	}
	rest, last := cutLast(rest)
	switch last {
	case "dns":
		p.kind = dnsKind(rest)
	case "dns-version":
		p.kind = leafKind(rest, version)
	case "pod": // the specification's other subtree, always empty here
		p.kind = leafKind(rest, nonTerminal)
	case "svc":
		p.parseService(rest)
	}
	return p
}

// fitsMessage reports whether a fully qualified name without escapes fits a message (RFC 1035,
// section 3.1). A name that does not fit does not exist.
func fitsMessage(name string) bool { return len(name) < longestName }

// LongestZone is the largest length of a zone's name as text, fully qualified: hostmaster and
// dns-version, the longest of the names that every zone has, must fit below it.
const LongestZone = longestName - 1 - len("dns-version.")

// dnsKind returns the kind of a name at or below dns.Z.
func dnsKind(rest string) kind {
	switch rest {
	case "":
		return nonTerminal
	case "ns":
		return nameServer
	}
	return noName
}

// leafKind returns k unless the name has further labels: nothing exists below a name of kind k.
func leafKind(rest string, k kind) kind {
	if rest != "" {
		return noName
	}
	return k
}

// parseService parses what precedes svc.Z.
func (p *parsed) parseService(rest string) {
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

// kindOf returns the kind of the labels below a service.
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

// below returns what precedes the zone in a name, without the dot between; ok is false if the name
// is not in the zone.
func below(name, zone string) (string, bool) {
	if zone == "." {
		return strings.TrimSuffix(name, "."), true
	}
	rest, ok := strings.CutSuffix(name, zone)
	if !ok || rest == "" {
		return "", ok
	}
	rest, ok = strings.CutSuffix(rest, ".")
	escapes := len(rest) - len(strings.TrimRight(rest, `\`)) // an even number of backslashes escapes no dot
	return rest, ok && rest != "" && escapes%2 == 0
}

// cutLast cuts off the last label of a name without a trailing dot.
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

// parseReverse parses a name in a reverse zone. Part of a reverse name is a non-terminal whether or
// not anything is below it: to deny it would deny every name below it (RFC 8020).
func parseReverse(name, zone string) (p parsed) {
	if rest, ok := below(name, zone); ok && (rest == "dns" || rest == "ns.dns") {
		p.kind = dnsKind(strings.TrimSuffix(strings.TrimSuffix(rest, "dns"), "."))
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

// reverseRange returns the addresses whose reverse names are in the zone; ok is false if there are
// none.
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
	// The range begins at the address whose missing labels are all 0.
	full := strings.Repeat("0.", (size*8-bits)/width) + zone
	if p := parseReverse(full, root); p.kind == reverseName {
		return netip.PrefixFrom(p.addr, bits), true
	}
	return netip.Prefix{}, false
}

// Describe yields the parts of a name in the zone, as the names of the package consist of them:
// zone, namespace, service, and host or port and protocol.
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
