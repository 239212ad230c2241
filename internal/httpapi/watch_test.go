package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/service"
)

// listener is a client that watches.
type listener struct {
	t      *testing.T
	lines  *bufio.Reader
	header http.Header
	leave  func()
}

// watch begins to watch. It ends with the test, if not before.
func (w *world) watch(query string, headers ...string) *listener {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.addr+"/v1/watch"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := w.client.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("watch%s: got %d", query, response.StatusCode)
	}
	leave := func() {
		cancel()
		response.Body.Close()
	}
	w.t.Cleanup(leave)
	return &listener{w.t, bufio.NewReader(response.Body), response.Header, leave}
}

// line returns the next line without its end, or an error's text in brackets.
func (l *listener) line() string {
	line, err := l.lines.ReadString('\n')
	if err != nil {
		return fmt.Sprintf("[%v]", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// next returns the next line in short: "101 put instance default/web/web-1 more".
func (l *listener) next() string {
	l.t.Helper()
	return short(l.t, l.line())
}

func short(t *testing.T, line string) string {
	if !strings.HasPrefix(line, "{") {
		return line
	}
	documentedEvent(t, line)
	var e struct {
		Revision                           uint64
		Type, Kind, Namespace, Service, ID string
		Instance, Definition               map[string]any
		More                               bool
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return err.Error()
	}
	words := []string{fmt.Sprint(e.Revision), e.Type}
	if e.Kind != "" {
		words = append(words, e.Kind, strings.TrimSuffix(e.Namespace+"/"+e.Service+"/"+e.ID, "/"))
	}
	if e.Type == "put" && (e.Instance != nil) == (e.Definition != nil) || e.Type != "put" && (e.Instance != nil || e.Definition != nil) {
		words = append(words, "with", fmt.Sprint(e.Instance, e.Definition))
	}
	if e.More {
		words = append(words, "more")
	}
	return strings.Join(words, " ")
}

// hears fails the test unless these are the next lines.
func (l *listener) hears(what string, want ...string) {
	l.t.Helper()
	for i, line := range want {
		if got := l.next(); got != line {
			l.t.Fatalf("%s, line %d: got %q, want %q", what, i, got, line)
		}
	}
}

// silent fails the test if there is another line now.
func (l *listener) silent() {
	l.t.Helper()
	synctest.Wait()
	if n := l.lines.Buffered(); n > 0 {
		l.t.Fatalf("got %q, want nothing", l.line())
	}
}

// fill registers two instances of one service, and one of another that is defined.
func fill(w *world) {
	w.t.Helper()
	w.must(http.StatusCreated, "PUT", web1, oneOf4)                                            // 101
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", oneOf4)                          // 102
	w.must(http.StatusCreated, "PUT", "/v1/namespaces/other/services/api", `{}`)               // 103
	w.must(http.StatusCreated, "PUT", "/v1/namespaces/other/services/api/instances/a", oneOf4) // 104
	w.must(http.StatusOK, "PUT", web1, oneOf4)                                                 // changes nothing
}

const emptied = `{"operations":[{"op":"deregister","namespace":"default","service":"web","id":"web-1"},
	{"op":"register","namespace":"other","service":"api","id":"b","instance":{"addresses":["192.0.2.8"]}},
	{"op":"deregister","namespace":"default","service":"web","id":"web-2"}]}`

func TestAWatcherIsToldTheStateAndThenWhatChanges(t *testing.T) {
	inBubble(t, func(w *world) {
		empty := w.watch("")
		empty.hears("nothing is there", "100 synced")
		fill(w)
		empty.hears("then comes something",
			"101 put instance default/web/web-1", "102 put instance default/web/web-2",
			"103 put service other/api", "104 put instance other/api/a")

		l := w.watch("")
		if got := l.header.Get("Content-Type"); got != "application/x-ndjson" {
			t.Errorf("got the type %s", got)
		}
		l.hears("the state",
			"104 put instance default/web/web-1 more", "104 put instance default/web/web-2 more",
			"104 put service other/api more", "104 put instance other/api/a more", "104 synced")
		l.silent()
		w.must(http.StatusOK, "POST", "/v1/batch", emptied)
		l.hears("what changes at once is told together",
			"105 delete instance default/web/web-1 more", "105 put instance other/api/b more", "105 delete instance default/web/web-2")
		w.must(http.StatusOK, "DELETE", "/v1/namespaces/other/services/api", "")
		l.hears("a service that goes tells its instances first",
			"106 delete instance other/api/a more", "106 delete instance other/api/b more", "106 delete service other/api")
		l.silent()
	})
}

func TestAWatcherIsToldOnlyWhatItAskedFor(t *testing.T) {
	inBubble(t, func(w *world) {
		fill(w)
		ns, svc, none := w.watch("?namespace=default"), w.watch("?namespace=default&service=web"), w.watch("?namespace=no&service=web")
		for _, l := range []*listener{ns, svc} {
			l.hears("the state of the namespace", "104 put instance default/web/web-1 more", "104 put instance default/web/web-2 more", "104 synced")
		}
		none.hears("the state of what is not there", "104 synced")
		late := w.watch("?namespace=other&since=101")
		late.hears("what has changed there", "103 put service other/api", "104 put instance other/api/a", "104 synced")
		w.must(http.StatusOK, "POST", "/v1/batch", emptied)
		w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/api", `{}`)
		for _, l := range []*listener{ns, svc} {
			l.hears("the last of those asked for is not marked", "105 delete instance default/web/web-1 more", "105 delete instance default/web/web-2")
		}
		late.hears("and here it is another", "105 put instance other/api/b")
		ns.hears("the namespace's other service", "106 put service default/api")
		svc.silent()
		none.silent()
	})
}

func TestAWatcherResumes(t *testing.T) {
	inBubble(t, func(w *world) {
		fill(w)
		w.watch("?since=100").hears("from the beginning",
			"101 put instance default/web/web-1", "102 put instance default/web/web-2", "103 put service other/api", "104 put instance other/api/a", "104 synced")
		l := w.watch("?since=103")
		l.hears("from the last but one", "104 put instance other/api/a", "104 synced")
		w.must(http.StatusOK, "DELETE", web1, "")
		l.hears("and on", "105 delete instance default/web/web-1")
		w.watch("?since=105").hears("from where it is", "105 synced")
		for _, since := range []string{"99", "0", "106", "18446744073709551615"} {
			w.must(http.StatusGone, "GET", "/v1/watch?since="+since, "").fields(t)
		}
		for _, query := range []string{"?since=x", "?since=-1", "?since=18446744073709551616", "?%zz"} {
			w.must(http.StatusBadRequest, "GET", "/v1/watch"+query, "")
		}
		for query, field := range map[string]string{"?service=web": "namespace", "?namespace=A": "namespace", "?namespace=a&service=_b": "service"} {
			got := w.must(http.StatusUnprocessableEntity, "GET", "/v1/watch"+query, "").fields(t)
			if !slices.Equal(got, []string{field}) {
				t.Errorf("watch%s: got %v, want %s", query, got, field)
			}
		}
	})
}

func TestAWatcherMayHaveServerSentEvents(t *testing.T) {
	inBubble(t, func(w *world) {
		fill(w)
		l := w.watch("?namespace=default", "Accept", "text/html, text/event-stream;q=0.9")
		if got := l.header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("got the type %s", got)
		}
		hears := func(want ...string) {
			t.Helper()
			for _, line := range want {
				got, data := strings.CutPrefix(l.line(), "data: ")
				if data {
					got = "data: " + short(t, got)
				}
				if got != line {
					t.Fatalf("got %q, want %q", got, line)
				}
			}
		}
		hears("data: 104 put instance default/web/web-1 more", "", "data: 104 put instance default/web/web-2 more", "", "id: 104", "data: 104 synced", "")
		w.must(http.StatusOK, "POST", "/v1/batch", emptied)
		hears("data: 105 delete instance default/web/web-1 more", "", "id: 105", "data: 105 delete instance default/web/web-2", "")
		hears(":", "") // 15 s later

		// The event source comes back with the URL that it had at first.
		l = w.watch("?namespace=default&since=100", "Accept", "text/event-stream", "Last-Event-ID", "104")
		hears("data: 105 delete instance default/web/web-1 more", "", "id: 105", "data: 105 delete instance default/web/web-2", "", "id: 105", "data: 105 synced", "")
		w.must(http.StatusBadRequest, "GET", "/v1/watch", "", "Accept", "text/event-stream", "Last-Event-ID", "x")
		w.must(http.StatusGone, "GET", "/v1/watch", "", "Accept", "text/event-stream", "Last-Event-ID", "7")
	})
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "application/x-ndjson": false, "text/event-stream;q=0": false, "text/event-stream;q=0.0": false,
		"text/event-stream": true, "Text/Event-Stream": true, "a/b,text/event-stream": true, "text/event-stream; q=0.1": true, "text/event-stream;q": false,
	} {
		if got := accepts([]string{accept}, "text/event-stream"); got != want {
			t.Errorf("Accept: %s: got %t, want %t", accept, got, want)
		}
	}
}

// A proxy that collects a stream to send it later, stores it or compresses it hands on nothing
// until the stream ends.
func TestAStreamAsksProxiesToPassItOnAsItComes(t *testing.T) {
	inBubble(t, func(w *world) {
		for _, accept := range []string{"*/*", "text/event-stream"} {
			streamed := w.watch("", "Accept", accept).header
			asked := w.must(http.StatusOK, "HEAD", "/v1/watch", "", "Accept", accept).header
			for name, want := range map[string]string{"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"} {
				if got := []string{streamed.Get(name), asked.Get(name)}; !slices.Equal(got, []string{want, want}) {
					t.Errorf("%s: %s: GET and HEAD got %q, want %s", accept, name, got, want)
				}
			}
		}
	})
}

func TestASilentStreamIsKeptAlive(t *testing.T) {
	inBubble(t, func(w *world) {
		w.must(http.StatusCreated, "PUT", web1, oneOf4)
		l := w.watch("?namespace=default")
		l.hears("the state", "101 put instance default/web/web-1 more", "101 synced")
		began := time.Now()
		passed := func(what string, want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("%s after %s, want %s", what, got, want)
			}
			began = time.Now()
		}
		l.hears("nothing", "")
		passed("the first keep-alive came", 15*time.Second)
		l.hears("nothing", "")
		passed("the second came", 15*time.Second)
		<-time.After(10 * time.Second)
		w.must(http.StatusOK, "PUT", web1, `{"addresses":["192.0.2.8"]}`)
		l.hears("a change", "102 put instance default/web/web-1")
		passed("the change came", 10*time.Second)
		// What happens elsewhere is silence to this watcher.
		<-time.After(10 * time.Second)
		w.must(http.StatusCreated, "PUT", "/v1/namespaces/other/services/api", `{}`)
		l.hears("nothing", "")
		passed("the third came", 15*time.Second)
		// Longer than any limit on a request.
		for range 40 {
			l.hears("nothing", "")
		}
		passed("forty came", 10*time.Minute)
	})
}

func TestAWatcherThatTakesNothingIsCutOff(t *testing.T) {
	var watching []int
	inBubble(t, func(w *world) {
		fill(w)
		began := time.Now()
		l := w.watch("")
		l.hears("the state", "104 put instance default/web/web-1 more", "104 put instance default/web/web-2 more",
			"104 put service other/api more", "104 put instance other/api/a more", "104 synced")
		w.must(http.StatusOK, "DELETE", web1, "")
		l.hears("a change", "105 delete instance default/web/web-1")
		if time.Since(began) != 0 {
			t.Errorf("to be told took %s", time.Since(began))
		}
		// The client's own buffers hold a few lines; they are not what is meant.
		for range 10_000 {
			change := service.Change{Op: service.Register, ID: service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: "x"},
				Instance: &service.Instance{Addresses: []addr{one}, Priority: uint16(w.memory.State().Revision)}}
			if _, _, err := w.memory.Apply(anyone, []service.Change{change}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(watchWriteTimeout + time.Second)
		synctest.Wait()
		if !slices.Equal(watching, []int{1, -1}) {
			t.Errorf("watchers came and went: %v", watching)
		}
		for {
			line := l.line()
			if strings.HasPrefix(line, "[") {
				break
			}
		}
	}, func(o *Options) { o.Watching = func(delta int) { watching = append(watching, delta) } })
}

// The buffers of a real connection hold megabytes before a write has to wait.
func TestAWatcherThatDoesNotReadItsSocketIsCutOffAndMayResume(t *testing.T) {
	watching := make(chan int, 2)
	w := start(t, func(o *Options) {
		o.StreamWriteTimeout = 300 * time.Millisecond
		o.Watching = func(delta int) { watching <- delta }
	})
	conn := w.conn()
	io.WriteString(conn, "GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := <-watching; got != 1 {
		t.Fatalf("the watcher is counted by %d, want 1", got)
	}
	var metadata service.Metadata
	for n := range 60 { // large instances, since these are fewer changes of as many bytes
		metadata = append(metadata, service.Pair{Key: fmt.Sprintf("%02d", n), Value: strings.Repeat("x", 240)})
	}
	for n := range 2000 {
		change := service.Change{Op: service.Register, ID: service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: "x"},
			Instance: &service.Instance{Addresses: []addr{one}, Priority: uint16(n), Metadata: metadata}}
		if _, _, err := w.memory.Apply(anyone, []service.Change{change}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case got := <-watching:
		if got != -1 {
			t.Fatalf("the watcher is counted by %d, want -1", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("it is not cut off")
	}

	// The connection is closed, each line it has is whole, and it may go on after the last.
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(response.Body)
	var last struct{ Revision uint64 }
	for {
		line, err := lines.ReadBytes('\n')
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatal("it is cut off, and its connection is still open")
		}
		if err != nil { // a line that has no end is none
			break
		}
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
	}
	request, err := http.NewRequest("GET", fmt.Sprintf("http://%s/v1/watch?since=%d", w.addr, last.Revision), nil)
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resumed.Body.Close()
	if last.Revision == 0 || resumed.StatusCode != http.StatusOK && resumed.StatusCode != http.StatusGone {
		t.Errorf("resume from %d: got %d, want 200, or 410 where it is too late", last.Revision, resumed.StatusCode)
	}
}

// A watcher is given time to catch up, and no more than that.
func TestAWatcherThatFallsOutOfTheHistoryIsCutOff(t *testing.T) {
	inBubble(t, func(w *world) {
		l := w.watch("")
		l.hears("the state", "100 synced")
		change := func(n int) {
			for range n {
				c := service.Change{Op: service.Register, ID: service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: "x"},
					Instance: &service.Instance{Addresses: []addr{one}, Priority: uint16(w.memory.State().Revision)}}
				if _, _, err := w.memory.Apply(anyone, []service.Change{c}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 20 { // silence for longer than there is time to catch up
			l.hears("nothing", "")
		}
		change(12_000) // many, but all at once: it is not the watcher's fault
		for revision := 101; revision <= 12_100; revision++ {
			if got, want := l.line(), fmt.Sprintf(`{"revision":%d,`, revision); !strings.HasPrefix(got, want) {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		change(15_000)
		last := 0
		for {
			line := l.line()
			if strings.HasPrefix(line, "[") {
				if line != "[EOF]" {
					t.Errorf("the stream ended with %s", line)
				}
				break
			}
			var e struct{ Revision int }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			last = e.Revision
			<-time.After(100 * time.Millisecond) // 10 a second: it would take half an hour
		}
		if last < 12_500 || last > 14_000 {
			t.Errorf("it was cut off after revision %d", last)
		}
		w.must(http.StatusGone, "GET", fmt.Sprintf("/v1/watch?since=%d", last), "")
	})
}

func TestAWatcherThatLeavesIsNoticed(t *testing.T) {
	var watching []int
	inBubble(t, func(w *world) {
		l := w.watch("")
		l.hears("the state", "100 synced")
		l.leave()
		synctest.Wait()
		if !slices.Equal(watching, []int{1, -1}) {
			t.Errorf("watchers came and went: %v", watching)
		}
	}, func(o *Options) { o.Watching = func(delta int) { watching = append(watching, delta) } })
}

func TestALargeStateIsToldWhole(t *testing.T) {
	inBubble(t, func(w *world) {
		const n = 3000
		var changes []service.Change
		for i := range n {
			changes = append(changes, service.Change{Op: service.Register,
				ID:       service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: fmt.Sprintf("%04d", i)},
				Instance: &service.Instance{Addresses: []addr{one}}})
		}
		if _, _, err := w.memory.Apply(anyone, changes, time.Now()); err != nil {
			t.Fatal(err)
		}
		for query, more := range map[string]string{"": " more", "?since=100": ""} {
			l := w.watch(query)
			for i := range n {
				line := l.line()
				want := fmt.Sprintf(`{"revision":101,"type":"put","kind":"instance","namespace":"default","service":"web","id":"%04d",`, i)
				marked := strings.HasSuffix(line, `,"more":true}`)
				if !strings.HasPrefix(line, want) || marked != (more != "" || i < n-1) {
					t.Fatalf("watch%s: got %s, want %s", query, line, want)
				}
			}
			l.hears("the end of the state", "101 synced")
			l.leave()
		}
	})
}

func TestStreamsEndCleanlyWhenTheServerShutsDown(t *testing.T) {
	inBubble(t, func(w *world) {
		fill(w)
		lines, events := w.watch("?since=104"), w.watch("?since=104", "Accept", "text/event-stream")
		lines.hears("what is there", "104 synced")
		began := time.Now()
		down := make(chan error)
		go func() { down <- w.server.Shutdown(context.Background()) }()
		if got := lines.line(); got != "[EOF]" { // not "unexpected EOF"
			t.Errorf("the stream ended with %s", got)
		}
		rest, err := io.ReadAll(events.lines)
		if err != nil || !strings.HasSuffix(string(rest), "\n\n") {
			t.Errorf("the stream of events ended with %q, %v", rest, err)
		}
		if err := <-down; err != nil || time.Since(began) > time.Second {
			t.Errorf("the shutdown took %s: %v", time.Since(began), err)
		}
	})
}
