package disk

import (
	"errors"
	"fmt"
	"os"
)

// mend makes the store fit for the next commit after one that failed; it does nothing
// where none did.
//
// A failed commit leaves it open what the file says. Its meta page may have reached the
// page cache and not the disk, and never will: a kernel that could not write a page says
// so once and takes it for clean. bbolt would go on from there, put its next meta page
// over the acknowledged one, and a loss of power in that moment would leave neither. So
// the acknowledged meta page takes both places before anything else is written.
//
// The lock on the file is held until that is done. Then it is opened anew, for bbolt's own
// idea of it is no better; who else may have got it in that moment has left a trace.
func (s *Store) mend() error {
	switch {
	case s.db != nil && s.failed == nil:
		return nil
	case s.file != nil && s.db == nil, s.failed == nil:
		return errors.New("the store is not loaded, or closed")
	}
	s.folded() // if that fails, there is no more to mend than there is
	if !s.mu.TryLock() {
		return fmt.Errorf("a snapshot is being taken, and before it ended: %w", s.failed)
	}
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.path, os.O_RDWR, 0) // the old descriptor may be of a disk that is gone
	if err != nil {
		return err
	}
	if s.file != nil {
		if err := settle(f, s.pageSize, s.txid); err != nil {
			f.Close()
			return err
		}
		s.letGo() // its error is of a handle that is not trusted anyway
	}
	if err := s.reopen(f); err != nil {
		return err
	}
	s.failed, s.wedged = nil, false
	s.journal.lap = 0 // what is in it may be more than was acknowledged
	return nil
}

// reopen takes the file into use if it is as it was left. It is closed where that fails.
func (s *Store) reopen(f *os.File) error {
	if err := s.unchanged(f); err != nil {
		f.Close()
		return err
	}
	db, err := openBolt(f)
	if err != nil {
		return err
	}
	s.db, s.file = db, f
	return nil
}

func (s *Store) unchanged(f *os.File) error {
	if err := lock(f, 0); err != nil {
		return err
	}
	look := s.inspect
	if s.wedged { // whatever made bbolt panic must not meet it again
		look = func(f *os.File) (*image, error) { return s.read(f, ignore) }
	}
	i, err := look(f)
	if err != nil {
		return err
	}
	if i.kept != s.kept || i.txid != s.txid {
		return errChanged
	}
	return nil
}

var errChanged = errors.New("another process has changed it: restart the server to serve what it holds now")
