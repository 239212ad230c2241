package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
)

// The most bytes that a body may have (contract, section 3).
const (
	maxBody     = 64 << 10
	maxBulkBody = 4 << 20 // of batches and of heartbeats in bulk
)

// body reads the body into c.in and begins a walk over it. Where it may not be read the
// request is answered, and it reports false.
func (c *call) body(limit int) (*walker, bool) {
	if limit > maxBody && c.r.ContentLength > int64(cap(c.in)) {
		c.in = largeBuffer()
	}
	if !c.readable() || !c.read(limit) {
		return nil, false
	}
	c.walk.reset(c.in)
	return &c.walk, true
}

// readable reports whether the body is of the one type that is understood.
func (c *call) readable() bool {
	header := c.r.Header
	if values := header["Content-Type"]; len(values) > 0 && values[0] != jsonType[0] && !isJSON(values) {
		c.fail(http.StatusUnsupportedMediaType, "the Content-Type must be application/json, in UTF-8, or absent")
		return false
	}
	for _, coding := range header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			c.fail(http.StatusUnsupportedMediaType, "the body must be sent without a Content-Encoding")
			return false
		}
	}
	return true
}

func isJSON(values []string) bool {
	media, parameters, err := mime.ParseMediaType(values[0])
	charset, given := parameters["charset"]
	return len(values) == 1 && err == nil && media == jsonType[0] && (!given || strings.EqualFold(charset, "utf-8"))
}

func (c *call) read(limit int) bool {
	if c.r.ContentLength > int64(limit) {
		c.tooLarge(limit)
		return false
	}
	var err error
	c.in, err = readAll(c.in[:0], c.r.Body, limit)
	if err != nil {
		c.failRead(err, limit, fmt.Sprintf("the request was not received whole in %s", readTimeout))
	}
	return err == nil
}

// failRead answers a body that could not be read to its end. late says what took too long.
func (c *call) failRead(err error, limit int, late string) {
	timeout := net.Error(nil)
	switch {
	case errors.Is(err, errTooLarge):
		c.tooLarge(limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		c.w.Header().Set("Connection", "close")
		c.fail(http.StatusRequestTimeout, late)
	default: // it is broken off, or its chunks make no sense
		c.w.Header().Set("Connection", "close")
		c.fail(http.StatusBadRequest, "the body could not be read to its end")
	}
}

func (c *call) tooLarge(limit int) {
	// What follows of the body will not be read: the connection is of no more use.
	c.w.Header().Set("Connection", "close")
	c.fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must have at most %d bytes", limit))
}

var errTooLarge = errors.New("the body is too large")

// readAll appends what is left in the reader to b, at most limit bytes. It takes memory
// for what has arrived, not for what was announced: announcing is free of charge.
func readAll(b []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(512, len(b)))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return b, errTooLarge
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}
