package door

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/access"
)

// Connections bounds how many connections are open at once, in all and from one address, of IPv6
// from one /64. Each is a file of the process: when it has no more, DNS over TCP is dead too. So
// all endpoints of a process share one.
//
// At a bound, the connection that has waited longest for a request is closed in favor of the new
// one: HTTP lets a server do so at any time (RFC 9112, section 9.5), and whoever holds idle
// connections keeps nobody out. The address with the most gives way first. Where no connection
// waits, the new one is closed.
//
// Its methods may be called from any goroutine.
type Connections struct {
	max, maxEach int // in all, and of one source
	now          func() time.Time

	mu      sync.Mutex // guards what follows, and the fields of conn and source that say so
	open    []*conn
	sources map[netip.Prefix]*source

	streams streams
}

// source is an address that has connections open.
type source struct {
	prefix netip.Prefix
	open   int // guarded by Connections.mu
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	of     *Connections
	source *source
	place  int // in Connections.open; -1 when it is counted no more; guarded by Connections.mu

	// When it began to wait for a request, in Unix nanoseconds; 0 while one is under way. It is
	// written for every request, so no lock guards it.
	waits atomic.Int64
}

// NewConnections bounds connections to so many in all, and three quarters of that from one address:
// a proxy or this machine is one. With streams on half of all it still has some for requests.
func NewConnections(limit int, now func() time.Time) *Connections {
	return &Connections{
		max:     limit,
		maxEach: max(1, limit*3/4),
		now:     now,
		sources: make(map[netip.Prefix]*source),
		streams: newStreams(limit),
	}
}

// Listener returns a listener of those connections of l that there is room for. For each that is
// closed because there is none, it calls refused with the reason.
func (c *Connections) Listener(l net.Listener, refused func(error)) net.Listener {
	return &boundedListener{l, c, refused}
}

type boundedListener struct {
	net.Listener
	connections *Connections
	refused     func(error)
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		boundUnsent(accepted)
		counted, err := l.connections.admit(accepted)
		if err == nil {
			return counted, nil
		}
		l.refused(errors.Join(err, accepted.Close()))
	}
}

// busy notes that a request is served on a connection of a Listener's, or on TLS over one.
func busy(c net.Conn) {
	if counted := countedOf(c); counted != nil {
		counted.waits.Store(0)
	}
}

// idle notes that a request has ended, and the connection waits for the next.
func idle(c net.Conn) {
	if counted := countedOf(c); counted != nil {
		counted.waits.Store(counted.of.now().UnixNano())
	}
}

func countedOf(c net.Conn) *conn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	counted, _ := c.(*conn)
	return counted
}

// admit counts a connection, and closes another for it where that is needed. It returns an error
// where there is none to close.
func (c *Connections) admit(accepted net.Conn) (*conn, error) {
	n := &conn{Conn: accepted, of: c}
	n.waits.Store(c.now().UnixNano())
	gone, err := c.makeRoom(n, access.Source(remote(accepted)))
	if err != nil {
		return nil, err
	}
	if gone != nil {
		_ = gone.Conn.Close() // it waited: nothing is lost with it
	}
	return n, nil
}

// makeRoom counts a connection in the place of another, if it needs one, and returns that.
func (c *Connections) makeRoom(n *conn, prefix netip.Prefix) (gone *conn, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.source = c.sources[prefix]
	if n.source == nil {
		n.source = &source{prefix: prefix}
	}
	switch {
	case n.source.open >= c.maxEach:
		if gone = c.longestWaiting(n.source); gone == nil {
			return nil, fmt.Errorf("closed a connection from %s: it has %d open, the most of one address, and a request under way on each", prefix, n.source.open)
		}
	case len(c.open) >= c.max:
		if gone = c.longestWaiting(nil); gone == nil {
			return nil, fmt.Errorf("closed a connection from %s: %d are open, the most of all, and a request is under way on each", prefix, len(c.open))
		}
	}
	if gone != nil {
		c.remove(gone)
	}
	n.place = len(c.open)
	c.open = append(c.open, n)
	n.source.open++
	c.sources[prefix] = n.source
	return gone, nil
}

// longestWaiting returns the connection that has waited longest for a request: of those of a
// source, or where that is nil of the source with the most. It returns nil where none waits. It
// looks at all of them, which is cheaper than to keep them in order for every request.
func (c *Connections) longestWaiting(of *source) (longest *conn) {
	var since int64
	for _, n := range c.open {
		waits := n.waits.Load()
		if waits == 0 || of != nil && n.source != of {
			continue
		}
		if longest == nil || n.source.open > longest.source.open || n.source.open == longest.source.open && waits < since {
			longest, since = n, waits
		}
	}
	return longest
}

// remove counts a connection no more. The last takes its place.
func (c *Connections) remove(n *conn) {
	if n.place < 0 {
		return
	}
	last := c.open[len(c.open)-1]
	c.open[n.place], last.place = last, n.place
	c.open[len(c.open)-1] = nil
	c.open = c.open[:len(c.open)-1]
	n.place = -1
	if n.source.open--; n.source.open == 0 {
		delete(c.sources, n.source.prefix)
	}
}

func (n *conn) Close() error {
	n.of.mu.Lock()
	n.of.remove(n)
	n.of.mu.Unlock()
	return n.Conn.Close()
}

// remote returns the address of the other end; the zero address where it has none, as a pipe.
func remote(c net.Conn) netip.Addr {
	if addr, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return addr.AddrPort().Addr()
	}
	return netip.Addr{}
}
