package service

import (
	"errors"
	"strings"
)

// The errors of a change. Each front door maps them in one switch.
var (
	ErrNotFound     = errors.New("no such object")
	ErrPrecondition = errors.New("the object does not meet the precondition")
	ErrNotLoaded    = errors.New("the table is not loaded yet")
	ErrNotKept      = errors.New("store unavailable, change not committed")
	ErrNoSnapshot   = errors.New("the table is in memory only")
	ErrNotOwner     = errors.New("it belongs to another credential")
)

// Invalid is the error of a transaction with invalid values. It holds every fault, not only the
// first.
type Invalid struct{ Faults []Fault }

func (e *Invalid) Error() string {
	var b strings.Builder
	b.WriteString("not allowed: ")
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Field != "" {
			b.WriteString(f.Field + ": ")
		}
		b.WriteString(f.Message)
	}
	return b.String()
}

// Unwrap returns the errors of the faults, for errors.Is.
func (e *Invalid) Unwrap() []error {
	var errs []error
	for _, f := range e.Faults {
		if f.Err != nil {
			errs = append(errs, f.Err)
		}
	}
	return errs
}

// Fault is one invalid value, with a message that says what is valid.
type Fault struct {
	Change  int    // index of the change in the transaction
	Field   string // as on the wire: "ports[0].port"; empty for the change as a whole
	Message string
	Err     error // one of the errors above, or nil
}
