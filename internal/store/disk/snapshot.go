package disk

import (
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// Snapshot writes the file as it is between two commits. Every page of it is checked
// before the first is written: a backup that cannot be opened is found out too late. The
// pages that commits free meanwhile are not used again before it ends, so the file grows
// while w is slow.
func (s *Store) Snapshot(w io.Writer) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return fmt.Errorf("snapshot: %s is not open", s.path)
	}
	var panicked bool
	err := guard(&panicked, func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(&snapshot{w: w, store: s})
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// snapshot is what bbolt writes a copy to. Its first two writes are the meta pages: in
// the first the number of the transaction, in the second that before. They tell which
// pages will follow, so that is the moment to check these. And each number goes where
// the store expects it, the even one to the first page.
type snapshot struct {
	w     io.Writer
	store *Store
	metas int // written so far
}

func (s *snapshot) Write(b []byte) (int, error) {
	if s.metas == 2 {
		return s.w.Write(b)
	}
	m, err := parseMeta(b)
	if err != nil {
		return 0, err
	}
	if s.metas == 0 {
		i, err := imageOf(s.store.file, m)
		if err == nil {
			err = i.read(ignore)
		}
		if err != nil {
			return 0, s.store.explain(err)
		}
	}
	m.txid = m.txid&^1 | uint64(s.metas)
	s.metas++
	return s.w.Write(m.page())
}

func ignore(_, _ []byte) error { return nil }
