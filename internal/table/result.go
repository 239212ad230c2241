package table

import "time"

// Result is what became of one change of a transaction that was made.
type Result struct {
	Created  bool   // the object was not there before
	Changed  bool   // it is not what it was before, or not there any more
	Revision uint64 // of the object; a change that changes nothing leaves it as it was

	Instance *Instance // of Register and SetStatus: as it is now
	View     *View     // of Define, Register and SetStatus: its service

	Gone []*Instance // by Undefine: those of the service

	// SafeToStopAt is set by Deregister: from then on no cache holds the instance.
	SafeToStopAt time.Time
}
