package httpapi

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/service"
)

// imported writes an import of these instances, each as its id, and of definitions.
func imported(instances string, definitions ...string) string {
	var list []string
	for id := range strings.FieldsSeq(instances) {
		list = append(list, `{"namespace":"default","service":"web","id":"`+id+`","addresses":["192.0.2.7"]}`)
	}
	return `{"format":1,"services":[` + strings.Join(definitions, ",") + `],"instances":[` + strings.Join(list, ",") + `]}`
}

func TestAnImportIsMerged(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", `{"addresses":["192.0.2.8"],"status":"draining"}`)
	w.must(http.StatusCreated, "PUT", web+"/instances/web-4", oneOf4)
	w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/api", `{}`)
	w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/old", `{}`)
	lease := w.memory.State().Instance(service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: "web-1"}).Lease()
	before, _ := lease.Deadline()
	body := imported("web-3 web-2 web-1",
		`{"namespace":"default","service":"api","type":"headless"}`,
		`{"namespace":"default","service":"web","publishNotReady":true}`,
		`{"namespace":"default","service":"new"}`)

	was, revision := w.export(), w.memory.State().Revision
	want := `{"dryRun":true,"revision":105,
		"services":{"created":1,"changed":1,"unchanged":1,"firstCreated":["default/new"],"firstChanged":["default/web"]},
		"instances":{"created":1,"changed":1,"unchanged":1,"firstCreated":["default/web/web-3"],"firstChanged":["default/web/web-2"]}}`
	if got := w.must(http.StatusOK, "POST", "/v1/import?dryRun=true", body).body; got != compact(t, want) {
		t.Errorf("a dry run: got\n%s\nwant\n%s", got, compact(t, want))
	}
	if is := w.export(); is != was || w.memory.State().Revision != revision {
		t.Errorf("a dry run has changed\n%s\nto\n%s", was, is)
	}

	want = `{"dryRun":false,"revision":106,"services":{"created":1,"changed":1,"unchanged":1},"instances":{"created":1,"changed":1,"unchanged":1}}`
	if got := w.must(http.StatusOK, "POST", "/v1/import", body).body; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for path, revision := range map[string]string{web1: "101", web + "/instances/web-2": "106", web + "/instances/web-3": "106", web + "/instances/web-4": "103"} {
		if got := fmt.Sprint(w.must(http.StatusOK, "GET", path, "").get(t, "revision")); got != revision {
			t.Errorf("%s has revision %s, want %s", path, got, revision)
		}
	}
	if got := w.must(http.StatusOK, "GET", web+"/instances/web-2", "").get(t, "status"); got != "draining" {
		t.Errorf("what the import leaves open was changed: the status is %v", got)
	}
	if after, _ := lease.Deadline(); after != before {
		t.Error("the lease of an instance that stays the same was renewed")
	}

	want = `{"dryRun":false,"revision":106,"services":{"created":0,"changed":0,"unchanged":3},"instances":{"created":0,"changed":0,"unchanged":3}}`
	if got := w.must(http.StatusOK, "POST", "/v1/import?dryRun=false", body).body; got != want {
		t.Errorf("once more: got %s, want %s", got, want)
	}
}

func TestADryRunNamesNotAllThereIs(t *testing.T) {
	w := start(t)
	var ids strings.Builder
	for n := range maxNamed + 10 {
		fmt.Fprintf(&ids, " i-%d", n)
	}
	got := w.must(http.StatusOK, "POST", "/v1/import?dryRun=true", imported(ids.String()))
	if names := got.get(t, "instances", "firstCreated").([]any); len(names) != maxNamed || fmt.Sprint(got.get(t, "instances", "created")) != fmt.Sprint(maxNamed+10) {
		t.Errorf("got %d names in %s", len(names), got.body)
	}
}

func TestEveryFaultOfAnImportIsTold(t *testing.T) {
	w := start(t)
	const id = `"namespace":"a","service":"b","id":"c"`
	const good = `{"namespace":"default","service":"web","id":"good","addresses":["192.0.2.7"]}`
	for _, c := range []struct {
		what, body string
		code       int
		fields     string
	}{
		{"no object", `[]`, 400, "[]"},
		{"no JSON", `{"format":1,"instances":[` + good, 400, "[]"},
		{"nothing", ` `, 400, "[]"},
		{"something after it", `{"format":1} x`, 400, "[]"},
		{"no format", `{"instances":[` + good + `]}`, 422, "[format]"},
		{"an unknown format", `{"format":3,"instances":[` + good + `]}`, 422, "[format]"},
		{"an unknown format with what there is not in this one", `{"format":3,"zones":{},"instances":{}}`, 422, "[format]"},
		{"an unknown format at the end", `{"zones":{},"instances":[1],"services":[{}],"format":18446744073}`, 422, "[format]"},
		{"the format of something else", `{"format":"2.0","instances":[` + good + `]}`, 400, "[format]"},
		{"a format twice", `{"format":1,"format":1}`, 400, "[format]"},
		{"a null format", `{"format":null,"services":null,"instances":null}`, 422, "[format]"},
		{"an unknown field", `{"format":1,"zones":[]}`, 400, "[zones]"},
		{"elements that are none", `{"format":1,"services":[7],"instances":[` + good + `,null,` + good + `]}`, 400, "[instances[1] instances[2] services[0]]"},
		{"names that are missing", `{"format":1,"services":[{},{}],"instances":[{"addresses":["192.0.2.7"]},{"addresses":["192.0.2.7"]}]}`, 422,
			"[instances[0].id instances[0].namespace instances[0].service instances[1].id instances[1].namespace instances[1].service " +
				"services[0].namespace services[0].service services[1].namespace services[1].service]"},
		{"values that are not allowed", `{"format":1,"instances":[` + good + `,{` + id + `,"addresses":["192.0.2.7","::"],"ports":[{"port":0}]}],` +
			`"services":[{"namespace":"A","service":"b","type":"clusterIP"}]}`, 422,
			"[instances[1].addresses[1] instances[1].ports[0].port services[0].clusterIPs services[0].namespace]"},
		{"faults of form and of value", `{"format":1,"instances":[{` + id + `,"addresses":["x",7],"status":"UP","names":7,"adresses":1}]}`, 400,
			"[instances[0].addresses[0] instances[0].addresses[1] instances[0].adresses instances[0].status]"},
		{"what stands there twice", `{"format":1,"instances":[` + good + `,{` + id + `,"addresses":["192.0.2.7"]},` + good + `,` + good + `],` +
			`"services":[{"namespace":"a","service":"b"},{"namespace":"a","service":"c"},{"namespace":"a","service":"b","publishNotReady":true}]}`, 422,
			"[instances[2] instances[3] services[2]]"},
	} {
		for _, path := range []string{"/v1/import", "/v1/import?dryRun=true"} {
			got := w.must(c.code, "POST", path, c.body)
			if fields := fmt.Sprint(got.fields(t)); fields != c.fields {
				t.Errorf("%s: got %s, want %s\n%s", c.what, fields, c.fields, got.body)
			}
		}
	}
	if state := w.memory.State(); state.Revision != firstRevision {
		t.Errorf("something was changed: the revision is %d", state.Revision)
	}
	w.must(http.StatusBadRequest, "POST", "/v1/import?dryRun=yes", imported("a")).fields(t)
}

func TestFaultsOfAnImportThatOnlyTheTableKnowsAreTold(t *testing.T) {
	var logged strings.Builder
	w := start(t, func(o *Options) { o.Log = log.New(&logged, "", 0) })
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	w.memory.trouble = &service.Invalid{Faults: []service.Fault{
		{Change: 1, Message: "is over a quota"}, {Change: 2, Field: "leaseSeconds", Message: "is out of range"}, {Change: 0, Field: "type", Message: "is odd"},
	}}
	// web-1 is there already: it is no change.
	body := imported("web-1 web-2 web-3", `{"namespace":"a","service":"b"}`)
	if got := fmt.Sprint(w.must(http.StatusUnprocessableEntity, "POST", "/v1/import", body).fields(t)); got != "[instances[1] instances[2].leaseSeconds services[0].type]" {
		t.Errorf("got %s", got)
	}
	w.memory.trouble = errors.New("disk is full")
	got := w.must(http.StatusServiceUnavailable, "POST", "/v1/import", body)
	if got.header.Get("Retry-After") == "" || logged.String() != "POST import: disk is full\n" {
		t.Errorf("got %s, logged %q", got.body, &logged)
	}
	w.must(http.StatusOK, "POST", "/v1/import", imported("web-1")) // nothing is changed, so nothing is asked of the store
}

func TestTooManyFaultsOfAnImportAreCounted(t *testing.T) {
	w := start(t)
	got := w.must(http.StatusBadRequest, "POST", "/v1/import", `{"format":1,"services":[`+strings.Repeat("1,", maxFaults+6)+`1]}`)
	if fields := got.fields(t); len(fields) != maxFaults+1 || !strings.Contains(got.body, "has 7 faults more") {
		t.Errorf("got %d faults, and %s", len(fields), got.body[len(got.body)-200:])
	}
	long := `{"namespace":"` + strings.Repeat("x", 2000) + `","service":"a"},`
	got = w.must(http.StatusUnprocessableEntity, "POST", "/v1/import", `{"format":1,"services":[`+strings.Repeat(long, 4999)+long[:len(long)-1]+`]}`)
	if len(got.body) > 2*maxTold || !strings.Contains(got.body, "faults more") {
		t.Errorf("of a body of %d bytes got one of %d", 5000*len(long), len(got.body))
	}
}

func TestAnImportHasLimits(t *testing.T) {
	w := start(t)
	got := w.raw(fmt.Sprintf("POST /v1/import HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", maxImport+1))
	if got.code != http.StatusRequestEntityTooLarge {
		t.Errorf("announced too large: got %d", got.code)
	}
	for _, c := range []struct{ what, body, place string }{
		{"a long string", `{"format":1,"services":[{"namespace":"` + strings.Repeat("x", maxElement) + `"}]}`, "services[0]"},
		{"many ports", `{"format":1,"instances":[{},{"ports":[` + strings.Repeat(`{"port":1},`, maxElement/10), "instances[1]"},
		{"what is ignored", `{"format":1,"instances":[{"names":[` + strings.Repeat(`"",`, maxElement/3), "instances[0]"},
		{"a format without end", `{"format":` + strings.Repeat("1", maxElement+1), "a value"},
		{"nothing but space", strings.Repeat(" ", maxElement+1), "a value"},
	} {
		got := w.must(http.StatusRequestEntityTooLarge, "POST", "/v1/import", c.body+strings.Repeat(" ", 100))
		if detail := fmt.Sprint(got.get(t, "detail")); !strings.HasPrefix(detail, c.place+" ") && !strings.HasPrefix(detail, c.place+" in the body") {
			t.Errorf("%s: got %s", c.what, got.body)
		}
	}
	got = w.raw("POST /v1/import HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
	if got.code != http.StatusBadRequest || !got.close {
		t.Errorf("chunks that are none: got %d %s, want 400", got.code, got.body)
	}
}

func TestAnUploadIsReadUpToItsLimit(t *testing.T) {
	for _, most := range []int{100, 3 * uploadPace} {
		for size, want := range map[int]error{0: nil, most - 1: nil, most: nil, most + 1: door.ErrTooLarge, 10 * most: door.ErrTooLarge} {
			for _, slow := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
				u := newImports(int64(most)).begin(discard{http.Header{}}, false)
				err := u.receive(slow(strings.NewReader(strings.Repeat("x", size))))
				if err != want {
					t.Errorf("%d bytes: got %v, want %v", size, err, want)
				}
				if err != nil {
					continue
				}
				if a, err := u.take(); err != nil || iotest.TestReader(&arrived{chunks: a.chunks, until: math.MaxInt64}, []byte(strings.Repeat("x", size))) != nil {
					t.Errorf("%d bytes: it is something else that has arrived (%v)", size, err)
				}
				if s := u.imports; s.held != 0 || len(s.uploads) != 0 {
					t.Errorf("%d bytes are still held", s.held)
				}
			}
		}
	}
	a := &arrived{chunks: [][]byte{make([]byte, 3*maxElement)}}
	a.advance(7)
	if got, err := io.ReadAll(a); len(got) != 7+maxElement || err != errElementTooLarge {
		t.Errorf("got %d bytes and %v", len(got), err)
	}
}

// slowImport sends an import of so many instances in pieces, one every so often, and
// returns the answer and how long it took.
func slowImport(w *world, instances, piece int, every time.Duration) (string, time.Duration) {
	var ids strings.Builder
	for n := range instances {
		fmt.Fprintf(&ids, " i-%d", n)
	}
	body := imported(ids.String())
	c := w.conn()
	began, sent := time.Now(), make(chan struct{})
	go func() {
		defer close(sent)
		fmt.Fprintf(c, "POST /v1/import HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(body))
		for ; len(body) > piece; body = body[piece:] {
			if _, err := io.WriteString(c, body[:piece]); err != nil {
				return
			}
			<-time.After(every)
		}
		io.WriteString(c, body)
	}()
	got, _ := io.ReadAll(c)
	took := time.Since(began)
	<-sent
	return string(got), took
}

func TestAnImportMayTakeLongAsItComes(t *testing.T) {
	inBubble(t, func(w *world) {
		got, took := slowImport(w, 60_000, uploadPace, door.ReadTimeout-time.Second)
		if !strings.Contains(got, "200 OK") || !strings.Contains(got, `"created":60000`) || took < 5*door.ReadTimeout {
			t.Errorf("after %s: got %s", took, got)
		}
	})
	inBubble(t, func(w *world) {
		got, took := slowImport(w, 60_000, 1000, 2*time.Second)
		if !strings.Contains(got, "408 Request Timeout") || took != door.ReadTimeout {
			t.Errorf("too slow: after %s got %s", took, got)
		}
	})
}

// Whoever keeps the pace and has much to send would else take hours.
func TestAnImportMustArriveInTime(t *testing.T) {
	inBubble(t, func(w *world) {
		got, took := slowImport(w, 90_000, uploadPace, door.ReadTimeout-time.Second)
		if !strings.Contains(got, "408 Request Timeout") || !strings.Contains(got, "not received whole in 10m0s") || took != uploadTimeout {
			t.Errorf("after %s: got %s", took, got)
		}
	})
}

// beginImport sends the header of an import and the first half of its body. What it returns sends
// the other half and returns the answer.
func (w *world) beginImport(body string, headers ...string) func() string {
	w.t.Helper()
	c := w.conn()
	header := fmt.Sprintf("POST /v1/import HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n", len(body))
	for n := 0; n < len(headers); n += 2 {
		header += headers[n] + ": " + headers[n+1] + "\r\n"
	}
	half := len(body) / 2
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, header+"\r\n"+body[:half]) // an error shows in the answer
	}()
	<-sent
	return func() string {
		go func() { _, _ = io.WriteString(c, body[half:]) }()
		got, _ := io.ReadAll(c)
		return string(got)
	}
}

func TestASlowImportKeepsNobodyOut(t *testing.T) {
	inBubble(t, func(w *world) {
		finish := w.beginImport(imported("slow"))
		synctest.Wait()
		w.must(http.StatusOK, "POST", "/v1/import", imported("fast"))
		w.must(http.StatusOK, "POST", "/v1/import?dryRun=true", imported("faster"))
		if got := finish(); !strings.Contains(got, "200 OK") {
			t.Errorf("the slow one got %s", got)
		}
	})
}

// The room for imports that arrive is for one of the largest, and nobody can fill it to keep an
// administrator out.
func TestImportsThatArriveShareTheRoom(t *testing.T) {
	many := func(prefix string, n int) string { // of about 80 bytes each
		var ids strings.Builder
		for i := range n {
			fmt.Fprintf(&ids, " %s-%06d", prefix, i)
		}
		return imported(ids.String())
	}
	d := newGate(t, "a write:*/*", "b write:*/*", "root admin")
	inBubble(t, func(w *world) {
		w.server.imports = newImports(2 << 20)
		large := w.beginImport(many("large", 22_500), as("a")...) // 0.9 MiB of 1.8 are there
		small := w.beginImport(many("small", 15_000), as("b")...) // 0.6 of 1.2
		synctest.Wait()
		if got := w.do("POST", "/v1/import", many("root", 13_000), as("root")...); got.code != http.StatusOK { // 1.0
			t.Errorf("the administrator got %d %s", got.code, got.body)
		}
		if got := large(); !strings.Contains(got, "503 Service Unavailable") || !strings.Contains(got, "Retry-After") {
			t.Errorf("the largest got %.300s", got)
		}
		if got := small(); !strings.Contains(got, "200 OK") {
			t.Errorf("the smaller got %.300s", got)
		}
		if s := w.server.imports; s.held != 0 || len(s.uploads) != 0 || len(s.turn) != 0 {
			t.Errorf("%d bytes of %d uploads are still held", s.held, len(s.uploads))
		}
	}, d.guards)
}

func TestWhoGivesWayWhenImportsFillTheRoom(t *testing.T) {
	const most = 100 * uploadPace
	type sizes []int64 // of uploads, in parts of uploadPace; those of administrators are below zero
	for _, c := range []struct {
		what string
		is   sizes
		who  int // of them wants as much as
		much int64
		room bool
		lose []int
	}{
		{"there is room", sizes{50, 40}, 1, 10, true, nil},
		{"the larger one", sizes{60, 40}, 1, 10, true, []int{0}},
		{"who asks, when it is the largest itself", sizes{60, 41}, 0, 1, false, nil},
		{"who asks, when it would be", sizes{20, 30, 40, 11}, 3, 40, false, nil},
		{"anybody before an administrator", sizes{-90, 1, 10}, 0, 5, true, []int{2}},
		{"all before an administrator", sizes{-90, 5, 6}, 0, 11, true, []int{2, 1}},
		{"an administrator before none", sizes{-60, 41}, 1, 1, false, nil},
		{"nor before another one", sizes{-60, -41}, 1, 1, false, nil},
	} {
		s := newImports(most)
		var all []*upload
		for _, size := range c.is {
			u := s.begin(discard{http.Header{}}, size < 0)
			u.held = max(size, -size) * uploadPace
			s.held += u.held
			all = append(all, u)
		}
		if room := s.makeRoom(all[c.who], c.much*uploadPace); room != c.room {
			t.Errorf("%s: got room %t, want %t", c.what, room, c.room)
		}
		held := int64(0)
		for n, u := range all {
			held += u.held
			if u.lost != slices.Contains(c.lose, n) || u.lost && u.held != 0 {
				t.Errorf("%s: upload %d has lost: %t, and holds %d", c.what, n, u.lost, u.held)
			}
		}
		if s.held != held {
			t.Errorf("%s: %d are held, of them %d by uploads", c.what, s.held, held)
		}
	}
}

func TestNothingIsHeldOfElementsThatAreWrong(t *testing.T) {
	for what, element := range map[string]string{
		"nothing": `{}`, "no id": `{"namespace":"a","service":"b","addresses":["192.0.2.7"]}`, "no object": `7`,
	} {
		w := newImporter(&arrived{chunks: [][]byte{[]byte(`{"format":1,"instances":[` + strings.Repeat(element+",", 50_000) + element + `]}`)}}, (*service.Change).Check)
		w.read()
		if len(w.changes) != 0 || cap(w.changes) > 100 || len(w.faults) == 0 {
			t.Errorf("%s: %d changes are held, with %d faults", what, len(w.changes), len(w.faults))
		}
	}
	w := newImporter(&arrived{chunks: [][]byte{[]byte(`{"format":1,"instances":[{"namespace":"a","service":"b","id":"c","weight":-1}],"services":[{"namespace":"a","service":"b"}]}`)}}, (*service.Change).Check)
	w.read()
	if len(w.changes) != 2 || w.changes[0].Instance != nil || w.changes[1].Definition != nil {
		t.Errorf("got %+v", w.changes)
	}
}

// The store may take longer over a million instances than a request has time.
func TestAnImportMayTakeLongToBeKept(t *testing.T) {
	inBubble(t, func(w *world) {
		w.memory.entered = func() { <-time.After(5 * door.WriteTimeout) }
		w.must(http.StatusOK, "POST", "/v1/import", imported("a b c"))
		w.memory.entered = nil
		// The connection is none the worse for it.
		l := w.watch("?since=101")
		l.hears("what comes", "101 synced")
		w.must(http.StatusCreated, "PUT", web1, oneOf4)
		l.hears("what comes then", "102 put instance default/web/web-1")
	})
}

func TestOneImportIsMadeAtATime(t *testing.T) {
	inBubble(t, func(w *world) {
		entered, leave := make(chan struct{}), make(chan struct{})
		w.memory.entered = func() {
			close(entered)
			<-leave
		}
		answered := make(chan answer)
		go func() { answered <- w.do("POST", "/v1/import", imported("a")) }()
		<-entered
		synctest.Wait()
		began := time.Now()
		got := w.must(http.StatusServiceUnavailable, "POST", "/v1/import?dryRun=true", imported("b"))
		if got.header.Get("Retry-After") == "" || time.Since(began) != turnTimeout {
			t.Errorf("after %s: got the header %v", time.Since(began), got.header)
		}
		waits := make(chan answer)
		go func() { waits <- w.do("POST", "/v1/import", imported("b")) }()
		synctest.Wait()
		if exists := w.memory.State().Revision != firstRevision; exists {
			t.Error("something was imported by now")
		}
		w.memory.entered = nil
		close(leave)
		for _, a := range []answer{<-answered, <-waits} {
			if a.code != http.StatusOK {
				t.Errorf("got %d %s", a.code, a.body)
			}
		}
	})
}

// What is imported and exported is imported again without a change, whatever the reader.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"format":2}`, `{"format":3}`, `[`, `{"format":1,"services":[{}],"instances":[{}]}`, `{"format":1,"revision":{"a":[1]},"services":[1,null],"instances":{"a":[]}}`,
		imported("a b c"), imported("b a b", `{"namespace":"a","service":"b","type":"clusterIP","clusterIPs":["192.0.2.1"]}`, `{"namespace":"a","service":"b"}`),
		`{"instances":[{"namespace":"a","service":"b","id":"c","addresses":["192.0.2.7"],"hostname":"x","weight":7,"metadata":{"a":"é"},"names":[{}]}],"format":1}`,
	} {
		f.Add([]byte(seed))
	}
	server := func() (*memory, http.Handler) {
		m := newMemory(time.Now)
		return m, New(m, Options{}).Handler()
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		post := func(h http.Handler, body io.Reader) answer {
			request, err := http.NewRequest("POST", "/v1/import", body)
			if err != nil {
				t.Fatal(err)
			}
			response := recorder{header: http.Header{}}
			h.ServeHTTP(&response, request)
			return answer{code: response.code, body: response.body.String()}
		}
		m, h := server()
		first := post(h, iotest.OneByteReader(strings.NewReader(string(body))))
		if first.code != http.StatusOK {
			if first.code != http.StatusBadRequest && first.code != http.StatusUnprocessableEntity || m.State().Revision != firstRevision {
				t.Fatalf("%s: got %d %s, and revision %d", body, first.code, first.body, m.State().Revision)
			}
			return
		}
		request, _ := http.NewRequest("GET", "/v1/export", nil)
		response := recorder{header: http.Header{}}
		h.ServeHTTP(&response, request)
		exported := response.body.String()
		if got := post(h, strings.NewReader(exported)); !strings.Contains(got.body, `"services":{"created":0,"changed":0,`) || !strings.Contains(got.body, `"instances":{"created":0,"changed":0,`) {
			t.Fatalf("%s is exported as\n%s\nwhich changes it: %s", body, exported, got.body)
		}
		_, other := server()
		if got := post(other, strings.NewReader(exported)); got.code != http.StatusOK {
			t.Fatalf("%s is exported as\n%s\nwhich is no import: %s", body, exported, got.body)
		}
	})
}

// recorder is a response that is kept.
type recorder struct {
	header http.Header
	code   int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(code int)        { r.code = code }

// An import is one change, which may be larger than what is collected for a watcher.
func TestAnImportIsToldToWatchersPieceByPiece(t *testing.T) {
	inBubble(t, func(w *world) {
		follows := w.watch("")
		follows.hears("nothing is there", "100 synced")
		const n = 1000
		var ids strings.Builder
		for i := range n {
			fmt.Fprintf(&ids, " i-%03d", i)
		}
		w.must(http.StatusOK, "POST", "/v1/import", imported(ids.String()))
		resumes := w.watch("?since=100")
		told := 0
		for i := range n {
			for _, l := range []*listener{follows, resumes} {
				line := l.line()
				told += len(line)
				if !strings.Contains(line, fmt.Sprintf(`"id":"i-%03d"`, i)) || strings.HasSuffix(line, `"more":true}`) != (i < n-1) {
					t.Fatalf("line %d: got %s", i, line)
				}
			}
		}
		resumes.hears("the import is told", "101 synced")
		if told < 10*fullStream {
			t.Errorf("%d bytes are no test", told)
		}
	})
}
