package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/coredns-registry/registry/internal/door"
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
	switch _, err := door.MediaType(c.r, jsonType[0]); {
	case err == nil:
		return true
	case errors.Is(err, door.ErrEncoded):
		c.fail(http.StatusUnsupportedMediaType, err.Error())
	default:
		c.fail(http.StatusUnsupportedMediaType, "the Content-Type must be application/json, in UTF-8, or absent")
	}
	return false
}

func (c *call) read(limit int) bool {
	var err error
	c.in, err = door.ReadBody(c.in[:0], c.r, limit)
	if err != nil {
		c.failRead(err, limit, door.ErrTooSlow.Error())
	}
	return err == nil
}

// failRead answers a body that could not be read to its end. late says what took too long.
func (c *call) failRead(err error, limit int, late string) {
	// What follows of the body will not be read: the connection is of no more use.
	c.w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, door.ErrTooLarge):
		c.fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must have at most %d bytes", limit))
	case errors.Is(err, door.ErrTooSlow):
		c.fail(http.StatusRequestTimeout, late)
	default: // it is broken off, or its chunks make no sense
		c.fail(http.StatusBadRequest, err.Error())
	}
}
