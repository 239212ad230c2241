package httpapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/door"
)

const (
	// maxElement is how much of an import one value in it may be, for that much is held at
	// once. What an instance of the largest body becomes in an export is under half of it.
	maxElement = 4 * maxBody

	// uploadPace is how much of an import must arrive in each door.ReadTimeout.
	uploadPace = 256 << 10

	// uploadTimeout is how long an import may take to arrive. Whoever holds room must not hold
	// it for hours, and the largest one arrives in it at two megabytes a second.
	uploadTimeout = 10 * time.Minute

	// turnTimeout is how long an import that has arrived waits for those before it.
	turnTimeout = time.Minute
)

var (
	errElementTooLarge = errors.New("a value in the body is too large")
	errNoRoom          = errors.New("other imports fill the room that there is for those that arrive")
)

// imports are all that are under way. What one of them comes to is as large as the table, so
// that one is worked on at a time; but only once it is there: who sends slowly keeps nobody out.
// Those that arrive meanwhile share the room for one of the largest.
type imports struct {
	turn chan struct{} // full while one is worked on; who waits gets it in turn
	most int64         // bytes of one, and of all that arrive

	mu      sync.Mutex // guards what follows
	held    int64      // by all of them
	uploads map[*upload]struct{}
}

func newImports(most int64) *imports {
	return &imports{turn: make(chan struct{}, 1), most: most, uploads: make(map[*upload]struct{})}
}

// upload is an import while it arrives, and until it is its turn. It belongs to one goroutine.
type upload struct {
	imports *imports
	control *http.ResponseController
	admin   bool // it gives way to none but those of other administrators
	until   time.Time

	read  int64  // so far
	due   int64  // how far it must be read in time
	chunk []byte // that is being filled

	// Guarded by imports.mu.
	chunks [][]byte // before that
	held   int64    // bytes of them all
	lost   bool     // they were given up for another upload
}

// leave lets the next one take its turn.
func (s *imports) leave() { <-s.turn }

// begin begins an upload, whose answer goes to w. It must be ended.
func (s *imports) begin(w http.ResponseWriter, admin bool) *upload {
	u := &upload{imports: s, control: http.NewResponseController(w), admin: admin, until: time.Now().Add(uploadTimeout)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[u] = struct{}{}
	return u
}

// receive reads the body to its end.
func (u *upload) receive(body io.Reader) error {
	for {
		if len(u.chunk) == cap(u.chunk) {
			if err := u.grow(); err != nil {
				return err
			}
		}
		if u.late() { // a connection without deadlines, as one for tests, would never be
			return door.ErrTooSlow
		}
		if u.read >= u.due {
			u.due = u.read + uploadPace
			u.extend()
		}
		n, err := body.Read(u.chunk[len(u.chunk):cap(u.chunk)])
		u.chunk = u.chunk[:len(u.chunk)+n]
		u.read += int64(n)
		switch {
		case u.read > u.imports.most:
			return door.ErrTooLarge
		case err == io.EOF:
			u.unhurried()
			return nil
		case err != nil:
			return door.ReadError(err)
		}
	}
}

// late reports whether the time for all of it is over.
func (u *upload) late() bool { return !time.Now().Before(u.until) }

// extend gives what follows of the body the time that a whole request has, and the
// answer its own. A response that knows no deadlines, as one for tests, has none.
func (u *upload) extend() {
	now := time.Now()
	due := now.Add(door.ReadTimeout)
	if u.until.Before(due) {
		due = u.until
	}
	_ = u.control.SetReadDeadline(due)
	_ = u.control.SetWriteDeadline(due.Add(door.WriteTimeout))
}

// unhurried lets the work on what was read take as long as it does.
func (u *upload) unhurried() {
	_ = u.control.SetReadDeadline(time.Time{})
	_ = u.control.SetWriteDeadline(time.Time{})
}

// answered gives the answer, which comes next, the time of any other.
func (u *upload) answered() { _ = u.control.SetWriteDeadline(time.Now().Add(door.WriteTimeout)) }

// grow begins another chunk. It takes memory for what has arrived, not for what was announced.
func (u *upload) grow() error {
	// One byte more than the limit tells that there is more.
	size := min(max(u.read, 4<<10), uploadPace, u.imports.most+1-u.read)
	s := u.imports
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.lost || !s.makeRoom(u, size) {
		return errNoRoom
	}
	if u.chunk != nil {
		u.chunks = append(u.chunks, u.chunk)
	}
	u.chunk = make([]byte, 0, size)
	u.held += size
	s.held += size
	return nil
}

// makeRoom reports whether an upload may hold that many bytes more. Where there is no room the
// largest upload gives it up, be it this one; but that of an administrator gives way to none. The
// lock is held.
func (s *imports) makeRoom(u *upload, size int64) bool {
	for s.held+size > s.most+uploadPace {
		loser, most := u, u.held+size
		if u.admin {
			most = 0
		}
		for other := range s.uploads {
			if !other.admin && other.held > most {
				loser, most = other, other.held
			}
		}
		if loser == u {
			return false
		}
		s.held -= loser.held
		loser.chunks, loser.held, loser.lost = nil, 0, true
	}
	return true
}

// take returns what has arrived, which then counts for the room of others no more.
func (u *upload) take() (*arrived, error) {
	u.end()
	if u.lost {
		return nil, errNoRoom
	}
	a := &arrived{chunks: append(u.chunks, u.chunk)}
	u.chunks, u.chunk = nil, nil
	return a, nil
}

// end gives up the room that the upload has.
func (u *upload) end() {
	s := u.imports
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= u.held
	u.held = 0
	delete(s.uploads, u)
}

// arrived is a body that is there whole, and is let go of as it is read.
type arrived struct {
	chunks [][]byte
	read   int64 // so far
	until  int64 // how far it may be read before more of it is understood
	err    error // what ended it before its time
}

// advance says that everything before the offset is understood.
func (a *arrived) advance(offset int64) { a.until = offset + maxElement }

func (a *arrived) Read(b []byte) (int, error) {
	for len(a.chunks) > 0 && len(a.chunks[0]) == 0 {
		a.chunks[0] = nil
		a.chunks = a.chunks[1:]
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case len(a.chunks) == 0:
		return 0, io.EOF
	case a.read == a.until:
		a.err = errElementTooLarge
		return 0, a.err
	}
	n := copy(b[:min(int64(len(b)), a.until-a.read)], a.chunks[0])
	a.chunks[0] = a.chunks[0][n:]
	a.read += int64(n)
	return n, nil
}
