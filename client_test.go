package registry

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// client is one that a server of the DNS library serves over a socket that is not there. It
// keeps what it is sent.
type client struct {
	socket   dns.ResponseWriter // as the library hands it to a handler
	sent     []byte             // in wire form
	messages int                // that were packed
}

func newClient(network string, decorate ...dns.DecorateWriter) *client {
	c := new(client)
	c.socket = newSocket(network, func(b []byte) {
		if isMessage() {
			c.messages++
			return
		}
		c.sent = slices.Clone(b)
	}, decorate...)
	return c
}

// server returns the writer that CoreDNS puts around the socket's.
func (c *client) server(question *dns.Msg) dns.ResponseWriter {
	return request.NewScrubWriter(question, c.socket)
}

// isMessage reports whether what is being sent was a message that the library has packed.
func isMessage() bool {
	var places [32]uintptr
	frames := runtime.CallersFrames(places[:runtime.Callers(1, places[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "dns.(*response).WriteMsg") {
			return true
		}
		if !more {
			return false
		}
	}
}

// newSocket returns the writer that the DNS library hands to a handler, over "udp" or "tcp".
// What is written to it comes to sent; what it packs first to a decorated writer, if there is one.
func newSocket(network string, sent func([]byte), decorate ...dns.DecorateWriter) (w dns.ResponseWriter) {
	server := dns.Server{Handler: dns.HandlerFunc(func(handed dns.ResponseWriter, _ *dns.Msg) {
		w = handed
		w.Hijack() // or the library closes it
	})}
	for _, d := range decorate {
		server.DecorateWriter = d
	}
	if network == "udp" {
		server.PacketConn = &packetConn{sent: sent}
	} else {
		server.Listener = &listener{sent: sent}
	}
	_ = server.ActivateAndServe() // ends when the query is served
	return w
}

// packetConn is a socket to which one query comes.
type packetConn struct {
	oneQuery
	sent func([]byte)
}

func (c *packetConn) LocalAddr() net.Addr { return new(net.UDPAddr) }

func (c *packetConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.sent(b)
	return len(b), nil
}

// listener has one connection over which one query comes.
type listener struct {
	net.Listener
	came bool
	sent func([]byte)
}

func (l *listener) Accept() (net.Conn, error) {
	if l.came {
		return nil, io.EOF
	}
	l.came = true
	query, err := new(dns.Msg).SetQuestion(".", dns.TypeNS).Pack()
	query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	return &conn{query: bytes.NewReader(query), sent: l.sent}, err
}

func (l *listener) Close() error { return nil }

type conn struct {
	net.Conn
	query *bytes.Reader
	sent  func([]byte)
}

func (c *conn) Read(b []byte) (int, error)      { return c.query.Read(b) }
func (c *conn) SetReadDeadline(time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr             { return new(net.TCPAddr) }
func (c *conn) RemoteAddr() net.Addr            { return new(net.TCPAddr) }

func (c *conn) Write(b []byte) (int, error) {
	c.sent(b[2:]) // the length stands before it
	return len(b), nil
}
