// Package door is what every front door shares, whatever protocol it speaks: its listener with TLS
// and the limits on what a connection may cost, the admission of requests, their bodies, answers
// that last, and the audit of what was done. A door is an [http.Handler] behind a [Server], and
// registers under the name of its Corefile directive ([Register]).
//
// Nothing here knows what a request asks for, nor the form in which a protocol tells errors: what
// is refused comes back as an error or a refusal with words for a person.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"
)

// Limits on what a connection may cost (contract, section 3).
const (
	HeaderTimeout = 10 * time.Second
	ReadTimeout   = 30 * time.Second // for a request, whole
	WriteTimeout  = time.Minute      // from the end of its header, so it covers the body's time
	IdleTimeout   = 3 * time.Minute  // several heartbeats of a usual lease on one connection

	maxHeaderBytes = 16 << 10

	// MaxConnections is how many connections there may be where files are no concern.
	MaxConnections = 8192

	// shutdownTimeout leaves time to close by force what has not ended by itself, within
	// the 5 s that a reload may take.
	shutdownTimeout = 4500 * time.Millisecond
)

// Options are what a server may be given besides its handler. What is left zero is as its comment
// says.
type Options struct {
	Name  string               // of the door, for the audit; our own API
	Now   func() time.Time     // time.Now
	TLS   *tls.Config          // plain text
	HTTP2 bool                 // HTTP/2 too, without TLS by prior knowledge: gRPC needs it
	Guard func() *access.Guard // who decides now who may do what; everybody may do everything
	Log   *log.Logger          // what no client can be told, ten lines a second of each kind; the standard logger

	// Credential finds the credential of a request where the protocol puts it; Bearer.
	Credential func(*http.Request) access.Credential

	// Connections bounds how many are open at once, of this server and of all others that are
	// given the same; MaxConnections of this one.
	Connections *Connections
}

// Server serves a front door on as many listeners as it is given. Its methods may be called from
// any goroutine.
type Server struct {
	options Options
	handler http.Handler
	http    *http.Server
	log     *errorLog

	stop     sync.Once
	stopping chan struct{} // closed when answers that last are to end

	silent sync.Map // of net.Conn, on which nothing has come yet
}

// NewServer returns a server whose requests the handler answers. It serves nothing yet.
func NewServer(handler http.Handler, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Guard == nil {
		everybody := access.NewGuard(access.Rules{})
		o.Guard = func() *access.Guard { return everybody }
	}
	if o.Connections == nil {
		o.Connections = NewConnections(MaxConnections, o.Now)
	}
	if o.Log == nil {
		o.Log = log.Default()
	}
	if o.Credential == nil {
		o.Credential = Bearer
	}
	if o.HTTP2 && o.TLS != nil {
		o.TLS = offerHTTP2(o.TLS)
	}
	s := &Server{options: o, handler: handler, log: newErrorLog(o.Log, o.Now), stopping: make(chan struct{})}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: HeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(s.log, "", 0),
		ConnState:         s.noteState,
		ConnContext:       withConn,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a path like any other that is not there
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(o.HTTP2)
	s.http.Protocols.SetUnencryptedHTTP2(o.HTTP2)
	return s
}

// offerHTTP2 returns a configuration under which a client may choose HTTP/2.
func offerHTTP2(config *tls.Config) *tls.Config {
	offer := func(c *tls.Config) *tls.Config {
		c = c.Clone()
		c.NextProtos = []string{"h2", "http/1.1"}
		return c
	}
	config = offer(config)
	choose := config.GetConfigForClient
	if choose == nil {
		return config
	}
	// A configuration is cloned once: tickets for resumption belong to it.
	var mu sync.Mutex
	var from, to *tls.Config // guarded by mu
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen == nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if chosen != from {
			from, to = chosen, offer(chosen)
		}
		return to, nil
	}
	return config
}

// closeConnection is the value of a header, made once: a header is a list, and each would be
// allocated.
var closeConnection = []string{"close"}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// It may have had a Content-Length too, which net/http then hides from us. A proxy that
		// goes by that sees another request's beginning where we see none: nothing may follow on
		// this connection (RFC 9112, section 6.1).
		w.Header()["Connection"] = closeConnection
	}
	s.handler.ServeHTTP(w, r)
}

// Handler returns what answers the requests, for a server of the caller's own.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers requests on the listener until the server is shut down, and then returns
// nil. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	// This stands below TLS: net/http must see the TLS connections themselves.
	l = s.options.Connections.Listener(l, func(err error) { s.log.printf(ofConnection, "%v", err) })
	if s.options.TLS != nil {
		l = tls.NewListener(l, s.options.TLS)
	}
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Logf writes a line to the log about a request whose client is not told all, unless there were
// too many such lines in this second.
func (s *Server) Logf(format string, args ...any) { s.log.printf(ofRequest, format, args...) }

// FlushLog tells how many lines were left out of the log because there were too many, and not told
// yet. It is to be called about twice a second.
func (s *Server) FlushLog() { s.log.flush() }

// Stopping is closed when the server begins to shut down: answers that last are to end.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Shutdown stops listening, has answers that last end, lets requests that have begun
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

// Busy notes that the request's connection is of use: it does not give way to another until the
// request has ended. A door calls it when it goes on to what a request asks for. The connection of
// one that is refused, or open to everybody, never is busy: anybody could hold it by a body that
// does not come, or an answer that is not read.
func Busy(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok { // a server of somebody else's has none
		busy(conn)
	}
}

// noteState keeps account of what a connection is doing: on some no request has ever begun, as
// clients that dial ahead leave them behind.
func (s *Server) noteState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.silent.Store(conn, nil)
	case http.StateActive: // it is busy when its request is admitted, see Busy
		s.silent.Delete(conn)
	case http.StateIdle: // it was active before that
		idle(conn)
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

// From returns where a request comes from; the zero address where it is none that TCP has.
func From(r *http.Request) netip.AddrPort {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from
}

// Admit returns who sent a request from an address, which is counted as one of that class; or why it is turned
// away, whatever it asks for.
func (s *Server) Admit(r *http.Request, from netip.AddrPort, class access.Class) (*access.Caller, *access.Refusal) {
	request := access.Request{
		From:       from,
		Class:      class,
		Credential: s.credential(r),
		Host:       r.Host,
		Origins:    r.Header["Origin"],
		FetchSites: r.Header["Sec-Fetch-Site"],
	}
	return s.options.Guard().Admit(&request, s.options.Now())
}

// Identify returns whose credential a request has now, or why it has none that is good. It counts
// nothing.
func (s *Server) Identify(r *http.Request) (*access.Caller, *access.Refusal) {
	c := s.credential(r)
	return s.options.Guard().Identify(&c, s.options.Now())
}

// Still reports whether a request that was admitted as a caller's would be now, and with the same
// rights. Answers that last are to ask it now and then.
func (s *Server) Still(caller *access.Caller, r *http.Request) bool {
	c := s.credential(r)
	return s.options.Guard().Still(caller, &c, s.options.Now())
}

func (s *Server) credential(r *http.Request) access.Credential {
	c := s.options.Credential(r)
	c.TLS = r.TLS
	return c
}

// Record has a request told in the audit, as one that came by this door.
func (s *Server) Record(e *audit.Entry) {
	e.Door = s.options.Name
	s.options.Guard().Note(s.options.Now(), e)
}

// Bearer finds a bearer token in the Authorization header (RFC 6750, section 2.1).
func Bearer(r *http.Request) (c access.Credential) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return c
	}
	c.Sent = true
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		c.Malformed = "there must be one Authorization, and it must be Bearer and a token"
		return c
	}
	c.Token = strings.Trim(token, " ")
	return c
}
