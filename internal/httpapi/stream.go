package httpapi

import (
	"net/http"
	"time"

	"github.com/coredns-registry/registry/internal/door"
)

// watchWriteTimeout is how long one write to a watcher, or of a download, may take.
const watchWriteTimeout = 10 * time.Second

var (
	linesType       = []string{"application/x-ndjson"}
	eventStreamType = []string{"text/event-stream"}

	streamBuffering = []string{"no"}
	streamCaching   = []string{"no-store, no-transform"}
)

// stream is what a watcher is sent, as lines of JSON or as server-sent events. What is
// written is collected until flush.
type stream struct {
	events bool // server-sent events

	to door.Stream
	collected
}

// open sends the header.
func (s *stream) open(w http.ResponseWriter, timeout time.Duration) {
	s.to = door.NewStream(w, timeout)
	header := w.Header()
	header["Content-Type"] = linesType
	if s.events {
		header["Content-Type"] = eventStreamType
	}
	// A proxy on the way is to send each event when it comes: nginx would collect them, and
	// others would to compress them (RFC 9111, section 5.2.2.6).
	header["X-Accel-Buffering"] = streamBuffering
	header["Cache-Control"] = streamCaching
	w.WriteHeader(http.StatusOK)
	_ = s.to.Flush() // if the client is gone the next flush says so
}

// beginEvent begins an object that says something of a revision: the last thing, unless
// there is more.
func (s *stream) beginEvent(revision uint64, more bool) []byte {
	b := s.collect()
	if s.events {
		if !more { // an id says that it is safe to resume from here
			b = append(unsigned(append(b, "id: "...), revision), '\n')
		}
		b = append(b, "data: "...)
	}
	return append(b, '{')
}

func (s *stream) endEvent(b []byte) {
	b = append(b, "}\n"...)
	if s.events {
		b = append(b, '\n')
	}
	s.buffer = b
}

// keepAlive writes something that means nothing.
func (s *stream) keepAlive() {
	b := s.collect()
	if s.events {
		b = append(b, ":\n"...)
	}
	s.buffer = append(b, '\n')
}

// flush sends what was written. It returns an error when the client did not take it in
// time, or has gone away.
func (s *stream) flush() error {
	_, err := s.to.Write(s.buffer)
	s.release()
	if err != nil {
		return err
	}
	return s.to.Flush()
}

// end lets the server write the end of the stream, and not for ever.
func (s *stream) end() {
	s.release()
	s.to.Extend()
}
