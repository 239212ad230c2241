package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Certificates are what the endpoint shows of itself, and the authorities whose clients it
// takes: files, read again when they change. Connections that are open go on.
type Certificates struct {
	pair     *watchedFile[tls.Certificate]
	clients  *watchedFile[*authorities] // nil where no certificate is asked for
	config   atomic.Pointer[tls.Config]
	untimely atomic.Pointer[error] // that the certificate in force is out of its time, by the last poll
}

// LoadTLS reads the certificate and its key, and the authorities of clients' certificates
// if there is a path. A certificate that is out of its time is loaded, and Failing says so:
// DNS must not stay down after a restart for the sake of the endpoint.
func LoadTLS(cert, key, clientCA string, now time.Time) (*Certificates, error) {
	c := new(Certificates)
	var err error
	c.pair, err = watchFiles(fileRules[tls.Certificate]{
		parse: func(contents [][]byte) (tls.Certificate, error) { return parsePair(cert, key, contents) },
		check: inTime,
		tell: func(old tls.Certificate) string {
			return "the certificate valid until " + date(old.Leaf.NotAfter) + " stays"
		},
	}, cert, key)
	if err != nil {
		return nil, err
	}
	if clientCA != "" {
		c.clients, err = watchFiles(fileRules[*authorities]{
			parse: parseAuthorities,
			tell:  func(*authorities) string { return "the authorities read before stay" },
		}, clientCA)
		if err != nil {
			return nil, err
		}
	}
	c.config.Store(c.build())
	c.noteTime(now)
	return c, nil
}

// Config returns the configuration of a connection that begins now. A listener that asks for it
// at each handshake uses the certificate and the authorities of that moment.
func (c *Certificates) Config() *tls.Config { return c.config.Load() }

// build returns the configuration for what is in force. What it does not name is right as Go
// has it: TLS 1.3 where the client knows it, and for TLS 1.2 cipher suites with forward secrecy,
// as RFC 9325, section 4.1, asks.
func (c *Certificates) build() *tls.Config {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12, // RFC 8996 has done away with what is older
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{c.pair.current()},
	}
	if c.clients != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = c.clients.current().pool
		// A ticket would carry the client's certificate past the moment in which its
		// authority was taken away. Without one, every handshake verifies it.
		config.SessionTicketsDisabled = true
	}
	return config
}

// Poll takes up what the files hold now, once two polls in a row have seen it, and returns
// what is worth logging: a certificate whose time ends, too. It is to be called about twice
// a second, from one goroutine.
func (c *Certificates) Poll(now time.Time) (events []Event) {
	if event, ok := c.pair.poll(now); ok {
		events = append(events, event)
	}
	if c.clients != nil {
		if event, ok := c.clients.poll(now); ok {
			events = append(events, event)
		}
	}
	if slices.ContainsFunc(events, func(e Event) bool { return e.New }) {
		c.config.Store(c.build())
	}
	if c.noteTime(now) {
		events = append(events, Event{Files: c.pair.name(), Err: *c.untimely.Load()})
	}
	return events
}

// noteTime keeps whether the certificate in force is out of its time, and reports true when it
// has become so.
func (c *Certificates) noteTime(now time.Time) bool {
	was := c.untimely.Load()
	err := inTime(c.pair.current(), now)
	if err == nil {
		c.untimely.Store(nil)
		return false
	}
	err = fmt.Errorf("in force, but %w", err)
	c.untimely.Store(&err)
	return was == nil
}

// NotAfter returns when the certificate in force ends.
func (c *Certificates) NotAfter() time.Time { return c.pair.current().Leaf.NotAfter }

// Failing returns what is wrong with the files or with what is in force; nil where nothing is.
// It may be called from any goroutine.
func (c *Certificates) Failing() error {
	var errs []error
	if err := c.untimely.Load(); err != nil {
		errs = append(errs, *err)
	}
	errs = append(errs, c.pair.failing())
	if c.clients != nil {
		errs = append(errs, c.clients.failing())
	}
	return errors.Join(errs...)
}
