package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

const benchBody = `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","protocol":"tcp","port":8080}],"hostname":"web-1","weight":10,"priority":0,"zone":"eu-west-1a","metadata":{"version":"1.4.2"},"leaseSeconds":30,"status":"up"}`

// bare is what a registration costs where nobody checks anything: net/http and
// encoding/json, with the same bodies on the wire.
func bare(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path[len(r.URL.Path)-1] == 't' { // .../heartbeat
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var i struct {
		Namespace, Service, ID string
		Addresses              []string `json:"addresses"`
		Ports                  []struct {
			Name, Protocol string
			Port           int
		} `json:"ports"`
		Hostname     string            `json:"hostname"`
		Weight       *int              `json:"weight"`
		Priority     int               `json:"priority"`
		Zone         string            `json:"zone"`
		Metadata     map[string]string `json:"metadata"`
		LeaseSeconds int               `json:"leaseSeconds"`
		Status       string            `json:"status"`
		Revision     int               `json:"revision"`
		RegisteredAt time.Time         `json:"registeredAt"`
		ExpiresAt    *time.Time        `json:"expiresAt"`
		Names        []string          `json:"names"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&i); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.RegisteredAt = time.Now()
	i.ExpiresAt = &i.RegisteredAt
	i.Names = []string{"web-1.web.default.svc.cluster.local."}
	body, err := json.Marshal(&i)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"1"`)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

// BenchmarkRequests measures whole requests over connections that are kept. The bare
// handler beside each says what net/http itself costs.
func BenchmarkRequests(b *testing.B) {
	registered := New(newMemory(time.Now), Options{})
	for _, server := range []struct {
		name    string
		handler http.Handler
	}{{"bare", http.HandlerFunc(bare)}, {"ours", registered.Handler()}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{Handler: server.handler}
		go s.Serve(l)
		b.Cleanup(func() { s.Close() })
		b.Run("register/"+server.name, func(b *testing.B) {
			request := fmt.Sprintf("PUT /v1/namespaces/default/services/web-%%d/instances/web-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(benchBody), benchBody)
			roundTrips(b, l.Addr().String(), request)
		})
		b.Run("heartbeat/"+server.name, func(b *testing.B) {
			roundTrips(b, l.Addr().String(), "PUT /v1/namespaces/default/services/web-%d/instances/web-1/heartbeat HTTP/1.1\r\nHost: x\r\n\r\n")
		})
	}
}

var connections atomic.Int64

func roundTrips(b *testing.B, addr, request string) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		n := connections.Add(1)
		wire := []byte(fmt.Sprintf(request, n%4))
		r := bufio.NewReader(c)
		for pb.Next() {
			if _, err := c.Write(wire); err != nil {
				b.Error(err)
				return
			}
			if err := skipResponse(r); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// skipResponse reads a response and costs next to nothing.
func skipResponse(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && line[9] != '2' {
			return fmt.Errorf("got %s", line)
		}
		if len(line) == 2 {
			_, err := io.CopyN(io.Discard, r, int64(length))
			return err
		}
		if n, ok := contentLength(line); ok {
			length = n
		}
	}
}

func contentLength(line []byte) (n int, ok bool) {
	const name = "Content-Length: "
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return 0, false
	}
	for _, c := range line[len(name):] {
		if c >= '0' && c <= '9' {
			n = 10*n + int(c-'0')
		}
	}
	return n, true
}

// BenchmarkHandlers measures what is ours alone.
func BenchmarkHandlers(b *testing.B) {
	handler := New(newMemory(time.Now), Options{}).Handler()
	for _, c := range []struct{ name, method, path, body string }{
		{"register", "PUT", web1, benchBody},
		{"heartbeat", "PUT", web1 + "/heartbeat", ""},
		{"get", "GET", web1, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			body := &again{body: c.body}
			request, err := http.NewRequest(c.method, c.path, body)
			if err != nil {
				b.Fatal(err)
			}
			request.ContentLength = int64(len(c.body))
			response := discard{http.Header{}}
			for b.Loop() {
				body.at = 0
				clear(response.header)
				handler.ServeHTTP(response, request)
			}
		})
	}
}

// again is a body that can be read again.
type again struct {
	body string
	at   int
}

func (a *again) Read(b []byte) (int, error) {
	if a.at == len(a.body) {
		return 0, io.EOF
	}
	n := copy(b, a.body[a.at:])
	a.at += n
	return n, nil
}
