package door

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/coredns-registry/registry/internal/access"
)

// Stream is an answer that lasts for as long as its client likes, a watch or a download: no limit
// on the whole may run, only one on each write. It belongs to one goroutine.
type Stream struct {
	response http.ResponseWriter
	control  *http.ResponseController
	timeout  time.Duration // for one write
}

// NewStream begins such an answer. A response that knows no deadlines, as one for tests, has none.
func NewStream(w http.ResponseWriter, timeout time.Duration) Stream {
	s := Stream{w, http.NewResponseController(w), timeout}
	// The server's limit on the time to read a request would end the stream.
	_ = s.control.SetReadDeadline(time.Time{})
	s.Extend()
	return s
}

// Extend gives the next write its time. It is to be called when the stream ends too: the server
// writes its end then, and may not take for ever.
func (s *Stream) Extend() { _ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) }

// Write writes b in the time that one write has.
func (s *Stream) Write(b []byte) (int, error) {
	s.Extend()
	return s.response.Write(b)
}

// Flush sends what was written. It returns an error when the client did not take it in time, or has
// gone away. Until the next write no time runs.
func (s *Stream) Flush() error {
	if err := s.control.Flush(); err != nil {
		return err
	}
	_ = s.control.SetWriteDeadline(time.Time{})
	return nil
}

// Lasts counts an answer that lasts, until end is called, once; or returns why there is no room for
// another.
func (s *Server) Lasts(by *access.Caller, from netip.Addr) (end func(), _ *access.Refusal) {
	return s.options.Connections.Stream(by, from)
}

// LongPoll holds an answer back until changed is closed, or for a while: less where the client goes
// away or the server shuts down. Then it is to be written, in the time of any other. It counts as an
// answer that lasts, and is refused where there is no room for another. The body must have been read.
func (s *Server) LongPoll(w http.ResponseWriter, r *http.Request, by *access.Caller, changed <-chan struct{}, wait <-chan time.Time) *access.Refusal {
	end, refusal := s.Lasts(by, From(r).Addr())
	if refusal != nil {
		return refusal
	}
	defer end()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	select {
	case <-changed:
	case <-wait:
	case <-r.Context().Done():
	case <-s.stopping:
	}
	_ = control.SetWriteDeadline(time.Now().Add(WriteTimeout))
	return nil
}
