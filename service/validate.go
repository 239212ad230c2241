package service

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Limits of one object, which are part of the wire format.
const (
	MaxAddresses     = 16
	MaxPorts         = 64
	MaxPortNameBytes = 62 // with an underscore it fills a label
	MaxZoneBytes     = 63
	MaxMetadata      = 64
	MaxMetadataKey   = 63
	MaxMetadataPair  = 254 // with "=" it fills a character-string of TXT (RFC 1035, section 3.3)
)

// MaxOwnerBytes is the largest size of an owner, that of a SPIFFE ID, the longest name that
// certificates have in practice. A store may refuse a longer one.
const MaxOwnerBytes = 2048

// Check returns every fault of the change that does not depend on the table. Their Change is 0.
func (c *Change) Check() []Fault {
	var f faults
	f.label("namespace", c.ID.Namespace)
	f.label("service", c.ID.Service)
	if c.Op != Define && c.Op != Undefine && !isID(c.ID.ID) {
		f.add("id", "%q is not a valid instance id: use 1 to 253 of A-Z a-z 0-9 . _ : - but neither . nor ..", c.ID.ID)
	}
	switch c.Op {
	case Register:
		c.Instance.check(&f)
	case SetStatus:
		if c.Status == Unset {
			f.add("status", "is missing: use one of %s", strings.Join(Statuses, ", "))
		}
	case Define:
		c.Definition.check(&f)
	}
	return f
}

// faults collects the faults of one change.
type faults []Fault

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (f *faults) label(field, s string) {
	if !isLowerLabel(s) {
		f.add(field, "%q is not a valid name: use an RFC 1123 label in lower case, 1 to 63 of a-z 0-9 - without a hyphen at either end", s)
	}
}

func (i *Instance) check(f *faults) {
	if n := len(i.Addresses); n == 0 || n > MaxAddresses {
		f.add("addresses", "has %d addresses: an instance has 1 to %d", n, MaxAddresses)
	}
	checkAddresses(f, "addresses", i.Addresses)
	checkPorts(f, i.Ports)
	if i.Hostname != "" && !IsLabel(i.Hostname) {
		f.add("hostname", "%q is not a DNS label: use 1 to 63 of a-z 0-9 - without a hyphen at either end", i.Hostname)
	}
	if len(i.Zone) > MaxZoneBytes {
		f.add("zone", "has %d bytes: at most %d are allowed", len(i.Zone), MaxZoneBytes)
	}
	checkMetadata(f, i.Metadata)
}

func (d *Definition) check(f *faults) {
	if n := len(d.ClusterIPs); d.Type == ClusterIP && (n == 0 || n > MaxAddresses) {
		f.add("clusterIPs", "has %d addresses: a service of type clusterIP has 1 to %d", n, MaxAddresses)
	}
	if d.Type != ClusterIP && len(d.ClusterIPs) > 0 {
		f.add("clusterIPs", "is for a service of type clusterIP: this one is %s", d.Type)
	}
	checkAddresses(f, "clusterIPs", d.ClusterIPs)
	_, notAddress := netip.ParseAddr(strings.TrimSuffix(d.ExternalName, "."))
	switch {
	case d.Type == ExternalName && !isDomainName(d.ExternalName):
		f.add("externalName", "%q is not a domain name: use labels of 1 to 63 of a-z 0-9 - _ separated by dots, at most 253 bytes", d.ExternalName)
	case d.Type == ExternalName && notAddress == nil:
		f.add("externalName", "%s is an address: name a host, or define the service as clusterIP", d.ExternalName)
	case d.Type != ExternalName && d.ExternalName != "":
		f.add("externalName", "is for a service of type externalName: this one is %s", d.Type)
	}
	checkPorts(f, d.Ports)
	checkMetadata(f, d.Metadata)
}

func checkAddresses(f *faults, field string, addrs []netip.Addr) {
	seen := make(map[netip.Addr]int, len(addrs))
	for i, a := range addrs {
		at := field + "[" + strconv.Itoa(i) + "]"
		switch {
		case !a.IsValid():
			f.add(at, "is not an IP address")
		case a.Zone() != "":
			f.add(at, "%s has a zone id: DNS has none", a)
		case a.Is4In6():
			f.add(at, "%s is an IPv4-mapped address: write %s", a, a.Unmap())
		case a.IsUnspecified():
			f.add(at, "%s is the unspecified address: it cannot be reached", a)
		case a.IsMulticast():
			f.add(at, "%s is a multicast address: use a unicast address", a)
		}
		if j, ok := seen[a]; ok && a.IsValid() {
			f.add(at, "%s is repeated: it is %s[%d] already", a, field, j)
		}
		seen[a] = i
	}
}

func checkPorts(f *faults, ports []Port) {
	if len(ports) > MaxPorts {
		f.add("ports", "has %d ports: at most %d are allowed", len(ports), MaxPorts)
	}
	seen := make(map[Port]int, len(ports))
	for i, p := range ports {
		at := "ports[" + strconv.Itoa(i) + "]"
		if p.Number == 0 {
			f.add(at+".port", "is missing or out of range: use 1 to 65535")
		}
		switch p.Protocol {
		case TCP, UDP, SCTP:
		default:
			f.add(at+".protocol", "%q is not a protocol: use tcp, udp or sctp", p.Protocol)
		}
		if p.Name == "" {
			continue
		}
		if len(p.Name) > MaxPortNameBytes || !IsLabel(p.Name) {
			f.add(at+".name", "%q is not a port name: use a DNS label of at most %d bytes", p.Name, MaxPortNameBytes)
		}
		key := Port{Name: strings.ToLower(p.Name), Protocol: p.Protocol}
		if j, ok := seen[key]; ok {
			f.add(at+".name", "%q is repeated: ports[%d] has the same name and protocol", p.Name, j)
		}
		seen[key] = i
	}
}

func checkMetadata(f *faults, m Metadata) {
	if len(m) > MaxMetadata {
		f.add("metadata", "has %d pairs: at most %d are allowed", len(m), MaxMetadata)
		return
	}
	for _, p := range m {
		at := "metadata." + p.Key
		if len(p.Key) == 0 || len(p.Key) > MaxMetadataKey || !isMetadataKey(p.Key) {
			f.add(at, "%q is not a valid key: use 1 to %d printable ASCII characters without =", p.Key, MaxMetadataKey)
		}
		if n := len(p.Key) + len(p.Value); n > MaxMetadataPair {
			f.add(at, "key and value have %d bytes: at most %d are allowed together", n, MaxMetadataPair)
		}
	}
}

// isMetadataKey reports whether every byte of s is allowed in a key (RFC 6763, section 6.4).
func isMetadataKey(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] == '=' {
			return false
		}
	}
	return true
}

// isDomainName reports whether s is a valid target of a CNAME. Underscores are allowed, since
// services in other registries have them.
func isDomainName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !IsLabel(strings.ReplaceAll(label, "_", "x")) {
			return false
		}
	}
	return true
}
