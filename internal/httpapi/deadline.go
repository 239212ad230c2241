package httpapi

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// net/http moves the deadlines of a connection eight times for each request, and each is a
// timer of the runtime's: that costs a heartbeat about as much as all that we do about it.
// Most of those deadlines nobody ever waits for.

// lazyListener has connections that move their timers only for who waits, and for which the kernel
// holds little that it cannot send.
type lazyListener struct{ net.Listener }

func (l lazyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	boundUnsent(conn)
	c := &lazyConn{Conn: conn}
	c.read.set, c.write.set = conn.SetReadDeadline, conn.SetWriteDeadline
	return c, nil
}

// lazyConn is a connection whose deadlines are those that it is given, as far as anybody can
// tell. Its methods may be called from any goroutine.
type lazyConn struct {
	net.Conn
	read, write deadline
}

func (c *lazyConn) Read(b []byte) (n int, err error) {
	if err := c.read.begin(); err != nil {
		return 0, err
	}
	for {
		n, err = c.Conn.Read(b)
		if n > 0 || !c.read.early(err) {
			c.read.end()
			return n, err
		}
	}
}

func (c *lazyConn) Write(b []byte) (n int, err error) {
	if err := c.write.begin(); err != nil {
		return 0, err
	}
	for {
		written, err := c.Conn.Write(b[n:])
		n += written
		if !c.write.early(err) {
			c.write.end()
			return n, err
		}
	}
}

func (c *lazyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.want(t), c.write.want(t))
}

func (c *lazyConn) SetReadDeadline(t time.Time) error { return c.read.want(t) }

func (c *lazyConn) SetWriteDeadline(t time.Time) error { return c.write.want(t) }

// deadline is one of a connection's. Its timer is moved when somebody waits who would wait
// too long. One that goes off early is moved then, and the waiting goes on: so a deadline
// that is put off again and again, as a connection in use has it, moves a timer once in its
// span.
type deadline struct {
	set func(time.Time) error // moves the timer

	mu      sync.Mutex // guards what follows
	wanted  time.Time  // the zero time is never
	timer   time.Time  // when the timer goes off, or went off; the zero time is never
	waiting int        // how many calls may wait
}

// want replaces the deadline, also for who waits already.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if d.waiting > 0 && d.late() {
		return d.move()
	}
	return nil
}

// begin comes before a call that may wait. It returns an error where the deadline is over.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late() {
		if d.over() {
			return os.ErrDeadlineExceeded
		}
		if err := d.move(); err != nil {
			return err
		}
	}
	d.waiting++
	return nil
}

// early reports whether the call has ended although the deadline is not over, and is to be
// made again.
func (d *deadline) early(err error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.over() && d.move() == nil
}

// end comes after a call that has returned from begin without an error.
func (d *deadline) end() {
	d.mu.Lock()
	d.waiting--
	d.mu.Unlock()
}

// late reports whether the timer goes off too late.
func (d *deadline) late() bool {
	return !d.wanted.IsZero() && (d.timer.IsZero() || d.wanted.Before(d.timer))
}

func (d *deadline) over() bool { return !d.wanted.IsZero() && !time.Now().Before(d.wanted) }

func (d *deadline) move() error {
	d.timer = d.wanted
	return d.set(d.wanted)
}
