package httpapi

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/service"
)

// callers are those of the tests about who may do what. All but root have grants for the
// one service default/web, or for others.
var callers = []string{
	"reader read:default/web",
	"writer write:default/web",
	"other write:default/web", // and the instances are not its own
	"outreader read:default/api read:prod/web",
	"outwriter write:default/api write:prod/web",
	"root admin",
}

// fillAs has the writer register web-1 and web-2, and root what others have no grant for:
// default/secret and dark/web.
func fillAs(w *world) {
	w.t.Helper()
	w.must(http.StatusCreated, "PUT", web1, oneOf4, as("writer")...)
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", oneOf4, as("writer")...)
	for _, path := range []string{"default/services/secret", "dark/services/web"} {
		w.must(http.StatusCreated, "PUT", "/v1/namespaces/"+path, `{}`, as("root")...)
		w.must(http.StatusCreated, "PUT", "/v1/namespaces/"+path+"/instances/hidden", oneOf4, as("root")...)
	}
}

// guarded starts a server that fillAs has filled.
func guarded(t *testing.T, options ...func(*Options)) (*world, *gate) {
	t.Helper()
	d := newGate(t, callers...)
	w := start(t, append(options, d.guards)...)
	fillAs(w)
	d.audited()
	return w, d
}

// TestWhoMayDoWhat has a row for every method of every resource: one without fails it.
func TestWhoMayDoWhat(t *testing.T) {
	const one = `{"namespace":"default","service":"web","id":"web-1"}`
	beat := `{"operations":[{"op":"heartbeat",` + one[1:] + `]}`
	// The columns are: no credential, a wrong token, two tokens, Basic, then who may read it,
	// read something else, write something else, write it, write it while the instance is
	// another's, and an administrator.
	rows := map[string]struct {
		path, body string
		want       [10]int
	}{
		"GET instance":              {web1, "", [10]int{401, 401, 401, 401, 200, 403, 403, 200, 200, 200}},
		"PUT instance":              {web1, oneOf4, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"DELETE instance":           {web1, "", [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"PUT heartbeat":             {web1 + "/heartbeat", "", [10]int{401, 401, 401, 401, 403, 403, 403, 204, 409, 204}},
		"PUT status":                {web1 + "/status", `{"status":"down"}`, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"GET service":               {web, "", [10]int{401, 401, 401, 401, 200, 403, 403, 200, 200, 200}},
		"PUT service":               {web, `{}`, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 200, 200}},
		"DELETE service":            {web, "", [10]int{401, 401, 401, 401, 403, 403, 403, 200, 200, 200}},
		"GET services of namespace": {"/v1/namespaces/default/services", "", [10]int{401, 401, 401, 401, 200, 200, 200, 200, 200, 200}},
		"GET namespaces":            {"/v1/namespaces", "", [10]int{401, 401, 401, 401, 200, 200, 200, 200, 200, 200}},
		"GET services":              {"/v1/services", "", [10]int{401, 401, 401, 401, 200, 200, 200, 200, 200, 200}},
		"POST heartbeats":           {"/v1/heartbeats", `{"instances":[` + one + `]}`, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"POST batch":                {"/v1/batch", beat, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"GET watch":                 {"/v1/watch?namespace=default&service=web", "", [10]int{401, 401, 401, 401, 200, 403, 403, 200, 200, 200}},
		"GET explain":               {"/v1/explain?name=web.default.svc.cluster.local", "", [10]int{401, 401, 401, 401, 200, 403, 403, 200, 200, 200}},
		"GET snapshot":              {"/v1/snapshot", "", [10]int{401, 401, 401, 401, 403, 403, 403, 403, 403, 404}}, // in memory there is none
		"GET export":                {"/v1/export", "", [10]int{401, 401, 401, 401, 200, 200, 200, 200, 200, 200}},
		"POST import":               {"/v1/import", `{"format":2,"instances":[` + one[:len(one)-1] + `,"addresses":["192.0.2.8"]}]}`, [10]int{401, 401, 401, 401, 403, 403, 403, 200, 409, 200}},
		"GET status":                {"/v1/status", "", [10]int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
		"GET openapi":               {"/openapi.json", "", [10]int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
	}
	credentials := [10][]string{
		nil, as("nobody"), slices.Concat(as("root"), as("writer")), {"Authorization", "Basic cm9vdDpyb290"},
		as("reader"), as("outreader"), as("outwriter"), as("writer"), as("other"), as("root"),
	}
	for _, r := range resources {
		for _, m := range r.methods {
			row, ok := rows[m.route]
			if !ok {
				t.Errorf("%s %s has no row: who may do it?", m.name, r.path)
				continue
			}
			delete(rows, m.route)
			w, d := guarded(t)
			w.memory.explainOf = service.Name{Namespace: "default", Service: "web"}
			for n, want := range row.want {
				who := fmt.Sprint(credentials[n])
				if m.name == http.MethodGet {
					w.mayHead(row.path, want, credentials[n])
				}
				if m.route == watchRoute && want == http.StatusOK {
					continue // HEAD says it, and GET would not end
				}
				d.audited()
				got := w.do(m.name, row.path, row.body, credentials[n]...)
				if got.code != want {
					t.Errorf("%s as %s: got %d %s, want %d", m.route, who, got.code, got.body, want)
				}
				if challenged := got.header.Get("WWW-Authenticate") != ""; challenged != (want == http.StatusUnauthorized) {
					t.Errorf("%s as %s: challenged is %v", m.route, who, challenged)
				}
				lines := d.audited()
				if told := len(lines) > 0; told != m.needs.audited(want) {
					t.Errorf("%s as %s: %d is told in %q", m.route, who, want, lines)
				}
				w.do("PUT", web1, oneOf4, as("writer")...) // as it was, for the next one
			}
		}
	}
	for route := range rows {
		t.Errorf("there is no %s", route)
	}
}

// mayHead asks for no more than the header, which takes the same.
func (w *world) mayHead(path string, want int, headers []string) {
	w.t.Helper()
	if got := w.do("HEAD", path, "", headers...); got.code != want || got.body != "" {
		w.t.Errorf("HEAD %s: got %d %q, want %d", path, got.code, got.body, want)
	}
}

// What may not be read is refused the same whether or not it is there, and whatever its state.
func TestARefusalTellsNothingOfWhatIsThere(t *testing.T) {
	w, _ := guarded(t)
	revision := fmt.Sprintf(`"%d"`, w.memory.State().Revision)
	for _, path := range []string{
		"/v1/namespaces/%s/services/%s", "/v1/namespaces/%s/services/%s/instances/hidden",
		"/v1/namespaces/%s/services/%s/instances/hidden/heartbeat", "/v1/namespaces/%s/services/%s/instances/hidden/status",
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			for _, headers := range [][]string{nil, {"If-None-Match", "*"}, {"If-None-Match", revision}, {"If-Match", "*"}, {"If-Match", `"1"`}, {"If-Match", "nonsense"}} {
				headers = slices.Concat(as("reader"), headers)
				ask := func(namespace, name string) answer {
					got := w.do(method, fmt.Sprintf(path, namespace, name), `{"no":"body"}`, headers...)
					got.body = strings.ReplaceAll(got.body, namespace+"/"+name, "N/S")
					got.header.Del("Date")
					got.header.Del("Content-Length")
					return got
				}
				there, gone := ask("dark", "web"), ask("dork", "wob")
				if fmt.Sprint(there) != fmt.Sprint(gone) || there.header.Get("Etag") != "" || there.code != http.StatusForbidden && there.code != http.StatusMethodNotAllowed {
					t.Errorf("%s %s %v: got\n%v\nand of what is not there\n%v", method, path, headers, there, gone)
				}
			}
		}
	}
}

// A path that could be read as another is judged as it is written.
func TestGrantsAreForNamesAsTheyAreWritten(t *testing.T) {
	w, _ := guarded(t)
	for _, c := range []struct {
		what, method, path, who string
		want                    int
	}{
		{"the name", "GET", "/v1/namespaces/default/services/web", "reader", 200},
		{"an escape that none needs", "GET", "/v1/namespaces/d%65fault/services/w%65b", "reader", 200},
		{"the same of what may not be read", "GET", "/v1/namespaces/d%61rk/services/web", "reader", 403},
		{"through what may be read", "GET", "/v1/namespaces/default/services/web/../secret", "reader", 404},
		{"escaped", "GET", "/v1/namespaces/default/services/web/%2e%2e/secret", "reader", 404},
		{"a slash in a name", "GET", "/v1/namespaces/default/services/web%2f..%2fsecret", "reader", 404},
		{"a path of more than one", "GET", "/v1/namespaces/default/services/web//instances/web-1", "reader", 404},
		{"capitals", "GET", "/v1/namespaces/default/services/WEB", "reader", 403},
		{"capitals for whoever may read all", "GET", "/v1/namespaces/default/services/WEB", "root", 404},
		{"a star for a service", "GET", "/v1/namespaces/default/services/*", "reader", 403},
		{"a star for a namespace", "GET", "/v1/namespaces/*/services/web", "reader", 403},
		{"stars for both", "GET", "/v1/namespaces/%2a/services/%2A", "reader", 403},
		{"a star is no name to an administrator either", "GET", "/v1/namespaces/*/services/*", "root", 404},
		{"nor to define", "PUT", "/v1/namespaces/*/services/*", "root", 422},
		{"nothing at all to whoever may not", "PUT", "/v1/namespaces/*/services/*", "writer", 403},
		{"a dot at the end", "GET", "/v1/namespaces/default/services/web.", "reader", 403},
		{"a zero at the end", "GET", "/v1/namespaces/default/services/web%00", "reader", 403},
		{"a namespace in the query is not the one", "GET", "/v1/namespaces/dark/services/web?namespace=default", "reader", 403},
		{"a token in the query is none", "GET", "/v1/namespaces/default/services/web?access_token=" + token("reader"), "", 401},
		{"a path that is not there needs no credential", "GET", "/v1/nothing", "", 404},
		{"nor a method that is not", "PATCH", "/v1/namespaces/dark/services/web", "", 405},
	} {
		var headers []string
		if c.who != "" {
			headers = as(c.who)
		}
		header := ""
		for n := 0; n < len(headers); n += 2 {
			header += headers[n] + ": " + headers[n+1] + "\r\n"
		}
		got := w.raw(c.method + " " + c.path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n" + header + "\r\n{}")
		if got.code != c.want {
			t.Errorf("%s: %s %s: got %d %s, want %d", c.what, c.method, c.path, got.code, got.body, c.want)
		}
		if strings.Contains(got.body, "hidden") {
			t.Errorf("%s: got %s", c.what, got.body)
		}
	}
}

func TestAPageFromElsewhereIsTurnedAwayEverywhere(t *testing.T) {
	local := func(o *Options) {
		guard := access.NewGuard(access.Rules{LocalOnly: true})
		o.Guard = func() *access.Guard { return guard }
	}
	w := start(t, local)
	for _, r := range resources {
		path := strings.NewReplacer("{namespace}", "default", "{service}", "web", "{id}", "web-1").Replace(r.path)
		for _, m := range r.methods {
			got := w.must(http.StatusForbidden, m.name, path, "", "Origin", "https://evil.example")
			got.fields(t)
			host := w.raw(m.name + " " + path + " HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
			if host.code != http.StatusForbidden {
				t.Errorf("%s %s by another name: got %d %s", m.name, path, host.code, host.body)
			}
		}
	}
	if state := w.memory.State(); state.Revision != firstRevision {
		t.Errorf("something was changed: the revision is %d", state.Revision)
	}
}

func TestWhoComesTooOftenIsToldWhenToComeAgain(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := newGate(t, callers...)
	guard := access.NewGuard(access.Rules{Tokens: d.file, Audit: audit.New(d), RequestsPerSecond: 1})
	w := start(t, func(o *Options) {
		o.Guard, o.Now = func() *access.Guard { return guard }, func() time.Time { return now }
	})
	for range 2 {
		w.must(http.StatusOK, "GET", "/v1/services", "", as("reader")...)
	}
	for _, r := range resources {
		path := strings.NewReplacer("{namespace}", "default", "{service}", "web", "{id}", "web-1").Replace(r.path)
		for _, m := range r.methods {
			got := w.do(m.name, path, "", as("reader")...)
			if limited := got.code == http.StatusTooManyRequests; limited != (m.needs.class() == access.Ordinary) {
				t.Errorf("%s: got %d %s", m.route, got.code, got.body)
			} else if limited && got.header.Get("Retry-After") != "1" {
				t.Errorf("%s: retry after %q", m.route, got.header.Get("Retry-After"))
			}
		}
	}
	// Wherever it comes from, the credential is named.
	d.audited()
	h := w.server.Handler()
	for n := range 3 {
		r, _ := http.NewRequest("GET", "/v1/services", nil)
		r.Header.Set("Authorization", "Bearer "+token("root"))
		r.RemoteAddr = fmt.Sprintf("198.51.100.%d:4000", n)
		h.ServeHTTP(&recorder{header: http.Header{}}, r)
	}
	want := []string{`who=root what="GET services" status=429 why="too many requests from this credential: retry after the delay in Retry-After"`}
	if got := d.audited(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheAuditTellsEveryWriteAndEveryRefusal(t *testing.T) {
	w, d := guarded(t)
	for _, c := range []struct {
		what               string
		method, path, body string
		who                []string
		want               string
	}{
		{"a write", "PUT", web1, `{"addresses":["192.0.2.8"]}`, as("writer"), `who=writer what="PUT instance" on=web-1.web.default status=200 revision=107`},
		{"one that is wrong", "PUT", web1, `{`, as("writer"), `who=writer what="PUT instance" on=web-1.web.default status=400 why=`},
		{"a heartbeat changes nothing", "PUT", web1 + "/heartbeat", "", as("writer"), ""},
		{"nor does who reads", "GET", web1, "", as("writer"), ""},
		{"nobody", "PUT", web1, oneOf4, nil, `who="" what="PUT instance" on=web-1.web.default status=401 why="a credential is needed`},
		{"somebody else", "PUT", web1, oneOf4, as("other"), `who=other what="PUT instance" on=web-1.web.default status=409 why="the instance belongs to another credential"`},
		{"who may not", "DELETE", web, "", as("reader"), `who=reader what="DELETE service" on=web.default status=403 why="reader may not do this: it takes the grant write:default/web"`},
		{"a line in a name", "PUT", "/v1/namespaces/x%0Awho=root%20/services/web", `{}`, as("reader"),
			`who=reader what="PUT service" on="web.x\nwho=root " status=403 why="reader may not do this: it takes the grant write:x\nwho=root /web"`},
		{"a batch", "POST", "/v1/batch", `{"operations":[{"op":"register","namespace":"default","service":"web","id":"a","instance":` + oneOf4 + `},
			{"op":"deregister","namespace":"default","service":"web","id":"a"}]}`, as("writer"),
			`who=writer what="POST batch" op=register on=a.web.default status=200 revision=108` + "\n" + `who=writer what="POST batch" op=deregister on=a.web.default status=200 revision=108`},
		{"what changes nothing does not hide what does", "POST", "/v1/batch", `{"operations":[` + strings.Repeat(`{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"},`, 8) +
			`{"op":"register","namespace":"default","service":"web","id":"web-2","instance":` + oneOf4 + `},{"op":"status","namespace":"default","service":"web","id":"web-1","status":"up"},
			{"op":"deregister","namespace":"default","service":"web","id":"web-1"},{"op":"deregister","namespace":"default","service":"web","id":"web-2"}]}`, as("writer"),
			`who=writer what="POST batch" op=deregister on=web-1.web.default,web-2.web.default unchanged=10 status=200 revision=109`},
		{"a batch that changes nothing", "POST", "/v1/batch", `{"operations":[{"op":"heartbeat","namespace":"default","service":"secret","id":"hidden"}]}`, as("root"),
			`who=root what="POST batch" unchanged=1 status=200 revision=109`},
		{"one that may not be", "POST", "/v1/batch", `{"operations":[` + strings.Repeat(`{"op":"deregister","namespace":"dark","service":"web","id":"hidden"},`, 9) +
			`{"op":"deregister","namespace":"dark","service":"web","id":"hidden"}]}`, as("writer"),
			`who=writer what="POST batch" on=` + strings.Repeat("hidden.web.dark,", 7) + `hidden.web.dark more=2 status=403 why="operations[0] takes the grant write:dark/web; and 9 more"`},
		{"a dry run changes nothing", "POST", "/v1/import?dryRun=true", imported("new"), as("writer"), `who=writer what="POST import" status=200`},
		{"an import", "POST", "/v1/import", imported("new"), as("writer"), `who=writer what="POST import" op=register on=new.web.default status=200 revision=110`},
		{"one that may not be imported", "POST", "/v1/import", `{"format":1,"services":[{"namespace":"dark","service":"web"}]}`, as("writer"),
			`who=writer what="POST import" on=web.dark status=403 why="services[0] takes the grant write:dark/web"`},
		{"one that changes services too", "POST", "/v1/import", imported("new newer", `{"namespace":"default","service":"web","publishNotReady":true}`), as("writer"),
			`who=writer what="POST import" op=register on=newer.web.default unchanged=1 status=200 revision=111` + "\n" +
				`who=writer what="POST import" op=define on=web.default unchanged=1 status=200 revision=111`},
		{"a service that goes takes its instances along", "DELETE", web, "", as("writer"), `who=writer what="DELETE service" on=web.default status=200 revision=112` + "\n" +
			`who=writer what="DELETE service" op=deregister on=new.web.default,newer.web.default status=200 revision=112`},
	} {
		w.do(c.method, c.path, c.body, c.who...)
		got := strings.Join(d.audited(), "\n")
		if strings.Count(got, "\n") != strings.Count(c.want, "\n") {
			t.Errorf("%s: got the lines\n%s\nwant\n%s", c.what, got, c.want)
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || !strings.HasSuffix(c.want, "=") && !strings.Contains(c.want, "needed") && got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

func TestABatchThatMayNotBeIsToldOfEachOperation(t *testing.T) {
	w, _ := guarded(t)
	revision := w.memory.State().Revision
	operation := func(op, namespace, name, id, rest string) string {
		return `{"op":"` + op + `","namespace":"` + namespace + `","service":"` + name + `","id":"` + id + `"` + rest + `}`
	}
	batch := func(operations ...string) string { return `{"operations":[` + strings.Join(operations, ",") + `]}` }
	mine := operation("register", "default", "web", "mine", `,"instance":`+oneOf4)
	foreign := operation("heartbeat", "default", "web", "web-1", "")
	for _, c := range []struct {
		what, body string
		code       int
		fields     []string
	}{
		{"what may not be written, there or not", batch(mine, operation("deregister", "dark", "web", "hidden", ""), operation("heartbeat", "default", "none", "x", ""), foreign), 403,
			[]string{"operations[1]", "operations[2]"}},
		{"names that cannot be", batch(operation("heartbeat", "*", "*", "x", ""), operation("heartbeat", "default", "WEB", "x", "")), 403, []string{"operations[0]", "operations[1]"}},
		{"what is another's", batch(mine, foreign, operation("deregister", "default", "web", "web-2", ""), operation("status", "default", "web", "web-1", `,"status":"down"`)), 409,
			[]string{"operations[1]", "operations[2]", "operations[3]"}},
	} {
		got := w.must(c.code, "POST", "/v1/batch", c.body, as("other")...)
		if fields := got.fields(t); !slices.Equal(fields, c.fields) {
			t.Errorf("%s: got %v, want %v\n%s", c.what, fields, c.fields, got.body)
		}
	}
	if is := w.memory.State().Revision; is != revision {
		t.Errorf("something was changed: the revision is %d, was %d", is, revision)
	}
	w.must(http.StatusOK, "POST", "/v1/batch", batch(mine, foreign), as("root")...)
}

func TestHeartbeatsThatMayNotBeAreToldOfEach(t *testing.T) {
	w, _ := guarded(t)
	w.must(http.StatusCreated, "PUT", web+"/instances/mine", oneOf4, as("other")...)
	instance := func(namespace, name, id string) string {
		return `{"namespace":"` + namespace + `","service":"` + name + `","id":"` + id + `"}`
	}
	beats := func(instances ...string) string { return `{"instances":[` + strings.Join(instances, ",") + `]}` }
	mine, gone := instance("default", "web", "mine"), instance("default", "web", "gone")
	for _, c := range []struct {
		what, body string
		code       int
		fields     []string
		renewed    int64
	}{
		{"what may not be written, there or not: none is renewed", beats(mine, instance("dark", "web", "hidden"), instance("dark", "web", "none")), 403,
			[]string{"instances[1]", "instances[2]"}, 0},
		{"what is another's: the others are", beats(instance("default", "web", "web-1"), mine, gone, instance("default", "web", "web-2")), 409,
			[]string{"instances[0]", "instances[3]"}, 1},
		{"its own", beats(mine, gone), 200, nil, 1},
	} {
		w.memory.renewals.Store(0)
		got := w.must(c.code, "POST", "/v1/heartbeats", c.body, as("other")...)
		if c.fields != nil {
			if fields := got.fields(t); !slices.Equal(fields, c.fields) {
				t.Errorf("%s: got %v, want %v", c.what, fields, c.fields)
			}
		}
		if n := w.memory.renewals.Load(); n != c.renewed {
			t.Errorf("%s: %d were renewed, want %d", c.what, n, c.renewed)
		}
	}
}

// Who may write nothing is told so before its body is read: it may be 4 MiB, and a GiB.
func TestWhoMayWriteNothingIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	w, d := guarded(t)
	for _, path := range []string{"/v1/heartbeats", "/v1/batch", "/v1/import"} {
		body := &slowBody{between: func() { t.Errorf("%s: the body was read", path) }}
		request, err := http.NewRequest("POST", "http://"+w.addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token("reader"))
		response := recorder{header: http.Header{}}
		w.server.Handler().ServeHTTP(&response, request)
		if response.code != http.StatusForbidden || !strings.Contains(response.body.String(), "it takes the grant write:NAMESPACE/SERVICE") {
			t.Errorf("%s: got %d %s", path, response.code, &response.body)
		}
		if lines := d.audited(); len(lines) != 1 {
			t.Errorf("%s: the audit has %q", path, lines)
		}
	}
}

// What is said of a body is much less than a body may have, whatever is in it.
func TestAnAnswerEchoesLittleOfALargeBody(t *testing.T) {
	w, _ := guarded(t)
	list := func(name, element string) string {
		n := (maxBulkBody - 100) / (len(element) + 1)
		return `{"` + name + `":[` + strings.Repeat(element+",", min(n, maxFaults*3)-1) + element + `]}`
	}
	long := strings.Repeat("\ue000", 4000) // a byte of it may become two when it is quoted
	huge := strings.Repeat("\ue000", maxBulkBody/3-1000)
	for _, c := range []struct {
		what, who, path, body string
		code                  int
	}{
		{"heartbeats of what is unknown", "root", "/v1/heartbeats", list("instances", `{"namespace":"a","service":"b","id":"c"}`), 200},
		{"of names that cannot be", "root", "/v1/heartbeats", list("instances", `{"namespace":"`+long+`","service":"b","id":"`+long+`"}`), 200},
		{"of one name that fills the body", "root", "/v1/heartbeats", `{"instances":[{"namespace":"` + huge + `","service":"b","id":"c"}]}`, 200},
		{"of what may not be written", "writer", "/v1/heartbeats", list("instances", `{"namespace":"a","service":"b","id":"c"}`), 403},
		{"of long names that may not be written", "writer", "/v1/heartbeats", list("instances", `{"namespace":"`+long+`","service":"b","id":"c"}`), 403},
		{"of what is another's", "other", "/v1/heartbeats", list("instances", `{"namespace":"default","service":"web","id":"web-1"}`), 409},
		{"of no names", "writer", "/v1/heartbeats", list("instances", `{}`), 422},
		{"of an unknown field that fills the body", "writer", "/v1/heartbeats", `{"` + huge + `":1}`, 400},
		{"operations that may not be", "writer", "/v1/batch", list("operations", `{"op":"heartbeat","namespace":"`+long+`","service":"b","id":"c"}`), 403},
		{"operations with many faults", "root", "/v1/batch", `{"operations":[{"op":"register","namespace":"a","service":"b","id":"c","instance":{"addresses":["192.0.2.7"],"ports":[` +
			strings.Repeat(`{"port":1,"name":"_","protocol":"x"},`, 100_000) + `{"port":1}]}}]}`, 422},
		{"an operation that is none and fills the body", "root", "/v1/batch", `{"operations":[{"op":"` + huge + `"}]}`, 422},
		{"an address that does", "root", "/v1/batch", `{"operations":[{"op":"register","namespace":"a","service":"b","id":"c","instance":{"addresses":["` + huge + `"]}}]}`, 422},
		{"a hostname that does", "root", "/v1/batch", `{"operations":[{"op":"register","namespace":"a","service":"b","id":"c","instance":{"addresses":["192.0.2.7"],"hostname":"` + huge + `"}}]}`, 422},
	} {
		if len(c.body) > maxBulkBody {
			t.Fatalf("%s: %d bytes", c.what, len(c.body))
		}
		got := w.do("POST", c.path, c.body, as(c.who)...)
		if got.code != c.code || len(got.body) > 2*maxTold {
			t.Errorf("%s: a body of %d bytes got %d and %d bytes: %.300s", c.what, len(c.body), got.code, len(got.body), got.body)
		}
	}
}

// A list that has no room for all that is unknown says so, and has room for the rest once those
// are registered.
func TestHeartbeatsTellHowManyMoreAreUnknown(t *testing.T) {
	w := start(t)
	const n = 30_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`{"namespace":"default","service":"web","id":"i-%05d"}`, i)
	}
	got := w.must(http.StatusOK, "POST", "/v1/heartbeats", `{"instances":[`+strings.Join(ids, ",")+`]}`)
	told := len(got.get(t, "unknown").([]any))
	if more := fmt.Sprint(got.get(t, "moreUnknown")); told < 10_000 || more != fmt.Sprint(n-told) {
		t.Errorf("%d are told, and that there are %s more; there are %d", told, more, n)
	}
	got = w.must(http.StatusOK, "POST", "/v1/heartbeats", `{"instances":[`+strings.Join(ids[told:], ",")+`]}`)
	if rest := len(got.get(t, "unknown").([]any)); rest != n-told || got.get(t, "moreUnknown") != nil {
		t.Errorf("of the other %d, %d are told, and %v more", n-told, rest, got.get(t, "moreUnknown"))
	}
}

// What may be told of an import is as much as of any other body.
func TestWhatMayNotBeWrittenOfALongListIsToldUpToALimit(t *testing.T) {
	w, _ := guarded(t)
	one := `{"namespace":"dark","service":"web","id":"x"},`
	got := w.must(http.StatusForbidden, "POST", "/v1/heartbeats", `{"instances":[`+strings.Repeat(one, maxFaults+6)+one[:len(one)-1]+`]}`, as("writer")...)
	if fields := got.fields(t); len(fields) != maxFaults+1 || fields[0] != "" || !strings.Contains(got.body, `"7 more take grants than are told here"`) {
		t.Errorf("got %d fields", len(fields))
	}
}

// owners returns the owners of the instances of default/web, by their ids.
func (w *world) owners() map[string]string {
	owners := map[string]string{}
	for i := range w.memory.State().InstancesOf(service.Name{Namespace: "default", Service: "web"}) {
		owners[i.ID().ID] = i.Owner
	}
	return owners
}

func TestAnImportIsOfWhoMayWriteIt(t *testing.T) {
	instance := func(name, id, rest string) string {
		return `{"namespace":"default","service":"` + name + `","id":"` + id + `","addresses":["192.0.2.9"]` + rest + `}`
	}
	body := func(format int, services string, instances ...string) string {
		return fmt.Sprintf(`{"format":%d,"services":[%s],"instances":[%s]}`, format, services, strings.Join(instances, ","))
	}
	const ofCI = `,"owner":"ci"`
	for _, c := range []struct {
		what, who, body string
		code            int
		fields          []string          // that a problem names
		owners          map[string]string // afterwards
	}{
		{"of format 1, which had no owners", "writer", body(1, "", instance("web", "new", "")), 200, nil,
			map[string]string{"web-1": "writer", "web-2": "writer", "new": "writer"}},
		{"an owner counts for nothing", "writer", body(2, "", instance("web", "new", ofCI), instance("web", "web-1", ofCI)), 200, nil,
			map[string]string{"web-1": "writer", "web-2": "writer", "new": "writer"}},
		{"unless an administrator imports", "root", body(2, "", instance("web", "new", ofCI), instance("web", "web-1", ofCI)), 200, nil,
			map[string]string{"web-1": "ci", "web-2": "writer", "new": "ci"}},
		{"who takes nothing away by saying nothing", "root", body(2, "", instance("web", "new", ""), instance("web", "web-1", ""), instance("web", "web-2", `,"owner":""`)), 200, nil,
			map[string]string{"web-1": "writer", "web-2": "writer", "new": "root"}},
		{"what is another's", "other", body(2, "", instance("web", "new", ""), instance("web", "web-1", ""), instance("web", "web-2", ofCI)), 409,
			[]string{"instances[1]", "instances[2]"}, nil},
		{"another's name does not make it one's own", "other", body(2, "", instance("web", "web-1", `,"owner":"other"`)), 409, []string{"instances[0]"}, nil},
		{"what is another's and stays the same is no change", "other", imported("web-1"), 200, nil, nil},
		{"services and instances of others", "writer", body(2, `{"namespace":"dark","service":"web"},{"namespace":"default","service":"web"}`,
			instance("web", "new", ""), instance("secret", "hidden", ""), instance("none", "x", "")), 403, []string{"instances[1]", "instances[2]", "services[0]"}, nil},
		{"who may read it all", "reader", imported("new"), 403, nil, nil},
		{"an empty one of whoever may write nothing", "reader", body(2, ""), 403, nil, nil},
		{"whose body is not read at all", "reader", `{"format":`, 403, nil, nil},
		{"an owner that is too long", "root", body(2, "", instance("web", "new", `,"owner":"`+strings.Repeat("o", service.MaxOwnerBytes+1)+`"`)), 422,
			[]string{"instances[0].owner"}, nil},
		{"the longest", "root", body(2, "", instance("web", "new", `,"owner":"`+strings.Repeat("o", service.MaxOwnerBytes)+`"`)), 200, nil,
			map[string]string{"web-1": "writer", "web-2": "writer", "new": strings.Repeat("o", service.MaxOwnerBytes)}},
		{"owners that no NAME can be", "root", body(2, "", instance("web", "a", `,"owner":"a\nb who=root"`), instance("web", "b", `,"owner":" "`), instance("web", "c", `,"owner":"\u202eab"`),
			instance("web", "d", `,"owner":"a\u0000"`), instance("web", "e", `,"owner":"spiffe://example.org/é"`)), 422,
			[]string{"instances[0].owner", "instances[1].owner", "instances[2].owner", "instances[3].owner"}, nil},
		{"owners of other credentials too", "other", body(2, "", instance("web", "a", `,"owner":"a b"`)), 422, []string{"instances[0].owner"}, nil},
		{"an owner that is none", "root", body(2, "", instance("web", "new", `,"owner":7`)), 400, []string{"instances[0].owner"}, nil},
	} {
		w, _ := guarded(t)
		before, owners := w.memory.State().Revision, w.owners()
		dry := w.do("POST", "/v1/import?dryRun=true", c.body, as(c.who)...)
		if dry.code != c.code {
			t.Errorf("%s: a dry run: got %d %s, want %d", c.what, dry.code, dry.body, c.code)
		}
		if strings.Contains(dry.body, "hidden") {
			t.Errorf("%s: a dry run tells %s", c.what, dry.body)
		}
		if is := w.memory.State().Revision; is != before {
			t.Errorf("%s: a dry run has changed something", c.what)
		}
		got := w.do("POST", "/v1/import", c.body, as(c.who)...)
		if got.code != c.code {
			t.Errorf("%s: got %d %s, want %d", c.what, got.code, got.body, c.code)
		}
		if c.fields != nil {
			for _, a := range []answer{dry, got} {
				if fields := a.fields(t); !slices.Equal(fields, c.fields) {
					t.Errorf("%s: got %v, want %v\n%s", c.what, fields, c.fields, a.body)
				}
			}
		}
		if c.owners != nil {
			owners = c.owners
		} else if is := w.memory.State().Revision; is != before {
			t.Errorf("%s: something was changed", c.what)
		}
		if got := w.owners(); !maps.Equal(got, owners) {
			t.Errorf("%s: the owners are %v, want %v", c.what, got, owners)
		}
	}
}

// An import may take hours to arrive, and is judged by what its credential may do when it has.
func TestAnImportThatOutlivesItsCredentialIsRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		lines []string
		code  int
	}{
		{"other lines", append([]string{"new admin"}, callers...), http.StatusOK},
		{"revoked", []string{"root admin"}, http.StatusUnauthorized},
		{"without the grant", []string{"root admin", "writer read:default/web"}, http.StatusForbidden},
	} {
		w, d := guarded(t)
		revision := w.memory.State().Revision
		body := &slowBody{first: `{"format":2,"instances":[`, rest: `{"namespace":"default","service":"web","id":"late","addresses":["192.0.2.7"]}]}`,
			between: func() { d.change(c.lines...) }}
		request, err := http.NewRequest("POST", "http://"+w.addr+"/v1/import", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token("writer"))
		response := recorder{header: http.Header{}}
		w.server.Handler().ServeHTTP(&response, request)
		if response.code != c.code {
			t.Errorf("%s: got %d %s, want %d", c.what, response.code, &response.body, c.code)
		}
		if changed := w.memory.State().Revision != revision; changed != (c.code == http.StatusOK) {
			t.Errorf("%s: it was imported: %v", c.what, changed)
		}
	}
}

// slowBody is a body in the middle of which something happens.
type slowBody struct {
	first, rest string
	between     func()
}

func (b *slowBody) Read(p []byte) (n int, err error) {
	switch {
	case b.first != "":
		n = copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	case b.between != nil:
		b.between()
		b.between = nil
	}
	if b.rest == "" {
		return 0, io.EOF
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
