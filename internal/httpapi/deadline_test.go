package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// moves counts how often the timers of a connection are moved.
type moves struct {
	net.Conn
	read, write int
}

func (m *moves) SetReadDeadline(t time.Time) error {
	m.read++
	return m.Conn.SetReadDeadline(t)
}

func (m *moves) SetWriteDeadline(t time.Time) error {
	m.write++
	return m.Conn.SetWriteDeadline(t)
}

// lazyPipe returns a lazy connection, what it has made of the deadlines, and its other end.
func lazyPipe(t *testing.T) (lazy net.Conn, timers *moves, far net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	timers = &moves{Conn: near}
	lazy, err := lazyListener{oneConn{timers}}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return lazy, timers, far
}

// oneConn is a listener with one connection.
type oneConn struct{ conn net.Conn }

func (o oneConn) Accept() (net.Conn, error) { return o.conn, nil }
func (o oneConn) Close() error              { return nil }
func (o oneConn) Addr() net.Addr            { return nil }

const (
	never  = 0
	passed = -1
)

// in returns the deadline so many seconds after a time.
func in(began time.Time, seconds int) time.Time {
	switch seconds {
	case never:
		return time.Time{}
	case passed:
		return time.Unix(1, 0)
	}
	return began.Add(time.Duration(seconds) * time.Second)
}

func TestALazyDeadlineIsKept(t *testing.T) {
	for _, c := range []struct {
		what   string
		before []int       // deadlines that are set before somebody waits, in seconds from then
		during map[int]int // and while somebody does: those at such a second
		want   int         // how long the wait is
	}{
		{"it comes", []int{2}, nil, 2},
		{"it was another first, later", []int{5, 2}, nil, 2},
		{"it was another first, earlier", []int{1, 2}, nil, 2},
		{"it has passed", []int{passed}, nil, 0},
		{"it had passed, and another was set", []int{passed, 2}, nil, 2},
		{"it had passed, was taken away, and another was set", []int{passed, never, 2}, nil, 2},
		{"it is set while somebody waits", nil, map[int]int{1: 2}, 2},
		{"it is brought forward", []int{5}, map[int]int{1: 2}, 2},
		{"it is put off", []int{2}, map[int]int{1: 5}, 5},
		{"it is put off again and again", []int{2}, map[int]int{1: 3, 2: 4, 3: 5}, 5},
		{"it is put off, and brought forward again before the first one", []int{3}, map[int]int{1: 5, 2: 3}, 3},
		{"it is taken away, and set again", []int{2}, map[int]int{1: never, 4: 5}, 5},
		{"it is set into the past, as net/http does to end a read", []int{5}, map[int]int{1: passed}, 1},
		{"it is set into the past where none was", nil, map[int]int{1: passed}, 1},
	} {
		for _, way := range []struct {
			what string
			call func(net.Conn, []byte) (int, error)
			set  func(net.Conn, time.Time) error
		}{
			{"a read", net.Conn.Read, net.Conn.SetReadDeadline},
			{"a write", net.Conn.Write, net.Conn.SetWriteDeadline},
			{"a read, by both deadlines", net.Conn.Read, net.Conn.SetDeadline},
			{"a write, by both deadlines", net.Conn.Write, net.Conn.SetDeadline},
		} {
			synctest.Test(t, func(t *testing.T) {
				conn, _, _ := lazyPipe(t)
				began := time.Now()
				set := func(seconds int) {
					if err := way.set(conn, in(began, seconds)); err != nil {
						t.Errorf("%s, %s: set %d: %v", way.what, c.what, seconds, err)
					}
				}
				for _, seconds := range c.before {
					set(seconds)
				}
				for at, seconds := range c.during {
					time.AfterFunc(time.Duration(at)*time.Second, func() { set(seconds) })
				}
				n, err := way.call(conn, make([]byte, 10))
				if timeout, ok := err.(net.Error); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !timeout.Timeout() {
					t.Errorf("%s, %s: got %d bytes and %v", way.what, c.what, n, err)
				}
				if took := time.Since(began); took != time.Duration(c.want)*time.Second {
					t.Errorf("%s, %s: waited %s, want %d s", way.what, c.what, took, c.want)
				}
			})
		}
	}
}

func TestAnEarlyTimerLosesNothing(t *testing.T) {
	for _, c := range []struct {
		what string
		wait func(conn, far net.Conn) error
	}{
		{"a read that the timer broke off", func(conn, far net.Conn) error {
			time.AfterFunc(4*time.Second, func() { io.WriteString(far, "read") })
			return expect(conn, "read")
		}},
		{"a write that the timer broke off in the middle", func(conn, far net.Conn) error {
			written := make(chan error)
			go func() {
				n, err := io.WriteString(conn, "written")
				if err == nil && n != len("written") {
					err = io.ErrShortWrite
				}
				written <- err
			}()
			if err := expect(far, "wri"); err != nil {
				return err
			}
			time.Sleep(4 * time.Second)
			return errors.Join(expect(far, "tten"), <-written)
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn, _, far := lazyPipe(t)
			began := time.Now()
			conn.SetDeadline(in(began, 2))
			time.AfterFunc(time.Second, func() { conn.SetDeadline(in(began, 10)) })
			if err := c.wait(conn, far); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		})
	}
}

// expect reads what must come.
func expect(r io.Reader, want string) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

func TestOneRequestAfterTheOtherMovesNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, timers, far := lazyPipe(t)
		go io.Copy(far, far)
		for range 10 {
			// As net/http does it.
			now := time.Now()
			conn.SetReadDeadline(now.Add(headerTimeout))
			conn.SetReadDeadline(now.Add(readTimeout))
			conn.SetWriteDeadline(now.Add(writeTimeout))
			conn.SetReadDeadline(time.Time{})
			io.WriteString(conn, "the answer")
			conn.SetReadDeadline(in(now, passed)) // nobody reads ahead yet
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("a read after its deadline reads something")
			}
			conn.SetReadDeadline(time.Time{})
			conn.SetWriteDeadline(time.Time{})
			conn.SetReadDeadline(now.Add(idleTimeout))
			if err := expect(conn, "the answer"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if timers.read != 1 || timers.write != 1 {
			t.Errorf("the timers were moved %d and %d times", timers.read, timers.write)
		}
	})
}
