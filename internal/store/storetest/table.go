package storetest

import (
	"fmt"
	"maps"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// table is what a store must hold, as plain as can be.
type table map[service.ID]store.Object

func (t table) apply(b store.Batch) {
	for _, id := range b.Delete {
		delete(t, id)
	}
	for _, o := range b.Put {
		t[o.ID] = o
	}
}

func (t table) clone() table { return maps.Clone(t) }

// diff says in what the table is not as it should be; nothing where it is.
func (t table) diff(want table) string {
	for id, w := range want {
		g, ok := t[id]
		if !ok {
			return fmt.Sprintf("%q is missing, of %d objects there are %d", id, len(want), len(t))
		}
		if diff := Diff(g, w); diff != "" {
			return fmt.Sprintf("%q: %s", id, diff)
		}
	}
	for id := range t {
		if _, ok := want[id]; !ok {
			return fmt.Sprintf("%q should not be there", id)
		}
	}
	return ""
}

// Diff says in what an object is not as it should be; nothing where it is.
func Diff(got, want store.Object) string {
	switch {
	case got.ID != want.ID:
		return fmt.Sprintf("id %q, want %q", got.ID, want.ID)
	case got.Revision != want.Revision:
		return fmt.Sprintf("revision %d, want %d", got.Revision, want.Revision)
	case !got.RegisteredAt.Equal(want.RegisteredAt) || got.RegisteredAt.Location() != time.UTC:
		return fmt.Sprintf("registered at %s, want %s", got.RegisteredAt, want.RegisteredAt)
	case (got.Instance == nil) != (want.Instance == nil) || (got.Definition == nil) != (want.Definition == nil):
		return fmt.Sprintf("got %v %v, want %v %v", got.Instance, got.Definition, want.Instance, want.Definition)
	case want.Instance != nil && !got.Instance.Equal(want.Instance):
		return fmt.Sprintf("got %+v, want %+v", *got.Instance, *want.Instance)
	case want.Definition != nil && !got.Definition.Equal(want.Definition):
		return fmt.Sprintf("got %+v, want %+v", *got.Definition, *want.Definition)
	}
	return ""
}
