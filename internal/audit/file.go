package audit

import (
	"bytes"
	"os"
)

// file is a file that lines are appended to. It may be renamed or taken away under us, as
// those that rotate logs do, and then the path is opened anew; or be cut to nothing, which
// needs no more than O_APPEND. It belongs to one goroutine.
type file struct {
	path string
	open *os.File // nil when it could not be opened
	torn bool     // it ends in the middle of a line
}

// write appends lines, in one write, and returns how many bytes of them need not be written
// again: those of whole lines.
func (f *file) write(lines []byte) (written int, err error) {
	if err := f.reopen(); err != nil {
		return 0, err
	}
	if f.torn {
		// What was torn off stays as a line of its own; it comes again whole.
		if _, err := f.open.Write([]byte("\n")); err != nil {
			return 0, err
		}
		f.torn = false
	}
	n, err := f.open.Write(lines)
	if err == nil {
		return n, nil
	}
	written, f.torn = whole(lines[:n])
	return written, err
}

// whole returns how much of what was written is whole lines, and whether a part of one follows.
func whole(written []byte) (n int, torn bool) {
	n = bytes.LastIndexByte(written, '\n') + 1
	return n, n < len(written)
}

// reopen opens the path, if that is not the file that is open. It is asked before each write: a
// line written into a file that has been removed would be lost.
func (f *file) reopen() error {
	if f.open != nil {
		is, err := f.open.Stat()
		if err != nil {
			return err
		}
		if there, err := os.Stat(f.path); err == nil && os.SameFile(is, there) {
			return nil
		}
	}
	// Readable by its group, so that a collector of logs can be of that.
	opened, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	err = f.close()
	f.open, f.torn = opened, false
	return err
}

func (f *file) close() error {
	if f.open == nil {
		return nil
	}
	open := f.open
	f.open = nil
	return open.Close()
}

func (f *file) String() string { return f.path }
