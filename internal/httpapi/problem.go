package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/coredns-registry/registry/service"
)

// fail answers with a problem (RFC 9457). The type of each is about:blank: its meaning
// is that of the status, and the title is the status's own.
func (c *call) fail(code int, detail string, faults ...fault) {
	c.why = detail
	b := append(c.out[:0], '{')
	b = text(member(b, "type"), "about:blank")
	b = text(member(b, "title"), http.StatusText(code))
	b = number(member(b, "status"), int64(code))
	b = text(member(b, "detail"), detail)
	if len(faults) > 0 {
		b = append(member(b, "errors"), '[')
		for _, f := range faults {
			b = append(next(b), '{')
			b = text(member(b, "field"), f.Field)
			b = text(member(b, "message"), f.Message)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	c.out = append(b, '}')
	c.send(code, problemType)
}

// failFaults answers with faults, of which there is at least one.
func (c *call) failFaults(code int, faults []fault) {
	detail := faults[0].Message
	if faults[0].Field != "" {
		detail = faults[0].Field + " " + detail
	}
	if n := len(faults) - 1; n > 0 {
		detail = fmt.Sprintf("%s; and %d more", detail, n)
	}
	c.fail(code, detail, faults...)
}

// retryDelay is what Retry-After says when the table could not be changed.
const retryDelay = time.Second

// refuse answers with the error of a request about one object.
func (c *call) refuse(err error) {
	var invalid *service.Invalid
	switch {
	case errors.Is(err, service.ErrNotLoaded):
		c.unavailable("the table is not loaded yet")
	case errors.Is(err, service.ErrNotOwner):
		c.fail(http.StatusConflict, "the instance belongs to another credential")
	case errors.Is(err, service.ErrNotFound):
		c.notFound()
	case errors.Is(err, service.ErrPrecondition):
		c.fail(http.StatusPreconditionFailed, "the object is not as If-Match or If-None-Match requires")
	case errors.As(err, &invalid):
		var l faultList
		for _, f := range invalid.Faults {
			l.add(fault{f.Field, f.Message})
		}
		l.tellDropped("the body has %d faults more than are told here")
		c.failFaults(http.StatusUnprocessableEntity, l.faults)
	default:
		// What the registry has no name for is trouble of its own, with the store mostly.
		// It changed nothing, so that the client may well try again.
		c.Logf("%s: %v", c.route, err)
		c.unavailable("the change could not be made now")
	}
}

func (c *call) unavailable(detail string) {
	c.retryAfter(retryDelay)
	c.fail(http.StatusServiceUnavailable, detail)
}

// retryAfter says when to try again, in whole seconds (RFC 9110, section 10.2.3).
func (c *call) retryAfter(d time.Duration) {
	seconds := (d + time.Second - 1) / time.Second
	c.w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
}

func (c *call) notFound() { c.fail(http.StatusNotFound, service.ErrNotFound.Error()) }
