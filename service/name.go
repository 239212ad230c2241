// Package service holds the words of the registry: what an instance is, what a
// service is, what may be asked of the table and what can be wrong with it.
//
// A namespace holds services; a service has instances; an instance has addresses,
// ports and a lease. Everything else in this module speaks in these types.
// The package imports nothing of ours and does no I/O.
package service

import "strings"

// Name says which service: one name in one namespace.
// Both parts are RFC 1123 labels in lower case.
type Name struct {
	Namespace string
	Service   string
}

// String returns the part of the service's DNS name that is its own: "web.default".
func (n Name) String() string { return n.Service + "." + n.Namespace }

// Compare orders names by namespace, then by service, as lists show them.
func (n Name) Compare(m Name) int {
	if c := strings.Compare(n.Namespace, m.Namespace); c != 0 {
		return c
	}
	return strings.Compare(n.Service, m.Service)
}

// Clone returns the name with strings of its own. They lie side by side, so that to
// compare them touches one place in memory; what they were cut from is not kept.
func (n Name) Clone() Name {
	both := n.Namespace + n.Service
	return Name{Namespace: both[:len(n.Namespace)], Service: both[len(n.Namespace):]}
}

// ID says which instance: one id in one service.
type ID struct {
	Name
	ID string
}

// Clone returns the id with a string of its own; its name is a table's, and stays.
func (i ID) Clone() ID { return ID{i.Name, strings.Clone(i.ID)} }

// String returns "id.web.default"; for messages, not for DNS.
func (i ID) String() string { return i.ID + "." + i.Name.String() }

// IsLabel reports whether s is a label as RFC 1123, section 2.1, has it: 1 to 63
// letters, digits and hyphens, with no hyphen at either end.
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

// isLowerLabel reports whether s is a label without capital letters.
func isLowerLabel(s string) bool { return IsLabel(s) && s == strings.ToLower(s) }

// isID reports whether s may name an instance. "." and ".." may not, since a path
// with them would mean something else.
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
