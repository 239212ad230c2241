package table

// Then begins the draft of the revision after this one, which must be done and have changed
// something. It goes on with what this one has copied of the trees already, so that many small
// revisions copy little more than one large. In return they go together: only the last of them
// has a snapshot that is good, and all are published at once or none is.
func (d *Draft) Then() *Draft {
	next := *d.next
	next.Revision++
	return &Draft{base: d.next, next: &next}
}

// PublishAll replaces what is published by the snapshot of the last of the drafts, of which
// there is at least one, each begun on the one before and the first on what is published.
// Queries see them from here on; then watchers are told the events of one after the other.
func (t *Table) PublishAll(drafts []*Draft) {
	was := t.state.Load()
	newest, oldest := was.newest, was.oldest
	for _, d := range drafts {
		t.kept += len(d.events)
		newest.next = &Commit{Revision: d.next.Revision, Events: d.events, grown: make(chan struct{})}
		newest = newest.next // before it may become the oldest
		for oldest.next != nil && t.kept-len(oldest.next.Events) >= keptEvents {
			oldest = oldest.next
			t.kept -= len(oldest.Events)
		}
	}
	last := drafts[len(drafts)-1].next
	t.state.Store(&State{Snapshot: last, offset: was.offset, newest: newest, oldest: oldest})
	for c := was.newest; c != newest; c = c.next {
		close(c.grown)
	}
}
