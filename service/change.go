package service

import "net/netip"

// Change is what a client, an adapter or the clock wants done to the table. A list of changes is
// one transaction: all take effect at once, or none does.
type Change struct {
	Op Op
	ID ID // with an empty ID for Define and Undefine

	Instance   *Instance   // Register
	Status     Status      // SetStatus
	Definition *Definition // Define

	If Precondition
}

// Op is the operation of a change.
type Op uint8

// The operations, each with the error it may return besides ErrPrecondition.
const (
	Register   Op = iota // registers or replaces an instance and renews its lease
	Deregister           // removes an instance: ErrNotFound
	Renew                // renews the lease of an instance: ErrNotFound
	SetStatus            // sets the status of an instance: ErrNotFound
	Define               // defines a service
	Undefine             // removes a definition and every instance: ErrNotFound
)

var opNames = [...]string{"register", "deregister", "heartbeat", "status", "define", "undefine"}

func (o Op) String() string { return opNames[o] }

// BatchOps are the wire names of the operations that a batch may hold.
var BatchOps = opNames[Register : SetStatus+1]

// Precondition is what a change requires of the object (RFC 9110, section 13). The zero value
// requires nothing.
type Precondition struct {
	Exists    bool     // If-Match: *
	Absent    bool     // If-None-Match: *
	Revisions []uint64 // If-Match: one of these; nil means any
}

// Met reports whether an object of that revision meets the precondition. exists is false if there
// is no such object.
func (p Precondition) Met(revision uint64, exists bool) bool {
	if p.Absent && exists || p.Exists && !exists {
		return false
	}
	if p.Revisions == nil {
		return true
	}
	for _, r := range p.Revisions {
		if exists && r == revision {
			return true
		}
	}
	return false
}

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
