package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A connection is one to a registration endpoint, kept alive. Only one goroutine uses it.
type connection struct {
	conn    net.Conn
	answers *bufio.Reader
	out     []byte
}

func dial(address string) (*connection, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, answers: bufio.NewReader(conn)}, nil
}

// A request is what is sent, and the status that is the right answer.
type request struct {
	method, path, body string
	want               int
}

// do sends a request and waits for its answer. It is written by hand, so that it costs
// little beside the server that is measured.
func (c *connection) do(r request) error {
	c.out = fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", r.method, r.path, len(r.body), r.body)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != r.want {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s %s: got %s, want %d: %.300s", r.method, r.path, answer.Status, r.want, text)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
