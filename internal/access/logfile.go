package access

import (
	"bytes"
	"os"
)

// logFile is a file that lines are appended to. It may be renamed or taken away under us, as
// those that rotate logs do, and then the path is opened anew; or be cut to nothing, which
// needs no more than O_APPEND. It belongs to one goroutine.
type logFile struct {
	path string
	file *os.File // nil when it could not be opened
	torn bool     // it ends in the middle of a line
}

// write appends lines, in one write, and returns how many bytes of them need not be written
// again: those of whole lines.
func (l *logFile) write(lines []byte) (written int, err error) {
	if err := l.reopen(); err != nil {
		return 0, err
	}
	if l.torn {
		// What was torn off stays as a line of its own; it comes again whole.
		if _, err := l.file.Write([]byte("\n")); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err := l.file.Write(lines)
	if err == nil {
		return n, nil
	}
	written, l.torn = whole(lines[:n])
	return written, err
}

// whole returns how much of what was written is whole lines, and whether a part of one follows.
func whole(written []byte) (n int, torn bool) {
	n = bytes.LastIndexByte(written, '\n') + 1
	return n, n < len(written)
}

// reopen opens the path, if that is not the file that is open. It is asked before each write: a
// line written into a file that has been removed would be lost.
func (l *logFile) reopen() error {
	if l.file != nil {
		open, err := l.file.Stat()
		if err != nil {
			return err
		}
		if there, err := os.Stat(l.path); err == nil && os.SameFile(open, there) {
			return nil
		}
	}
	// Readable by its group, so that a collector of logs can be of that.
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	err = l.close()
	l.file, l.torn = file, false
	return err
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}
