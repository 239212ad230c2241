package disk

import (
	"errors"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// A transaction of bbolt writes each page that it touches anew, the meta page too, and
// flushes twice. So a commit makes none: the tree takes over what the journal has a lap at
// a time, beside the commits that go on in the other half.

// foldSize is how many records go into one transaction: few enough that it neither takes
// much memory nor keeps the disk busy for long.
const foldSize = 1000

// done is what became of transactions.
type done struct {
	kept   state // by the last one that succeeded
	txid   uint64
	used   int64 // bytes of the file, before it
	wedged bool
	err    error
}

// turn begins the next lap, once what the half has of the lap before is in the tree, and has
// the last lap taken over.
func (s *Store) turn() error {
	if err := s.folded(); err != nil {
		return err
	}
	s.folding, s.pending = s.pending, nil
	to := s.kept
	to.revision, to.lap, to.commits = s.revision, s.journal.lap+1, s.journal.commits
	db, is, lap, fold := s.db, done{kept: s.kept, txid: s.txid, used: s.used}, s.folding, make(chan done, 1)
	go func() { fold <- takeOver(db, is, latest(slices.Clone(lap)), to) }()
	s.fold = fold
	s.journal.begin(to.lap)
	return nil
}

// takeOver has the tree take over the records of a lap. The last transaction says so; what
// the ones before it have done is done again where it is lost.
func takeOver(db *bbolt.DB, is done, records []record, to state) done {
	for is.kept.lap != to.lap {
		next := records[:min(len(records), foldSize)]
		records = records[len(next):]
		was := is
		is = transact(db, func(tx *bbolt.Tx, kept *state) error {
			if len(records) == 0 {
				kept.revision, kept.lap, kept.commits = to.revision, to.lap, to.commits
			}
			return apply(tx, kept, next)
		})
		if is.err != nil {
			is.kept, is.txid = was.kept, was.txid
			break
		}
	}
	return is
}

// folded waits until no lap is being taken over, and reports how the last one went.
func (s *Store) folded() error {
	if s.fold == nil {
		return nil
	}
	is := <-s.fold
	s.fold = nil
	s.took(is)
	return is.err
}

// foldFailed reports how the lap went that is being taken over if that has ended.
func (s *Store) foldFailed() error {
	select {
	case is := <-s.fold: // nil while there is none
		s.fold = nil
		s.took(is)
		return is.err
	default:
		return nil
	}
}

func (s *Store) took(is done) {
	s.kept, s.txid, s.used, s.wedged = is.kept, is.txid, is.used, s.wedged || is.wedged
	if is.err == nil {
		s.folding = nil
	}
}

// rebase has the tree take over all that the journal has, and a batch that it has not, in
// one transaction. The journal begins anew, elsewhere if there is none or the table has
// outgrown it.
//
// What is in its sectors is never read again. So that is the first commit after a start,
// and after one that failed: whatever a commit has left there that nobody was told of is
// gone, and another process that had the file meanwhile has left a trace.
func (s *Store) rebase(w write) error {
	if err := s.folded(); err != nil {
		return err
	}
	if err := s.openThrough(); err != nil {
		return err
	}
	records := latest(slices.Concat(s.folding, s.pending, w.records))
	half, move := 0, false
	s.writing.Lock()
	defer s.writing.Unlock()
	is := transact(s.db, func(tx *bbolt.Tx, kept *state) error {
		kept.revision, kept.lap, kept.commits = w.revision, kept.lap+2, s.journal.commits
		if half = s.journal.wanted(tx.Size()); half != s.journal.half {
			move = true
			kept.origin = kept.lap
		}
		err := apply(tx, kept, records)
		if err != nil || !move {
			return err
		}
		journal, err := tx.CreateBucketIfNotExists(journalBucket)
		if err != nil {
			return err
		}
		return errors.Join(
			journal.Put(sectorsKey, blank(kept.origin, sectorsAt, half)),
			tx.Bucket(metaBucket).Put(formatKey, []byte{journalFormat}))
	})
	if is.err != nil {
		s.wedged = s.wedged || is.wedged
		return is.err
	}
	s.took(is)
	s.pending = nil
	if move {
		i, err := s.inspect(s.file)
		if err != nil {
			return err
		}
		s.journal.region = i.journal
	}
	s.journal.begin(s.kept.lap)
	return nil
}

// openThrough opens the file once more, to write to the journal: a descriptor that writes
// through need not wait for the pages that bbolt has written meanwhile, and is told of
// every write that failed, whoever else is.
func (s *Store) openThrough() error {
	if s.journal.file != nil {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|writeThrough, 0)
	if err != nil {
		return err
	}
	if err := same(f, s.file); err != nil {
		f.Close()
		return err
	}
	s.journal.file = f
	return nil
}

// same reports an error where two descriptors are not of the same file.
func same(a, b *os.File) error {
	is, err := a.Stat()
	if err != nil {
		return err
	}
	was, err := b.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(is, was) {
		return errChanged
	}
	return nil
}

// transact makes changes in a transaction of bbolt. What its Update does besides is to roll
// back after a panic, and that reads the whole file in a goroutine of its own, where the
// next panic would be nobody's.
func transact(db *bbolt.DB, change func(tx *bbolt.Tx, kept *state) error) (is done) {
	is.err = guard(&is.wedged, func() error {
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		is.txid, is.used = uint64(tx.ID()), tx.Size()
		if is.kept, err = stateOf(tx); err == nil {
			err = change(tx, &is.kept)
		}
		if err == nil {
			err = putState(tx, is.kept)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	return is
}
