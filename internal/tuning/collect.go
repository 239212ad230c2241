// Package tuning tells the Go runtime of the process what it cannot know of a registry: how
// much of its memory stays, and how much stack a query takes. Nothing depends on it but speed.
package tuning

import (
	"os"
	"runtime/debug"
)

// By how many percent the heap may grow between two collections, of what was alive at the
// first; Go's own is 100. A collection costs as much as there is alive, so how often one comes is
// what every query and every change pays for it.
const (
	// growthWhileOpen is while there is a table. It is paid for with what the packed form of
	// instances saves: a million take less memory than they would need to, with 100.
	growthWhileOpen = 200

	// growthWhileLoading is while a store is read. Nearly all that a load allocates stays: with
	// 100 a third of its time goes into finding that out, and what is left over then is less
	// than a tenth.
	growthWhileLoading = 400
)

// WhileLoading has garbage collected less often while a store is read, until what it returns
// is called. Many may be read at once.
func WhileLoading() (end func()) { return collectLess(growthWhileLoading) }

// collectLess has the heap grow by so many percent until what it returns is called. It leaves
// alone what is more already: the operator's will, or that of somebody else here, who ends it.
func collectLess(growth int) (end func()) {
	was := debug.SetGCPercent(growth)
	switch {
	case was < 0 || was > growth:
		debug.SetGCPercent(was)
	case was < growth:
		return func() { debug.SetGCPercent(was) }
	}
	return func() {}
}

// WhileOpen has garbage collected less often while there is a table, until what it returns is
// called. It does nothing where the operator has set GOGC.
func WhileOpen() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	return collectLess(growthWhileOpen)
}
