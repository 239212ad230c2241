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
