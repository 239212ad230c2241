package registry

import (
	"io"
	"net"
	"reflect"
	"time"

	"github.com/miekg/dns"
)

// isSocket reports whether a writer is the DNS library's own, over UDP, TCP or TLS, and writes
// the messages that it packs by itself: a server may have it hand them to another one, as
// *shed* does.
func isSocket(w dns.ResponseWriter) bool {
	v := reflect.ValueOf(w)
	if v.Type() != socket.writer {
		return false
	}
	packed := v.Elem().Field(socket.packed).Elem()
	return packed.Kind() == reflect.Pointer && packed.Pointer() == v.Pointer()
}

// socket is the type of the writer that a server of the DNS library hands to its handler, which
// is not exported, and which of its fields is the writer of the messages that it packs.
var socket = func() (s struct {
	writer reflect.Type
	packed int
}) {
	look := func(w dns.ResponseWriter, _ *dns.Msg) {
		t := reflect.TypeOf(w)
		if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
			return
		}
		field, ok := t.Elem().FieldByName("writer")
		if ok && field.Type == reflect.TypeFor[dns.Writer]() {
			s.writer, s.packed = t, field.Index[0]
		}
	}
	server := dns.Server{PacketConn: new(oneQuery), Handler: dns.HandlerFunc(look)}
	_ = server.ActivateAndServe() // ends with the query, and waits for the handler
	return s                      // empty with a library that does it otherwise: then no writer is one
}()

// oneQuery is a socket to which one query comes.
type oneQuery struct {
	net.PacketConn
	came bool
}

func (c *oneQuery) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.came {
		return 0, nil, io.EOF
	}
	c.came = true
	query, err := new(dns.Msg).SetQuestion(".", dns.TypeNS).PackBuffer(b)
	return len(query), new(net.UDPAddr), err
}

func (c *oneQuery) SetReadDeadline(time.Time) error { return nil }
func (c *oneQuery) Close() error                    { return nil }
