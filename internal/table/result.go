package table

import "time"

// Result is what became of one change of a transaction that was made.
type Result struct {
	Created  bool   // the object was not there before
	Revision uint64 // of the object; a change that changes nothing leaves it as it was

	Instance *Instance // of Register and SetStatus: as it is now
	View     *View     // of Define, Register and SetStatus: its service

	// SafeToStopAt is set by Deregister: from then on no cache holds the instance.
	SafeToStopAt time.Time
}
