package access

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	// maxPending is how much waits while the file cannot be written, besides one entry that is
	// larger than that: some thousand lines. What comes on top of it is counted, and the count
	// is written when the file can be.
	maxPending = 1 << 20

	// retryEvery is how long to leave a file alone that could not be written.
	retryEvery = time.Second

	// closeTimeout is how long Close waits for a disk that hangs.
	closeTimeout = 2 * time.Second
)

// File is a file for the log of its own. Lines are written by a goroutine that ends with
// Close, so that a disk that hangs or is full holds up no request. A process that is killed
// loses what it was about to write: milliseconds' worth, as long as the disk is well.
//
// Its methods may be called from any goroutine. Several processes, and the two generations of
// a reload, may write one file: lines stay whole.
type File struct {
	report  func(error)
	after   func(time.Duration) <-chan time.Time // time.After
	wake    chan struct{}                        // something is pending
	closing chan struct{}
	ended   chan struct{}

	// Of the goroutine.
	log     logFile
	lines   []byte // taken out of pending, and not written yet
	buffer  []byte // in which they are
	failing bool   // what was reported last

	mu      sync.Mutex // guards what follows
	pending []byte     // whole lines
	large   int        // bytes of them that are an entry of more than maxPending
	lost    int        // lines for which there was no room
	lostAt  time.Time  // the last of them
	closed  bool
}

// OpenFile opens the file, or makes it with mode 0640. report is called with the error when it
// cannot be written any more, once, and with nil when it can again; not by two goroutines at once.
func OpenFile(path string, report func(error)) (*File, error) {
	return openFile(path, report, time.After)
}

func openFile(path string, report func(error), after func(time.Duration) <-chan time.Time) (*File, error) {
	f := &File{
		report:  report,
		after:   after,
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		log:     logFile{path: path},
	}
	if err := f.log.reopen(); err != nil {
		return nil, err
	}
	go f.run()
	return f, nil
}

// Write puts a line into the file, or several with ends between them, each with the time before
// it and an end after it. It waits for no disk, unless the file has been closed. Lines for which
// there is no room are counted, and the count is written in their place.
func (f *File) Write(now time.Time, lines []byte) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		f.writeLate(now, lines)
		return
	}
	if !f.hasRoom(len(lines)) {
		f.lost += 1 + bytes.Count(lines, []byte("\n"))
		f.lostAt = now
	} else {
		f.pending = appendLines(f.pending, now, lines)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it will wake anyway
	}
}

// hasRoom reports whether lines of that many bytes may wait, and takes the room. One entry may be
// larger than all the room that others have: that of an import is as large as the table.
func (f *File) hasRoom(size int) bool {
	if size <= maxPending {
		return len(f.pending)-f.large+size <= maxPending
	}
	if f.large > 0 {
		return false
	}
	f.large = size
	return true
}

// writeLate writes the lines of a request that was under way when another generation took over
// and this file was closed. There are as many as that had just been answered, or fewer.
func (f *File) writeLate(now time.Time, lines []byte) {
	late := logFile{path: f.log.path}
	_, err := late.write(appendLines(nil, now, lines))
	_ = errors.Join(err, late.close()) // nobody is left to be told; CoreDNS's own log has the line
}

// Close writes what is pending and closes the file. What cannot be written at once is given
// up, and the error says so. It is to be called once.
func (f *File) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	close(f.closing)
	select {
	case <-f.ended:
	case <-f.after(closeTimeout):
		return fmt.Errorf("%s: cannot be written: what was pending is lost", f.log.path)
	}
	err := f.log.close()
	if n := f.unwritten(); n > 0 {
		return fmt.Errorf("%s: cannot be written: %d lines are lost", f.log.path, n)
	}
	return err
}

// run is the goroutine. It ends when the file is closed.
func (f *File) run() {
	defer close(f.ended)
	for f.wait() {
		f.drain()
	}
	f.drain()
}

// wait waits until there is something to do, and reports false when that is to end.
func (f *File) wait() bool {
	// A channel that is nil is never ready.
	wake, retry := f.wake, (<-chan time.Time)(nil)
	if f.failing {
		wake, retry = nil, f.after(retryEvery)
	}
	select {
	case <-wake:
		return true
	case <-retry:
		return true
	case <-f.closing:
		return false
	}
}

// drain writes until nothing is pending, or until that fails.
func (f *File) drain() {
	for len(f.lines) > 0 || f.take() {
		n, err := f.log.write(f.lines)
		f.lines = f.lines[n:]
		if failing := err != nil; failing != f.failing {
			f.failing = failing
			f.report(err)
		}
		if err != nil {
			return
		}
	}
}

// take takes all that is pending, and reports whether that is anything.
func (f *File) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cap(f.buffer) > 2*maxPending {
		f.buffer = nil
	}
	f.lines, f.pending, f.large = f.pending, f.buffer[:0], 0
	if f.lost > 0 {
		f.lines = strconv.AppendInt(append(appendTime(f.lines, f.lostAt), "lost="...), int64(f.lost), 10)
		f.lines = append(f.lines, '\n')
		f.lost = 0
	}
	f.buffer = f.lines
	return len(f.lines) > 0
}

// unwritten counts the lines that are left after the goroutine has ended.
func (f *File) unwritten() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Count(f.lines, []byte("\n")) + bytes.Count(f.pending, []byte("\n")) + f.lost
}

// appendLines appends lines as they stand in the file.
func appendLines(b []byte, now time.Time, lines []byte) []byte {
	for line := range bytes.Lines(lines) {
		b = append(appendTime(b, now), line...)
	}
	return append(b, '\n')
}

// appendTime appends what a line of the file begins with.
func appendTime(b []byte, now time.Time) []byte {
	return append(now.UTC().AppendFormat(append(b, "time="...), "2006-01-02T15:04:05.000Z07:00"), ' ')
}
