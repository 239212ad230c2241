package service

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Instance is what a client registers of one running copy of a service. An Instance in the table
// never changes.
type Instance struct {
	Addresses []netip.Addr
	Ports     []Port

	// Hostname is the instance's label below its service. If it is empty, each address
	// is a host of its own, see Hosts.
	Hostname string

	// Weight is the weight of the instance's SRV records (RFC 2782). If it is nil, the
	// registry divides 100 by the number of records in the answer.
	Weight   *uint16
	Priority uint16

	// Status is Unset if the client gave none.
	Status Status

	Zone     string // topology; not interpreted
	Metadata Metadata

	// Lease is how long the instance lives without a heartbeat, in whole seconds. An
	// instance with a lease of 0 is static: it lives until it is deregistered. If the
	// client gave none, the registry's default applies.
	Lease Lease

	// Owner is the NAME of the credential that registered the instance, or empty if the
	// endpoint requires none. The registry sets it, not the client. It has at most
	// MaxOwnerBytes.
	Owner string
}

// Equal reports whether two instances are equal.
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

// Hosts yields the labels below the service that lead to the instance, each with its addresses: the
// hostname with all addresses or, without a hostname, each address as a label of its own, with
// dashes.
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

// DashedAddress returns an address as a label: 192-0-2-7, 2001-db8--7. A label may not begin or end
// with a dash, so ::7 is 0--7 and 2001:db8:7:: is 2001-db8-7--0, as CoreDNS's kubernetes plugin
// writes the latter. No address is written with a 0 beside its "::", so labels are unique.
func DashedAddress(addr netip.Addr) string {
	var room [longestDashed]byte
	return string(AppendDashed(room[:0], addr))
}

const longestDashed = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") + 1

// AppendDashed appends DashedAddress(addr) to b.
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

// Protocol is the transport protocol of a port, in lower case. It is never empty in the table.
type Protocol string

// The protocols that a port may have.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Status says whether an instance is answered.
type Status uint8

// The statuses. Only an instance that is Up is answered. Unset stands for the present status of a
// known instance, and for Up of a new one.
const (
	Unset Status = iota
	Up
	Draining
	Down
)

var statusNames = [...]string{"", "up", "draining", "down"}

// Statuses are the wire names of the statuses.
var Statuses = statusNames[1:]

func (s Status) String() string { return statusNames[s] }

// ParseStatus returns the status of that name; ok is false if there is none.
func ParseStatus(name string) (s Status, ok bool) {
	i := slices.Index(Statuses, name)
	return Status(i + 1), i >= 0
}

// Lease is the length of a lease as the client gave it. The zero value means that the client gave
// none; the table holds no such value.
type Lease struct {
	Given   bool
	Seconds int32
}

// LeaseOf returns a lease of that many seconds.
func LeaseOf(seconds int32) Lease { return Lease{Given: true, Seconds: seconds} }

// Static reports whether the instance never expires.
func (l Lease) Static() bool { return l.Given && l.Seconds == 0 }

// Duration returns the length of the lease, or 0 for a static one.
func (l Lease) Duration() time.Duration { return time.Duration(l.Seconds) * time.Second }

// Metadata is a list of pairs in order of their keys, which are unique.
type Metadata []Pair

// Pair is one entry of the metadata.
type Pair struct{ Key, Value string }

// Sort sorts the pairs by key, as the table keeps them.
func (m Metadata) Sort() {
	slices.SortFunc(m, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
}
