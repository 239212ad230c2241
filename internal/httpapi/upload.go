package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// maxElement is how much of an upload one value in it may be, for that much is held at
	// once. What an instance of the largest body becomes in an export is under half of it.
	maxElement = 4 * maxBody

	// uploadPace is how much of an upload must arrive in each readTimeout.
	uploadPace = 256 << 10
)

var errElementTooLarge = errors.New("a value in the body is too large")

// upload is a body of any size up to a limit, read while it is worked on. It may take as
// long as it keeps its pace.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	limit   int64

	read  int64 // so far
	until int64 // how far it may be read before more of it is understood
	due   int64 // how far it must be read in time
	err   error // what ended it before its time
}

func newUpload(w http.ResponseWriter, body io.Reader, limit int64) *upload {
	return &upload{body: body, control: http.NewResponseController(w), limit: limit}
}

// advance says that everything before the offset is understood.
func (u *upload) advance(offset int64) { u.until = offset + maxElement }

func (u *upload) Read(b []byte) (int, error) {
	switch {
	case u.err != nil:
		return 0, u.err
	case u.read == u.until:
		u.err = errElementTooLarge
		return 0, u.err
	}
	if u.read >= u.due {
		u.due = u.read + uploadPace
		u.extend()
	}
	room := min(u.until, u.limit+1) - u.read // one more than the limit tells that there is more
	n, err := u.body.Read(b[:min(int64(len(b)), room)])
	u.read += int64(n)
	if u.read > u.limit {
		err = errTooLarge
	}
	if err != io.EOF {
		u.err = err
	}
	return n, err
}

// extend gives what follows of the body the time that a whole request has, and the
// answer its own. A response that knows no deadlines, as one for tests, has none.
func (u *upload) extend() {
	now := time.Now()
	_ = u.control.SetReadDeadline(now.Add(readTimeout))
	_ = u.control.SetWriteDeadline(now.Add(writeTimeout))
}

// done lets the work on what was read take as long as it does.
func (u *upload) done() {
	_ = u.control.SetReadDeadline(time.Time{})
	_ = u.control.SetWriteDeadline(time.Time{})
}

// answered gives the answer, which comes next, the time of any other.
func (u *upload) answered() { _ = u.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }
