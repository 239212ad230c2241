// Package service defines the terms of the registry: services and instances, the changes that
// clients request, and the errors of a change.
//
// A namespace holds services; a service has instances; an instance has addresses, ports and a
// lease. All other packages of this module use these types. The package imports no other package of
// the module and does no I/O.
package service

import "strings"

// Name identifies a service. Both parts are RFC 1123 labels in lower case.
type Name struct {
	Namespace string
	Service   string
}

// String returns the service's own part of its DNS name: "web.default".
func (n Name) String() string { return n.Service + "." + n.Namespace }

// Compare orders names by namespace, then by service.
func (n Name) Compare(m Name) int {
	if c := strings.Compare(n.Namespace, m.Namespace); c != 0 {
		return c
	}
	return strings.Compare(n.Service, m.Service)
}

// Clone returns a copy with strings of its own. Both lie side by side, so that comparing them
// touches one place in memory.
func (n Name) Clone() Name {
	both := n.Namespace + n.Service
	return Name{Namespace: both[:len(n.Namespace)], Service: both[len(n.Namespace):]}
}

// ID identifies an instance.
type ID struct {
	Name
	ID string
}

// Clone returns a copy with a string of its own. The name is not copied: it belongs to a table.
func (i ID) Clone() ID { return ID{i.Name, strings.Clone(i.ID)} }

// String returns "id.web.default", for messages.
func (i ID) String() string { return i.ID + "." + i.Name.String() }

// IsLabel reports whether s is a label (RFC 1123, section 2.1): 1 to 63 letters, digits and
// hyphens, without a hyphen at either end.
func IsLabel(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// isLowerLabel reports whether s is a label in lower case.
func isLowerLabel(s string) bool { return IsLabel(s) && s == strings.ToLower(s) }

// isID reports whether s is a valid id of an instance. "." and ".." are not, since they have
// another meaning in a path.
func isID(s string) bool {
	if len(s) == 0 || len(s) > 253 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && !strings.ContainsRune("._:-", rune(s[i])) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
