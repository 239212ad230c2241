package httpapi

import (
	"net/http"

	"github.com/coredns-registry/registry/internal/door"
)

// download is an answer of any size, written while it is made. Its first byte sends the
// header: until then the request may still be answered otherwise.
type download struct {
	*call
	contentType []string
	filename    string

	to     door.Stream
	begun  bool // the header is sent
	failed bool // the client takes no more of it
}

// begin sends the header, unless it is sent already.
func (d *download) begin() {
	if d.begun {
		return
	}
	d.begun = true
	d.to = door.NewStream(d.w, d.watchWriteTimeout)
	header := d.w.Header()
	header["Content-Type"] = d.contentType
	header["Content-Disposition"] = []string{`attachment; filename="` + d.filename + `"`}
	header["Cache-Control"] = []string{"no-store"}
	d.code = http.StatusOK
	d.w.WriteHeader(http.StatusOK)
}

// headOnly reports whether the header is all that is wanted.
func (d *download) headOnly() bool { return d.r.Method == http.MethodHead }

// Write writes out b, in pieces that a slow client too takes in time. It returns an error
// when nothing more is wanted.
func (d *download) Write(b []byte) (n int, err error) {
	d.begin()
	if d.headOnly() {
		return 0, http.ErrBodyNotAllowed
	}
	for n < len(b) {
		piece, err := d.to.Write(b[n:min(len(b), n+fullStream)])
		n += piece
		if err != nil {
			d.failed = true
			return n, err
		}
	}
	return n, nil
}

// end lets the server write the end, and not for ever.
func (d *download) end() {
	d.begin()
	d.to.Extend()
}

// breakOff closes the connection in the middle of the answer: one that ended like any
// other would be taken for the whole. To panic with this is how a handler tells net/http
// to do so, whatever the version of HTTP; it logs nothing and goes on serving.
func (d *download) breakOff() {
	d.observe()
	panic(http.ErrAbortHandler)
}
