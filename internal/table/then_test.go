package table

import "testing"

// TestGroupsArePublishedAsTheirRevisions drafts groups of revisions, some of one change and
// begun by Then, some of several and begun by Edit, or dropped half way. The last snapshot of a
// group must be what its twin is, and stay so. Watchers must be told every revision, one by one.
func TestGroupsArePublishedAsTheirRevisions(t *testing.T) {
	for seed := range uint64(8) {
		p := newPlayer(seed)
		var table Table
		table.Open(Empty(1000*seed), noon)
		is, told, begun := newTwin(), newTwin(), table.Load().Last()
		var snapshots []*Snapshot
		var wants []string
		for range 60 {
			published := table.Load().Snapshot
			before := describe(published)
			s, begin := published, published.Edit
			var group []*Draft
			for range 1 + p.IntN(6) {
				if p.IntN(4) == 0 { // a request that fails half way
					failed, twin := s.Edit(), is.clone()
					for range 1 + p.IntN(5) {
						p.change(t, failed, twin)
					}
				}
				many := 1
				if p.IntN(3) == 0 {
					begin, many = s.Edit, 1+p.IntN(5)
				}
				d := begin()
				for range many {
					p.change(t, d, is)
				}
				if d.Changed() {
					group, begin = append(group, d), d.Then
					s, _ = d.Done()
				}
			}
			if got := describe(published); got != before {
				t.Fatalf("seed %d: drafts have changed what is published:\ngot\n%s\nwant\n%s", seed, got, before)
			}
			if len(group) == 0 {
				continue
			}
			table.Publish(noon, group...)
			want := is.String()
			if got := describe(table.Load().Snapshot); got != want {
				t.Fatalf("seed %d, revision %d:\ngot\n%s\nwant\n%s", seed, table.Load().Revision, got, want)
			}
			for _, d := range group {
				c := begun.Next()
				if c.Revision != begun.Revision+1 || c.Revision != d.Revision() || len(c.Events) == 0 {
					t.Fatalf("seed %d: after revision %d got %d with %d events, want %d", seed, begun.Revision, c.Revision, len(c.Events), d.Revision())
				}
				<-begun.Grown()
				told.replay(c.Revision, c.Events)
				begun = c
			}
			if got := told.String(); got != want {
				t.Fatalf("seed %d, revision %d, by its events:\ngot\n%s\nwant\n%s", seed, begun.Revision, got, want)
			}
			snapshots, wants = append(snapshots, table.Load().Snapshot), append(wants, want)
		}
		for n, old := range snapshots {
			if got := describe(old); got != wants[n] {
				t.Fatalf("seed %d: the snapshot of revision %d has changed:\ngot\n%s\nwant\n%s", seed, old.Revision, got, wants[n])
			}
		}
	}
}
