package access

import "sync"

// Scribe writes lines from a goroutine of its own, all together that have come meanwhile: a
// log takes many at once for little more than it takes one. None is lost while the process
// lives: who has one for which there is no room waits.
//
// Its methods may be called from any goroutine.
type Scribe struct {
	write func(lines []byte)
	ended chan struct{}

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // pending or closed has
	pending []byte
	closed  bool
}

// mostUnwritten is how many bytes of lines may wait, about.
const mostUnwritten = 1 << 20

// NewScribe returns a scribe that hands its lines to write, each with its end. Write must not
// keep them, and is not called twice at a time.
func NewScribe(write func(lines []byte)) *Scribe {
	s := &Scribe{write: write, ended: make(chan struct{})}
	s.changed.L = &s.mu
	go s.run()
	return s
}

// Write has a line written, or several with ends between them, which it does not keep. Once the scribe is closed it is written here
// and now: of a request that was under way when another guard took over.
func (s *Scribe) Write(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > mostUnwritten && !s.closed {
		s.changed.Wait()
	}
	if s.closed {
		s.mu.Unlock()
		<-s.ended
		s.mu.Lock()
		s.write(append(append([]byte(nil), line...), '\n'))
		return
	}
	if len(s.pending) == 0 {
		s.changed.Broadcast()
	}
	s.pending = append(append(s.pending, line...), '\n')
}

// Close returns when all is written. It is to be called once.
func (s *Scribe) Close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.ended
}

// run is the goroutine. It ends when the scribe is closed.
func (s *Scribe) run() {
	defer close(s.ended)
	var lines []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending) == 0 && !s.closed {
			s.changed.Wait()
		}
		if len(s.pending) == 0 {
			return
		}
		if cap(lines) > 2*mostUnwritten { // of an entry that was as large as the table
			lines = nil
		}
		lines, s.pending = s.pending, lines[:0]
		s.changed.Broadcast() // there is room
		s.mu.Unlock()
		s.write(lines)
		s.mu.Lock()
	}
}
