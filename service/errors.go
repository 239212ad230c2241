package service

import (
	"errors"
	"strings"
)

// What can be wrong with a change. Each edge of the house maps these in one switch.
var (
	ErrNotFound     = errors.New("no such object")
	ErrPrecondition = errors.New("the object is not as the request requires")
	ErrNotLoaded    = errors.New("the table is not loaded yet")
	ErrNotKept      = errors.New("the store cannot keep the change now")
	ErrNoSnapshot   = errors.New("the table is in memory only")
	ErrNotOwner     = errors.New("it belongs to another credential")
)

// Invalid is the error of a transaction with values that are not allowed: every
// fault of it, not the first.
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

// Unwrap lets errors.Is find what a fault is.
func (e *Invalid) Unwrap() []error {
	var errs []error
	for _, f := range e.Faults {
		if f.Err != nil {
			errs = append(errs, f.Err)
		}
	}
	return errs
}

// Fault is one thing that is wrong, and what would be right.
type Fault struct {
	Change  int    // which change of the transaction, from 0
	Field   string // as on the wire: "ports[0].port"; empty for the change as a whole
	Message string
	Err     error // the sentinel where the fault is one, else nil
}
