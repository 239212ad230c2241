package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a server with a client of it.
type world struct {
	t      *testing.T
	memory *memory
	server *Server
	addr   string
	client *http.Client
	served chan error // what Serve returned
}

// start serves a memory on a port of its own until the test ends.
func start(t *testing.T, options ...func(*Options)) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := startOn(t, l, new(net.Dialer).DialContext, options...)
	return w
}

func startOn(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error), options ...func(*Options)) *world {
	t.Helper()
	var o Options
	for _, set := range options {
		set(&o)
	}
	m := newMemory(time.Now)
	w := &world{
		t:      t,
		memory: m,
		server: New(m, o),
		addr:   l.Addr().String(),
		client: &http.Client{Transport: &http.Transport{DialContext: dial}},
		served: make(chan error, 1),
	}
	go func() { w.served <- w.server.Serve(l) }()
	t.Cleanup(w.stop)
	return w
}

func (w *world) stop() {
	w.client.CloseIdleConnections()
	if err := w.server.Shutdown(context.Background()); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
	if err := <-w.served; err != nil {
		w.t.Errorf("Serve: %v", err)
	}
	w.served <- nil // for who stops it twice
}

// answer is what a request was answered with.
type answer struct {
	code   int
	header http.Header
	body   string
	close  bool // the connection is of no more use
}

// do sends a request and returns the answer, which must be one that the document knows.
// headers are names and values by turns.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, "http://"+w.addr+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := w.client.Do(request)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{response.StatusCode, response.Header, string(read), response.Close}
	documented(w.t, request, response, read)
	return a
}

// must is do for a request whose status is known.
func (w *world) must(code int, method, path, body string, headers ...string) answer {
	w.t.Helper()
	a := w.do(method, path, body, headers...)
	if a.code != code {
		w.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, a.code, a.body, code)
	}
	return a
}

// raw sends a request as it is written and returns the answer to it.
func (w *world) raw(request string) answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%q: %v", request, err)
	}
	defer response.Body.Close()
	read, _ := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(read), response.Close}
}

// get returns a member of an object, by the names on the way to it.
func (a answer) get(t *testing.T, path ...string) any {
	t.Helper()
	var v any
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	for _, name := range path {
		v = v.(map[string]any)[name]
	}
	return v
}

// fields returns the fields that a problem names, in order.
func (a answer) fields(t *testing.T) []string {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		Errors              []struct{ Field, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if p.Type != "about:blank" || p.Status != a.code || p.Title != http.StatusText(a.code) || p.Detail == "" {
		t.Errorf("got the problem %+v with status %d", p, a.code)
	}
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
		if e.Message == "" {
			t.Errorf("%s has no message", e.Field)
		}
	}
	slices.Sort(fields)
	return fields
}

// compact returns JSON without space in it.
func compact(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return b.String()
}

const (
	web    = "/v1/namespaces/default/services/web"
	web1   = web + "/instances/web-1"
	oneOf4 = `{"addresses":["192.0.2.7"]}`
)
