package service

import (
	"net/netip"
	"slices"
)

// Definition is what a client defines of a service as a whole. A service with instances and without
// a definition is headless. A Definition in the table never changes.
type Definition struct {
	Type            Type
	ClusterIPs      []netip.Addr // of a ClusterIP service
	ExternalName    string       // of an ExternalName service; may end in a dot
	Ports           []Port
	PublishNotReady bool // answer every instance, whatever its status
	Metadata        Metadata
}

// Equal reports whether two definitions are equal.
func (d *Definition) Equal(e *Definition) bool {
	return d.Type == e.Type &&
		slices.Equal(d.ClusterIPs, e.ClusterIPs) &&
		d.ExternalName == e.ExternalName &&
		slices.Equal(d.Ports, e.Ports) &&
		d.PublishNotReady == e.PublishNotReady &&
		slices.Equal(d.Metadata, e.Metadata)
}

// Type is what a service's own name leads to.
type Type uint8

// The types of the Kubernetes DNS specification.
const (
	Headless     Type = iota // its instances
	ClusterIP                // its virtual addresses
	ExternalName             // another name, by CNAME
)

var typeNames = [...]string{"headless", "clusterIP", "externalName"}

// Types are the wire names of the types.
var Types = typeNames[:]

func (t Type) String() string { return typeNames[t] }

// ParseType returns the type of that name; ok is false if there is none.
func ParseType(name string) (t Type, ok bool) {
	i := slices.Index(Types, name)
	return Type(max(i, 0)), i >= 0
}
