package door_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/service"
)

// The smallest front door that there can be, in one piece of text that a new one may begin with:
//
//	PUT /SERVICE/ID     the body is an address: registers an instance
//	GET /SERVICE?index= its ids, once they are not those of that index any more
//
// Its credential is a header of its own, and its errors are plain text.
func init() {
	door.Register(door.Protocol{
		Name:  "tiny",
		Usage: "[NAMESPACE]",
		Setup: func(args []string) (func(door.Env) http.Handler, error) {
			namespace := "default"
			switch len(args) {
			case 0:
			case 1:
				namespace = args[0]
			default:
				return nil, fmt.Errorf("there are %d arguments after the address: write [NAMESPACE]", len(args))
			}
			return func(e door.Env) http.Handler { return &tiny{e, namespace} }, nil
		},
		HTTP2: true,
		Credential: func(r *http.Request) access.Credential {
			token := r.Header.Get("X-Tiny-Token")
			return access.Credential{Sent: token != "", Token: token}
		},
	})
}

type tiny struct {
	door.Env
	namespace string
}

func (t *tiny) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, refusal := t.Server.Admit(r, door.From(r), access.Ordinary)
	if refusal != nil {
		t.refuse(w, r, refusal)
		return
	}
	svc, id, _ := strings.Cut(r.URL.Path[1:], "/")
	name := service.Name{Namespace: t.namespace, Service: svc}
	write := r.Method == http.MethodPut
	if write && !caller.MayWrite(name) || !caller.MayRead(name) {
		t.refuse(w, r, &access.Refusal{Kind: access.Forbidden, Detail: "it takes a grant on " + name.String()})
		return
	}
	door.Busy(r)
	if write {
		t.put(w, r, caller, service.ID{Name: name, ID: id})
	} else {
		t.get(w, r, caller, name)
	}
}

func (t *tiny) refuse(w http.ResponseWriter, r *http.Request, refusal *access.Refusal) {
	code := map[access.Kind]int{access.Forbidden: 403, access.TooManyRequests: 429, access.Unavailable: 503}[refusal.Kind]
	if code == 0 {
		code = 401
	}
	t.Server.Record(&audit.Entry{From: door.From(r), What: r.Method, Status: code, Why: refusal.Detail})
	http.Error(w, refusal.Detail, code)
}

func (t *tiny) put(w http.ResponseWriter, r *http.Request, caller *access.Caller, id service.ID) {
	_, err := door.MediaType(r, "text/plain")
	var body []byte
	if err == nil {
		body, err = door.ReadBody(nil, r, 64)
	}
	addr, bad := netip.ParseAddr(string(body))
	if err != nil || bad != nil {
		http.Error(w, fmt.Sprint(err, bad), http.StatusBadRequest)
		return
	}
	by := service.Caller{Name: caller.Name, Admin: caller.Admin, From: door.From(r).Addr()}
	change := service.Change{Op: service.Register, ID: id, Instance: &service.Instance{Addresses: []netip.Addr{addr}}}
	_, revision, err := t.Engine.Apply(by, []service.Change{change}, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	t.Server.Record(&audit.Entry{Who: caller.Name, From: door.From(r), What: "PUT", On: []service.ID{id}, Status: 200, Revision: revision})
	fmt.Fprint(w, revision)
}

// get answers with the ids and the index of the service, once that is another than the client has.
func (t *tiny) get(w http.ResponseWriter, r *http.Request, caller *access.Caller, name service.Name) {
	index, _ := strconv.ParseUint(r.URL.Query().Get("index"), 10, 64)
	state := t.Engine.State()
	if view := state.Service(name); index > 0 && (view == nil || view.Revision <= index) {
		changed, stop := state.Wait(name)
		defer stop()
		if refusal := t.Server.LongPoll(w, r, caller, changed, time.After(5*time.Minute)); refusal != nil {
			t.refuse(w, r, refusal)
			return
		}
		state = t.Engine.State()
	}
	view := state.Service(name)
	if view == nil {
		http.Error(w, "no such service", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Index", strconv.FormatUint(view.Revision, 10))
	for i := range view.Instances {
		fmt.Fprintln(w, i.ID().ID)
	}
}

// front is a tiny door that is open, with a client of it.
type front struct {
	t      *testing.T
	world  *enginetest.World
	server *door.Server
	addr   string
	client *http.Client
	served chan error

	mu    sync.Mutex
	lines []string // of the audit; guarded by mu
}

func (f *front) Close() error { return nil }

func (f *front) Write(_ time.Time, line []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, string(line))
}

// open opens one on a listener, where the credential "secret" may do everything.
func open(t *testing.T, l net.Listener, transport *http.Transport, o door.Options) *front {
	t.Helper()
	p, ok := door.Lookup("tiny")
	if !ok {
		t.Fatal("it is not registered")
	}
	f := &front{t: t, world: enginetest.NewWorld(t, enginetest.Rules(), nil), addr: l.Addr().String(), client: &http.Client{Transport: transport}, served: make(chan error, 1)}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, fmt.Appendf(nil, "web sha256:%x write:*/*\nreader sha256:%x read:*/*\n", sha256.Sum256([]byte("secret")), sha256.Sum256([]byte("look"))), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := access.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	guard := access.NewGuard(access.Rules{Tokens: tokens, Audit: audit.New(f)})
	o.Guard = func() *access.Guard { return guard }
	if f.server, err = p.NewServer([]string{"prod"}, f.world.Engine, o); err != nil {
		t.Fatal(err)
	}
	go func() { f.served <- f.server.Serve(l) }()
	return f
}

func (f *front) close() {
	f.t.Helper()
	f.client.CloseIdleConnections()
	if err := f.server.Shutdown(context.Background()); err != nil {
		f.t.Errorf("Shutdown: %v", err)
	}
	if err := <-f.served; err != nil {
		f.t.Errorf("Serve: %v", err)
	}
}

type answer struct {
	code        int
	body, index string
	proto       int
}

func (f *front) do(method, path, body, token string) answer {
	r, err := http.NewRequest(method, "http://"+f.addr+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("X-Tiny-Token", token)
	response, err := f.client.Do(r)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer response.Body.Close()
	read, _ := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(read), response.Header.Get("X-Index"), response.ProtoMajor}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestADoorIsAFolderAndAName(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(!http2)
		transport.Protocols.SetUnencryptedHTTP2(http2)
		f := open(t, listen(t), transport, door.Options{})
		got := f.do("PUT", "/web/web-1", "192.0.2.7", "secret")
		if want := map[bool]int{false: 1, true: 2}[http2]; got.code != 200 || got.proto != want {
			t.Errorf("registration: got %+v, want it by HTTP/%d", got, want)
		}
		if i := f.world.Engine.State().Instance(service.ID{Name: service.Name{Namespace: "prod", Service: "web"}, ID: "web-1"}); i == nil || i.Owner != "web" {
			t.Errorf("got the instance %+v", i)
		}
		for _, token := range []string{"", "guess"} {
			if got := f.do("PUT", "/web/web-2", "192.0.2.8", token); got.code != 401 {
				t.Errorf("with the token %q: got %+v", token, got)
			}
		}
		if got := f.do("PUT", "/web/web-2", "192.0.2.8", "look"); got.code != 403 {
			t.Errorf("with a credential that may not: got %+v", got)
		}
		if got := f.do("PUT", "/web/web-2", strings.Repeat("1", 65), "secret"); got.code != 400 || !strings.Contains(got.body, door.ErrTooLarge.Error()) {
			t.Errorf("a body that is too large: got %+v", got)
		}
		f.close()
		if len(f.lines) != 4 {
			t.Fatalf("got the audit %q", f.lines)
		}
		for n, want := range []string{`door=tiny what=PUT on=web-1.web.prod status=200 revision=`, `door=tiny what=PUT status=401 why="a credential is needed"`, `door=tiny what=PUT status=401 why="the token is not known here"`, `door=tiny what=PUT status=403 why="it takes a grant on `} {
			if !strings.Contains(f.lines[n], want) {
				t.Errorf("got the line %s, want %s", f.lines[n], want)
			}
		}
	}
}

func TestALongPollIsAnsweredByItsServiceAlone(t *testing.T) {
	f := open(t, listen(t), &http.Transport{}, door.Options{})
	defer f.close()
	f.do("PUT", "/web/web-1", "192.0.2.7", "secret")
	begun := f.do("GET", "/web", "", "secret")
	polled := make(chan answer, 1)
	go func() { polled <- f.do("GET", "/web?index="+begun.index, "", "secret") }()
	for n := range 10 {
		f.do("PUT", fmt.Sprintf("/other/other-%d", n), "192.0.2.9", "secret")
	}
	select {
	case got := <-polled:
		t.Errorf("answered by others: %+v", got)
	default:
	}
	f.do("PUT", "/web/web-2", "192.0.2.8", "secret")
	if got := <-polled; got.code != 200 || got.body != "web-1\nweb-2\n" || got.index == begun.index {
		t.Errorf("got %+v", got)
	}
}

// A long poll outlasts the limits on a request, ends in its time and leaves a connection that is as
// good as any. A shutdown has it answered.
func TestALongPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipes()
		f := open(t, pipes, &http.Transport{DialContext: pipes.dial}, door.Options{})
		f.do("PUT", "/web/web-1", "192.0.2.7", "secret")
		index := f.do("GET", "/web", "", "secret").index
		for range 2 {
			began := time.Now()
			if got := f.do("GET", "/web?index="+index, "", "secret"); got.code != 200 || got.index != index || time.Since(began) != 5*time.Minute {
				t.Errorf("after %s: got %+v", time.Since(began), got)
			}
		}
		polled := make(chan answer, 1)
		go func() { polled <- f.do("GET", "/web?index="+index, "", "secret") }()
		synctest.Wait()
		began := time.Now()
		f.close()
		if got := <-polled; got.code != 200 || time.Since(began) > 5*time.Second {
			t.Errorf("on shutdown: got %+v after %s", got, time.Since(began))
		}
	})
}

func TestLongPollsHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipes()
		f := open(t, pipes, &http.Transport{DialContext: pipes.dial}, door.Options{Connections: door.NewConnections(16, time.Now)})
		f.do("PUT", "/web/web-1", "192.0.2.7", "secret")
		index := f.do("GET", "/web", "", "secret").index
		var polls sync.WaitGroup
		for range 2 { // an eighth of 16 connections
			polls.Go(func() { f.do("GET", "/web?index="+index, "", "secret") })
		}
		synctest.Wait()
		if got := f.do("GET", "/web?index="+index, "", "secret"); got.code != 429 {
			t.Errorf("a third: got %+v", got)
		}
		if got := f.do("GET", "/web", "", "secret"); got.code != 200 {
			t.Errorf("a request that waits for nothing: got %+v", got)
		}
		f.do("PUT", "/web/web-2", "192.0.2.8", "secret")
		polls.Wait()
		f.close()
	})
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

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

func TestADoorIsRegisteredOnce(t *testing.T) {
	if !slices.Contains(door.Names(), "tiny") {
		t.Errorf("got %q", door.Names())
	}
	p, _ := door.Lookup("tiny")
	if _, err := p.NewServer([]string{"a", "b"}, nil, door.Options{}); err == nil || !strings.HasPrefix(err.Error(), "tiny: there are 2 arguments") {
		t.Errorf("too many arguments: got %v", err)
	}
	for _, p := range []door.Protocol{p, {Name: "new"}, {Setup: p.Setup}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was registered", p.Name)
				}
			}()
			door.Register(p)
		}()
	}
}
