package door

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

// What can be wrong with a body, before anybody has looked into it. After ErrTooLarge, ErrTooSlow
// and ErrBroken the connection is of no more use: the rest of the body is still to come on it.
var (
	ErrTooLarge = errors.New("the body is too large")
	ErrTooSlow  = fmt.Errorf("the request was not received whole in %s", ReadTimeout)
	ErrBroken   = errors.New("the body could not be read to its end")

	ErrMediaType = errors.New("the Content-Type is none that is understood here")
	ErrEncoded   = errors.New("the body must be sent without a Content-Encoding")
)

// MediaType returns which of some media types the body of a request has: the first of them where it
// names none. A charset other than UTF-8 is an error, as is any content coding: what is read is as
// large as what was sent.
func MediaType(r *http.Request, types ...string) (string, error) {
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return "", ErrEncoded
		}
	}
	values := r.Header["Content-Type"]
	switch {
	case len(values) == 0:
		return types[0], nil
	case len(values) > 1:
		return "", ErrMediaType
	case slices.Contains(types, values[0]): // as most write it
		return values[0], nil
	}
	media, parameters, err := mime.ParseMediaType(values[0])
	if charset, ok := parameters["charset"]; err != nil || ok && !strings.EqualFold(charset, "utf-8") || !slices.Contains(types, media) {
		return "", ErrMediaType
	}
	return media, nil
}

// ReadBody appends the body of a request to b, at most limit bytes. It takes memory for what has
// arrived, not for what was announced: announcing is free of charge.
func ReadBody(b []byte, r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return b, ErrTooLarge
	}
	begin := len(b)
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(512, len(b)))
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b)-begin > limit:
			return b, ErrTooLarge
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, ReadError(err)
		}
	}
}

// ReadError tells apart why the reading of a body ended: ErrTooSlow, or ErrBroken.
func ReadError(err error) error {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return ErrTooSlow
	}
	return ErrBroken
}
