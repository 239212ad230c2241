package service

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Instance is what a client says of one running copy of a service.
// An Instance handed to the table is never changed afterwards.
type Instance struct {
	Addresses []netip.Addr
	Ports     []Port

	// Hostname is the instance's label below its service. Empty means none:
	// then each address is a host of its own. See [Host].
	Hostname string

	// Weight is the weight of the instance's SRV records (RFC 2782); nil leaves
	// it to the registry, which shares 100 among the records of an answer.
	Weight   *uint16
	Priority uint16

	// Status is the zero value when the client left it open.
	Status Status

	Zone     string // topology, told but not interpreted
	Metadata Metadata

	// Lease is how long the instance lives without a heartbeat, in whole seconds;
	// 0 is static, it lives until it is deregistered. Unset is the registry's default.
	Lease Lease

	// Owner is the NAME of the credential that registered the instance; empty where the
	// endpoint asked for none. It is not the client's to say: the registry sets it, to at
	// most MaxOwnerBytes.
	Owner string
}

// Equal reports whether two instances say the same.
func (i *Instance) Equal(j *Instance) bool {
	return slices.Equal(i.Addresses, j.Addresses) &&
		slices.Equal(i.Ports, j.Ports) &&
		i.Hostname == j.Hostname &&
		(i.Weight == nil) == (j.Weight == nil) && (i.Weight == nil || *i.Weight == *j.Weight) &&
		i.Priority == j.Priority &&
		i.Zone == j.Zone &&
		slices.Equal(i.Metadata, j.Metadata) &&
		i.Lease == j.Lease &&
		i.Status == j.Status &&
		i.Owner == j.Owner
}

// Hosts yields the labels below its service that lead to the instance, each with the
// addresses it leads to: its hostname with all of them, or without a hostname each
// address, written with dashes, with itself.
func (i *Instance) Hosts(yield func(label string, addrs []netip.Addr) bool) {
	if i.Hostname != "" {
		yield(strings.ToLower(i.Hostname), i.Addresses)
		return
	}
	for n, addr := range i.Addresses {
		if !yield(DashedAddress(addr), i.Addresses[n:n+1]) {
			return
		}
	}
}

// DashedAddress writes an address as a label: 192-0-2-7, 2001-db8--7. A label may not
// begin or end with a dash: ::7 is 0--7 and 2001:db8:7:: is 2001-db8-7--0, as CoreDNS's
// kubernetes plugin has the latter. No address is written with a 0 beside its "::", so each
// label is of one address.
func DashedAddress(addr netip.Addr) string {
	var room [longestDashed]byte
	return string(AppendDashed(room[:0], addr))
}

const longestDashed = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") + 1

// AppendDashed appends what DashedAddress writes.
func AppendDashed(b []byte, addr netip.Addr) []byte {
	from := len(b)
	b = addr.AppendTo(b)
	if b[from] == ':' {
		b = slices.Insert(b, from, '0')
	}
	for i, c := range b[from:] {
		if c == '.' || c == ':' {
			b[from+i] = '-'
		}
	}
	if b[len(b)-1] == '-' {
		b = append(b, '0')
	}
	return b
}

// Port is one port that an instance listens on, or that a service is defined with.
type Port struct {
	Name     string // a DNS label, or empty
	Protocol Protocol
	Number   uint16 // 1 to 65535
}

// Protocol is the transport of a port, in lower case; it is never empty in the table.
type Protocol string

// The protocols that a port may have.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Status says whether an instance is to be answered.
type Status uint8

// Only an instance that is Up is answered; Unset is no status at all, it asks for
// what the instance had, or Up where it is new.
const (
	Unset Status = iota
	Up
	Draining
	Down
)

var statusNames = [...]string{"", "up", "draining", "down"}

// Statuses are the names a status may have on the wire, in the order they are told.
var Statuses = statusNames[1:]

func (s Status) String() string { return statusNames[s] }

// ParseStatus returns the status of that name; false where there is none.
func ParseStatus(name string) (Status, bool) {
	i := slices.Index(Statuses, name)
	return Status(i + 1), i >= 0
}

// Lease is the length of an instance's lease as the client gave it. The zero value is
// "not given"; the table holds none such.
type Lease struct {
	Given   bool
	Seconds int32
}

// LeaseOf returns the lease of that many seconds.
func LeaseOf(seconds int32) Lease { return Lease{Given: true, Seconds: seconds} }

// Static reports whether the instance never expires.
func (l Lease) Static() bool { return l.Given && l.Seconds == 0 }

// Duration returns the length of the lease; 0 for a static one.
func (l Lease) Duration() time.Duration { return time.Duration(l.Seconds) * time.Second }

// Metadata is a list of pairs in the order of their keys, each key once.
type Metadata []Pair

// Pair is one entry of the metadata.
type Pair struct{ Key, Value string }

// Sort puts the pairs into the order that the table keeps them in.
func (m Metadata) Sort() {
	slices.SortFunc(m, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
}
