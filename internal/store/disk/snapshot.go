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
		frozen, tx, err := s.freeze()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		_, err = tx.WriteTo(&snapshot{w: w, store: s, frozen: frozen})
		return err
	})
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// freeze begins a transaction that reads, with the journal as it is in that moment.
func (s *Store) freeze() (frozen, *bbolt.Tx, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	f := frozen{file: s.file, at: s.journal.at, journal: make([]byte, s.journal.size())}
	if _, err := s.file.ReadAt(f.journal, f.at); err != nil {
		return frozen{}, nil, err
	}
	tx, err := s.db.Begin(false)
	return f, tx, err
}

// frozen is the file with its journal as it was, whatever is written to it since. The pages
// of a transaction do not change while it lasts.
type frozen struct {
	file    io.ReaderAt
	at      int64
	journal []byte
}

func (f *frozen) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.file.ReadAt(b, at)
	f.restore(b[:n], at)
	return n, err
}

// restore puts as much of the journal in its place as is in a part of the file.
func (f *frozen) restore(b []byte, at int64) {
	from, to := max(at, f.at), min(at+int64(len(b)), f.at+int64(len(f.journal)))
	if from < to {
		copy(b[from-at:], f.journal[from-f.at:to-f.at])
	}
}

// snapshot is what bbolt writes a copy to. Its first two writes are the meta pages: in
// the first the number of the transaction, in the second that before. They tell which
// pages will follow, so that is the moment to check these. And each number goes where
// the store expects it, the even one to the first page.
type snapshot struct {
	w      io.Writer
	store  *Store
	frozen frozen
	metas  int    // written so far
	at     int64  // in the file
	buf    []byte // b is only lent
}

func (s *snapshot) Write(b []byte) (int, error) {
	if s.metas == 2 {
		s.buf = append(s.buf[:0], b...)
		s.frozen.restore(s.buf, s.at)
		n, err := s.w.Write(s.buf)
		s.at += int64(n)
		return n, err
	}
	m, err := parseMeta(b)
	if err != nil {
		return 0, err
	}
	if s.metas == 0 {
		i, err := imageOf(&s.frozen, m)
		if err == nil {
			err = i.read(ignore)
		}
		if err != nil {
			return 0, s.store.explain(err)
		}
	}
	m.txid = m.txid&^1 | uint64(s.metas)
	s.metas++
	s.at += int64(len(b))
	return s.w.Write(m.page())
}

func ignore(_, _ []byte) error { return nil }
