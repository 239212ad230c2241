package audit

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	// maxPending is how many bytes of lines wait to be written, besides one entry that is larger
	// than that: some thousand lines.
	maxPending = 1 << 20

	// retryEvery is how long to leave a sink alone that could not be written.
	retryEvery = time.Second

	// closeTimeout is how long Close waits for a disk that hangs.
	closeTimeout = 2 * time.Second
)

// AsyncWriter writes lines from a goroutine of its own, all together that have come meanwhile: a
// log takes many at once for little more than it takes one. The goroutine ends with Close. A
// process that is killed loses what it was about to write: milliseconds' worth, as long as the
// disk is well.
//
// Its methods may be called from any goroutine.
type AsyncWriter struct {
	sink    sink
	blocks  bool                                 // who has a line for which there is no room waits; else it is counted, and lost
	timed   bool                                 // each line has its time before it
	report  func(error)                          // called when writing begins to fail, and with nil when it works again
	after   func(time.Duration) <-chan time.Time // time.After
	wake    chan struct{}                        // something is pending
	closing chan struct{}
	ended   chan struct{} // the goroutine has

	// Of the goroutine.
	lines    []byte // taken out of pending, and not written yet
	buffer   []byte // in which they are
	failing  bool   // what was reported last
	closeErr error

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // there is room again, or closed is true
	pending []byte     // whole lines
	large   int        // bytes of them that are an entry of more than maxPending
	lost    int        // lines for which there was no room
	lostAt  time.Time  // the last of them
	closed  bool

	late sync.Mutex // held by who writes after the end
}

// sink is where lines end up. One goroutine at a time uses it.
type sink interface {
	// write writes whole lines, and returns how many bytes of them need not be written again.
	write(lines []byte) (n int, err error)

	// close lets go of it until the next write.
	close() error

	// String is its name in errors.
	String() string
}

// NewWriter returns a writer that hands lines to write, each with its end. Write must not keep them,
// and is not called twice at a time. No line is lost while the process lives: who has one for which
// there is no room waits.
func NewWriter(write func(lines []byte)) *AsyncWriter {
	return start(&AsyncWriter{sink: writeFunc(write), blocks: true, after: time.After})
}

// OpenFile returns a writer to a file, which it makes with mode 0640 if need be. No request waits for
// a disk that hangs or is full: lines for which there is no room are counted, and the count is
// written in their place. report is called with the error when the file cannot be written any more,
// once, and with nil when it can again; not by two goroutines at once.
//
// Several processes, and the two generations of a reload, may write one file: lines stay whole. It
// may be renamed or taken away, as those that rotate logs do.
func OpenFile(path string, report func(error)) (*AsyncWriter, error) {
	return openFile(path, report, time.After)
}

func openFile(path string, report func(error), after func(time.Duration) <-chan time.Time) (*AsyncWriter, error) {
	f := &file{path: path}
	if err := f.reopen(); err != nil {
		return nil, err
	}
	return start(&AsyncWriter{sink: f, timed: true, report: report, after: after}), nil
}

func start(w *AsyncWriter) *AsyncWriter {
	w.wake, w.closing, w.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	w.room.L = &w.mu
	go w.run()
	return w
}

// Write has a line written, or several with ends between them. It does not keep them.
func (w *AsyncWriter) Write(now time.Time, lines []byte) {
	w.mu.Lock()
	for w.blocks && !w.closed && !w.hasRoom(len(lines)) {
		w.room.Wait()
	}
	if w.closed {
		w.mu.Unlock()
		w.writeLate(now, lines)
		return
	}
	if w.hasRoom(len(lines)) {
		if len(lines) > maxPending {
			w.large = len(lines)
		}
		w.pending = w.appendLines(w.pending, now, lines)
	} else {
		w.lost += 1 + bytes.Count(lines, []byte("\n"))
		w.lostAt = now
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it will wake anyway
	}
}

// hasRoom reports whether lines of that many bytes may wait. One entry may be larger than all the
// room that others have: that of an import is as large as the table. The lock is held.
func (w *AsyncWriter) hasRoom(size int) bool {
	if size > maxPending {
		return w.large == 0
	}
	return len(w.pending)-w.large+size <= maxPending
}

// writeLate writes, here and now, the lines of a request that was under way when another generation
// took over and this writer was closed. There are as many as that had just been answered, or fewer.
func (w *AsyncWriter) writeLate(now time.Time, lines []byte) {
	<-w.ended
	w.late.Lock()
	defer w.late.Unlock()
	_, _ = w.sink.write(w.appendLines(nil, now, lines)) // nobody is left to be told
	_ = w.sink.close()
}

// Close writes what is pending and closes the sink. What cannot be written at once is given
// up, and the error says so. It is to be called once.
func (w *AsyncWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.room.Broadcast()
	w.mu.Unlock()
	close(w.closing)
	var timeout <-chan time.Time // never ready where nothing is to be given up
	if !w.blocks {
		timeout = w.after(closeTimeout)
	}
	select {
	case <-w.ended:
	case <-timeout:
		return fmt.Errorf("%s: cannot be written: what was pending is lost", w.sink)
	}
	if n := w.unwritten(); n > 0 {
		return fmt.Errorf("%s: cannot be written: %d lines are lost", w.sink, n)
	}
	return w.closeErr
}

// run is the goroutine. It ends when the writer is closed.
func (w *AsyncWriter) run() {
	defer close(w.ended)
	for w.wait() {
		w.drain()
	}
	w.drain()
	w.closeErr = w.sink.close()
}

// wait waits until there is something to do, and reports false when that is to end.
func (w *AsyncWriter) wait() bool {
	// A channel that is nil is never ready.
	wake, retry := w.wake, (<-chan time.Time)(nil)
	if w.failing {
		wake, retry = nil, w.after(retryEvery)
	}
	select {
	case <-wake:
		return true
	case <-retry:
		return true
	case <-w.closing:
		return false
	}
}

// drain writes until nothing is pending, or until that fails.
func (w *AsyncWriter) drain() {
	for len(w.lines) > 0 || w.take() {
		n, err := w.sink.write(w.lines)
		w.lines = w.lines[n:]
		if failing := err != nil; failing != w.failing {
			w.failing = failing
			w.report(err)
		}
		if err != nil {
			return
		}
	}
}

// take takes all that is pending, and reports whether that is anything.
func (w *AsyncWriter) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(w.buffer) > 2*maxPending {
		w.buffer = nil
	}
	w.lines, w.pending, w.large = w.pending, w.buffer[:0], 0
	if w.lost > 0 {
		w.lines = strconv.AppendInt(append(w.appendTime(w.lines, w.lostAt), "lost="...), int64(w.lost), 10)
		w.lines = append(w.lines, '\n')
		w.lost = 0
	}
	w.buffer = w.lines
	w.room.Broadcast()
	return len(w.lines) > 0
}

// unwritten counts the lines that are left after the goroutine has ended.
func (w *AsyncWriter) unwritten() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Count(w.lines, []byte("\n")) + bytes.Count(w.pending, []byte("\n")) + w.lost
}

// appendLines appends lines as they are written.
func (w *AsyncWriter) appendLines(b []byte, now time.Time, lines []byte) []byte {
	for line := range bytes.Lines(lines) {
		b = append(w.appendTime(b, now), line...)
	}
	return append(b, '\n')
}

// appendTime appends what a line begins with.
func (w *AsyncWriter) appendTime(b []byte, now time.Time) []byte {
	if !w.timed {
		return b
	}
	return append(now.UTC().AppendFormat(append(b, "time="...), "2006-01-02T15:04:05.000Z07:00"), ' ')
}

// writeFunc is a sink that never fails.
type writeFunc func(lines []byte)

func (f writeFunc) write(lines []byte) (int, error) {
	f(lines)
	return len(lines), nil
}

func (f writeFunc) close() error   { return nil }
func (f writeFunc) String() string { return "log" }
