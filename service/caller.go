package service

import "net/netip"

// Caller is who wants changes made, as far as the table must know it: whether that one may
// write there at all is settled at the door, before the table is asked.
type Caller struct {
	Name  string     // of its credential; empty where none is asked for
	Admin bool       // may change what belongs to others
	From  netip.Addr // callers without a name are told apart by where they call from
}

// Owns reports whether the caller may change an instance of that owner: the owner may, and
// everybody one that has none.
func (c Caller) Owns(owner string) bool {
	return c.Admin || owner == "" || owner == c.Name
}
