package httpapi

import (
	"slices"

	"github.com/coredns-registry/registry/service"
)

// lists are those that were read last. A list is often said again by the next instance: of the
// same service, of the same batch. The two share one then, which nobody may change.
//
// The zero value is ready. It belongs to one goroutine.
type lists struct {
	ports    last[service.Port]
	metadata last[service.Pair]
}

// longestList is how long a list may be that is kept: what is longer is seldom repeated.
const longestList = 16

// last is the list that was read last.
type last[T comparable] struct {
	list []T
	room []T // where the next one is read into
}

// begin returns an empty list to append what is read to.
func (l *last[T]) begin() []T { return l.room[:0] }

// of returns the list that has been read, as it is to be kept: nil for an empty one.
func (l *last[T]) of(read []T) []T {
	if len(read) == 0 {
		return nil
	}
	if len(read) > longestList {
		return slices.Clone(read)
	}
	l.room = read
	if !slices.Equal(l.list, read) {
		l.list = slices.Clone(read)
	}
	return l.list
}
