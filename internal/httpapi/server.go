// Package httpapi is the HTTP contract, version 1, and nothing else: it reads requests,
// hands what they ask for to a [Registry], and writes answers and streams of changes.
//
// Nothing that a client sends makes it panic, or answer a 5xx other than 503. What it
// refuses it explains, every fault of a body at once. Any number of requests may be
// served at the same time.
package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/access"
)

// Limits on what a connection may cost (contract, section 3).
const (
	maxHeaderBytes = 16 << 10
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second // for a request, whole
	writeTimeout   = time.Minute      // from the end of its header, so it covers the body's time
	idleTimeout    = 3 * time.Minute  // several heartbeats of a usual lease on one connection

	// MostConnections is how many connections there may be where files are no concern.
	MostConnections = 8192

	// shutdownTimeout leaves time to close by force what has not ended by itself, within
	// the 5 s that a reload may take.
	shutdownTimeout = 4500 * time.Millisecond
)

// Options are what a server may be given besides its registry. What is left zero is as
// its comment says.
type Options struct {
	Now   func() time.Time                     // time.Now
	After func(time.Duration) <-chan time.Time // time.After; for the keep-alives of watchers

	TLS   *tls.Config          // plain HTTP
	Guard func() *access.Guard // who decides now who may do what; everybody may do everything
	Log   *log.Logger          // what no client can be told, ten lines a second of each kind; the standard logger

	// StreamWriteTimeout is how long one write to a watcher, or of a download, may take; ten
	// seconds.
	StreamWriteTimeout time.Duration

	// Connections bounds how many are open at once, of this server and of all others that are
	// given the same; MostConnections of this one.
	Connections *access.Connections

	// Observe is called once for each request: with the label of its route, of which
	// there are few, the status, and how long it took until the answer was written, or
	// the stream of a watcher begun.
	Observe func(route string, code int, took time.Duration)

	// Watching is called with 1 when a watcher's stream begins and with -1 when it ends.
	Watching func(delta int)
}

// Server serves the HTTP contract on as many listeners as it is given. Its methods may
// be called from any goroutine.
type Server struct {
	registry Registry
	options  Options
	http     *http.Server
	log      *errorLog

	watchWriteTimeout time.Duration // for one write to a watcher, or of a download
	largeStreams      chan struct{} // a place for each that may collect more than a page

	imports *imports

	stop     sync.Once
	stopping chan struct{} // closed when watchers are to end

	silent sync.Map // of net.Conn, on which nothing has come yet
}

// New returns a server of that registry. It serves nothing yet.
func New(r Registry, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Guard == nil {
		everybody := access.NewGuard(access.Rules{})
		o.Guard = func() *access.Guard { return everybody }
	}
	if o.Connections == nil {
		o.Connections = access.NewConnections(MostConnections, o.Now)
	}
	if o.Log == nil {
		o.Log = log.Default()
	}
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	if o.Watching == nil {
		o.Watching = func(int) {}
	}
	s := &Server{
		registry:          r,
		options:           o,
		log:               newErrorLog(o.Log, o.Now),
		watchWriteTimeout: cmp.Or(o.StreamWriteTimeout, watchWriteTimeout),
		imports:           newImports(maxImport),
		largeStreams:      make(chan struct{}, mostLarge),
		stopping:          make(chan struct{}),
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(s.log, "", 0),
		ConnState:         s.noteState,
		ConnContext:       withConn,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a path like any other that is not there
	}
	return s
}

// guard returns who decides now.
func (s *Server) guard() *access.Guard { return s.options.Guard() }

// Handler returns what answers the requests, for a server of the caller's own.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers requests on the listener until the server is shut down, and then returns
// nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	// These stand below TLS: net/http must see the TLS connections themselves.
	l = s.options.Connections.Listener(unsentListener{l}, func(err error) { s.log.printf(ofConnection, "%v", err) })
	if s.options.TLS != nil {
		l = tls.NewListener(l, s.options.TLS)
	}
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// unsentListener has connections for which the kernel holds little that it cannot send.
type unsentListener struct{ net.Listener }

func (l unsentListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		boundUnsent(conn)
	}
	return conn, err
}

// FlushLog tells how many lines were left out of the log because there were too many, and not told
// yet. It is to be called about twice a second.
func (s *Server) FlushLog() { s.log.flush() }

// Shutdown stops listening, ends the streams of watchers, lets requests that have begun
// be answered, and closes all connections. It takes less than 5 s: what has not ended by
// then, or when ctx is done, is closed as it is, and the error says so.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Do(func() { close(s.stopping) })
	s.closeSilent()
	defer s.FlushLog()
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// connKey is the context's key for the connection of a request, a net.Conn.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// busy notes that the request's connection is of use: it does not give way to another until the
// request has ended. That of a request which is refused, or open to everybody, never is: anybody
// could hold it by a body that does not come, or an answer that is not read.
func (c *call) busy() {
	if conn, ok := c.r.Context().Value(connKey{}).(net.Conn); ok { // a server of somebody else's has none
		access.Busy(conn)
	}
}

// noteState keeps account of what a connection is doing: on some no request has ever begun, as
// clients that dial ahead leave them behind.
func (s *Server) noteState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.silent.Store(conn, nil)
	case http.StateActive: // it is busy when the request is admitted, see busy
		s.silent.Delete(conn)
	case http.StateIdle: // it was active before that
		access.Idle(conn)
	default:
		s.silent.Delete(conn)
	}
}

// closeSilent closes connections on which no request has begun. net/http would wait five
// seconds for one.
func (s *Server) closeSilent() {
	for conn := range s.silent.Range {
		_ = conn.(net.Conn).Close() // nobody has said anything that could get lost
	}
}
