package service

import "net/netip"

// Caller is who requests changes, as far as the table must know. Whether the caller may write to
// the service at all is decided before the table is asked.
type Caller struct {
	Name  string     // of the credential; empty if none is required
	Admin bool       // may change instances of other owners
	From  netip.Addr // distinguishes callers without a name
}

// Owns reports whether the caller may change an instance of that owner. Anyone may change an
// instance without an owner.
func (c Caller) Owns(owner string) bool {
	return c.Admin || owner == "" || owner == c.Name
}
