package httpapi

import "github.com/coredns-registry/registry/internal/table"

// event writes one change.
func (w *watcher) event(e *table.Event, revision uint64, more bool) {
	b := w.beginEvent(revision, more)
	b = unsigned(member(b, "revision"), revision)
	kind := "put"
	if e.Gone {
		kind = "delete"
	}
	b = text(member(b, "type"), kind)
	b = text(member(b, "kind"), e.Kind.String())
	b = nameMembers(b, e.ID.Name)
	if e.Kind == table.KindInstance {
		b = text(member(b, "id"), e.ID.ID)
	}
	if e.Instance != nil {
		// The names are those that lead to it now, not those of that revision.
		b = w.instance(member(b, "instance"), w.registry.State().Service(e.ID.Name), e.Instance)
	}
	if e.Definition != nil {
		b = append(definitionMembers(append(member(b, "definition"), '{'), e.Definition), '}')
	}
	if more {
		b = boolean(member(b, "more"), true)
	}
	w.endEvent(b)
}

// synced writes that all there was up to a revision is told.
func (w *watcher) synced(revision uint64) {
	b := w.beginEvent(revision, false)
	b = unsigned(member(b, "revision"), revision)
	b = text(member(b, "type"), "synced")
	w.endEvent(b)
}
