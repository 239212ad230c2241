// Package disk is the store that keeps the table in one bbolt file. What it acknowledges
// survives kill -9 and the loss of power; what it loads is exactly what was acknowledged,
// or it refuses: a file that is cut short, has a bit flipped or was written by a newer
// version is named, and nothing of it is used. A disk that fails costs the commits made
// meanwhile and no others. FORMAT.md draws the file.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/coredns-registry/registry/internal/store"
)

// FileName is the name of the file in the store's directory.
const FileName = "registry.db"

// patience is how long Open waits for another process to let go of the file: one that is
// being stopped needs a moment, one that runs will not let go at all.
const patience = time.Second

// Store is a [store.Store] in one file. Open makes one.
type Store struct {
	path string

	// What the file holds by the last commit that succeeded. These are of the goroutine
	// that commits.
	revision uint64
	journal  journal
	kept     state  // of the tree, by the last transaction
	txid     uint64 // bbolt's number for that
	used     int64  // bytes of the file
	pending  []record
	failed   error // why the file is not to be trusted since; nil while it is
	wedged   bool  // bbolt panicked: it may hold its locks for ever, so db is never closed

	// While the tree takes over a lap, kept and txid are as they were, and these what it
	// takes over. Where that failed, they stand before those that are pending.
	fold    chan done // nil while it does not
	folding []record

	writing sync.Mutex // held while the journal is written or moved: a snapshot begins between

	pageSize uint64 // of the file, for good

	// mu is held for reading by who reads the file beside commits, and for writing by who
	// replaces what it guards.
	mu   sync.RWMutex
	file *os.File  // locked, and db's too once there is one
	db   *bbolt.DB // nil until it is loaded
}

var _ store.Store = (*Store)(nil)

// Open opens the store in dir for this process alone. A directory without the file is a
// new table: both are made. What can be told of a file without reading all of it is
// checked here, the rest by Load.
func Open(dir string) (*Store, error) { return open(dir, patience) }

func open(dir string, patience time.Duration) (*Store, error) {
	s := &Store{path: filepath.Join(dir, FileName)}
	if err := create(s.path); err != nil {
		return nil, fmt.Errorf("create %s: %w", s.path, err)
	}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if errors.Is(err, syscall.EROFS) {
		// A table that can be read is served; commits tell why it cannot be changed.
		s.failed = err
		f, err = os.Open(s.path)
	}
	if err != nil {
		return nil, err
	}
	if err = lock(f, patience); err == nil {
		_, err = s.inspect(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	s.file = f
	return s, nil
}

// Load yields every object that is kept. It reads and checks every page in use before
// bbolt may see one: bbolt trusts what it maps, and meets a page that is not whole with a
// panic in a goroutine of its own, or later by writing over live data.
func (s *Store) Load(visit func(store.Object) error) (revision uint64, err error) {
	if s.file == nil || s.db != nil {
		return 0, errors.New("load: the store is loaded already, or closed")
	}
	var d decoder
	i, err := s.read(s.file, func(key, value []byte) error {
		o, err := d.object(key, value)
		if err != nil {
			return flaw(fmt.Sprintf("the record of %q: %v", key, err))
		}
		return visit(o)
	})
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db, err = openBolt(s.file); err != nil {
		s.file = nil
		return 0, fmt.Errorf("load %s: %w", s.path, err)
	}
	s.kept, s.txid, s.pageSize = i.kept, i.txid, i.pageSize
	s.revision, s.pending = i.revision, i.records
	s.journal = journal{region: i.journal, file: s.journal.file, commits: i.commits}
	return s.revision, nil
}

// Commit keeps a batch: it is on disk when Commit returns. After a commit that failed, the
// next one first puts the file back to what it held before; that fails too while the disk
// does, or a snapshot is under way.
func (s *Store) Commit(b store.Batch) error {
	if b.Revision < s.revision {
		return fmt.Errorf("commit: revision %d after %d: it must not fall", b.Revision, s.revision)
	}
	w, err := encode(b)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.foldFailed(); err != nil {
		s.failed = err
	}
	if err := s.mend(); err != nil {
		return fmt.Errorf("commit: %s cannot be written: %w", s.path, err)
	}
	if err := s.keep(w); err != nil {
		s.failed = err
		return fmt.Errorf("commit: write %s: %w", s.path, err)
	}
	s.revision = b.Revision
	return nil
}

func (s *Store) keep(w write) error {
	j := &s.journal
	if !j.fits(len(w.entry)) {
		return s.rebase(w)
	}
	if !j.room(len(w.entry)) {
		if j.wanted(s.used) != j.half {
			return s.rebase(w)
		}
		if err := s.turn(); err != nil {
			return err
		}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := j.write(w.entry); err != nil {
		return err
	}
	s.pending = append(s.pending, w.records...)
	return nil
}

// Close waits for the snapshots under way and lets go of the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folded()     // if that fails, the journal still has it
	s.failed = nil // there is nothing to mend
	return s.letGo()
}

// letGo closes what is open, even where it returns an error; mu is held.
func (s *Store) letGo() error {
	var err error
	switch {
	case s.db != nil && !s.wedged:
		err = s.db.Close() // and the file with it
	case s.file != nil:
		err = errors.Join(unlock(s.file), s.file.Close())
	}
	if s.journal.file != nil {
		err = errors.Join(err, s.journal.file.Close())
	}
	s.db, s.file, s.journal.file = nil, nil, nil
	return err
}
