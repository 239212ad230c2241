package httpapi

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// inBubble runs a test in which time is not real: it passes when all wait, and then as
// fast as can be. A goroutine that the server leaves behind fails it. Sockets are no part
// of that, so server and client have pipes between them, which hold nothing back: who
// writes waits until somebody reads.
func inBubble(t *testing.T, test func(w *world), options ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		test(startOn(t, l, l.dial, options...))
	})
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8053} }
