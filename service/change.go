package service

// Change is one wish: what a client, an adapter or the clock wants done to the table.
// A list of them is one transaction: all take effect at once, or none does.
type Change struct {
	Op Op
	ID ID // Define and Undefine leave its ID empty

	Instance   *Instance   // Register
	Status     Status      // SetStatus
	Definition *Definition // Define

	If Precondition
}

// Op says what a change does.
type Op uint8

// The operations, with the fault each can meet besides an unmet precondition.
const (
	Register   Op = iota // puts an instance there, new or known, and renews its lease
	Deregister           // takes an instance away: ErrNotFound
	Renew                // renews its lease and changes nothing else: ErrNotFound
	SetStatus            // ErrNotFound
	Define               // defines a service
	Undefine             // takes away a definition and every instance: ErrNotFound
)

var opNames = [...]string{"register", "deregister", "heartbeat", "status", "define", "undefine"}

func (o Op) String() string { return opNames[o] }

// BatchOps are the operations that a batch may hold, by their names on the wire.
var BatchOps = opNames[Register : SetStatus+1]

// Precondition is what must be true of the object for a change to be made
// (RFC 9110, section 13). The zero value asks for nothing.
type Precondition struct {
	Exists    bool     // If-Match: *
	Absent    bool     // If-None-Match: *
	Revisions []uint64 // If-Match: one of these, unless it is nil
}

// Met reports whether an object of that revision meets the precondition; exists is false
// where there is no such object.
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
