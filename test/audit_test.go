package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// auditLine is what each line has: in the file after its time, in the log after "audit".
var auditLine = regexp.MustCompile(`^who=(\S+) from=(\S+) what=("[^"]*"|\S+)( op=[a-z]+)?( on=\S+| on="[^"]*")?( more=\d+)?( unchanged=\d+)? status=\d+( revision=\d+)?( why=.+)?$`)

var fileLine = regexp.MustCompile(`^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.*)$`)

// audited returns the lines of the audit that a log has.
func (s *server) audited() (lines []string) {
	for line := range strings.Lines(s.log.String()) {
		if _, entry, ok := strings.Cut(line, "plugin/registry: audit "); ok {
			lines = append(lines, strings.TrimSuffix(entry, "\n"))
		}
	}
	return lines
}

// audited returns the lines of the audit that its files have, without their times.
func (f files) audited(t *testing.T) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob(f.path("audit*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			entry := fileLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if entry == nil || !strings.HasSuffix(line, "\n") {
				t.Errorf("%s has a line that is none: %q", path, line)
				continue
			}
			lines = append(lines, entry[1])
		}
	}
	return lines
}

// Every write and every refusal is one line, in the log and in the file, or one for each operation
// of what changes many objects; nothing else is one.
func TestEveryWriteAndRefusalIsOneLine(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	root, a, b := newToken(), newToken(), newToken()
	f.setTokens(t, tokenLine("root", root, "admin"), tokenLine("a", a, "write:default/web", "write:*/other"), tokenLine("b", b, "write:default/web", "read:default/other"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens\naudit {$FILES}/audit.log\nlimit instances-per-service 2"))
	asRoot, asA, asB, unknown, nobody := s.as(t, root, nil), s.as(t, a, nil), s.as(t, b, nil), s.as(t, newToken(), nil), s.as(t, "", nil)
	foreign := s.as(t, a, nil)
	foreign.client.Transport = &withHeader{foreign.client.Transport, "Origin", "http://evil.example"}
	const registration = `{"addresses":["192.0.2.7"]}`
	import1 := `{"format":1,"services":[],"instances":[{"namespace":"default","service":"other","id":"imported","addresses":["192.0.2.7"]}]}`
	told := 0 // lines so far
	for _, tt := range []struct {
		e                  *endpoint
		method, path, body string
		status             int
		want               string // the line, without whence; empty where there is to be none
	}{
		{asA, "PUT", instancePath("web", "a-1"), registration, 201, `who=a what="PUT instance" on=a-1.web.default status=201 revision=R`},
		{asA, "PUT", instancePath("web", "a-1"), registration, 200, `who=a what="PUT instance" on=a-1.web.default status=200 revision=R`},
		{asA, "PUT", heartbeatPath("web", "a-1"), "", 204, ``},
		{asA, "POST", "/v1/heartbeats", `{"instances":[{"namespace":"default","service":"web","id":"a-1"}]}`, 200, ``},
		{asA, "GET", instancePath("web", "a-1"), "", 200, ``},
		{asA, "GET", instancePath("web", "none"), "", 404, ``},
		{nobody, "GET", "/v1/status", "", 200, ``},
		{nobody, "GET", "/nothing", "", 404, ``},
		{asA, "PUT", instancePath("web", "a-1") + "/status", `{"status":"draining"}`, 200, `who=a what="PUT status" on=a-1.web.default status=200 revision=R`},
		{asB, "PUT", instancePath("web", "a-1"), registration, 409, `who=b what="PUT instance" on=a-1.web.default status=409 why="the instance belongs to another credential"`},
		{asB, "PUT", heartbeatPath("web", "a-1"), "", 409, `who=b what="PUT heartbeat" on=a-1.web.default status=409 why="the instance belongs to another credential"`},
		{asB, "PUT", instancePath("other", "b-1"), registration, 403, `who=b what="PUT instance" on=b-1.other.default status=403 why="b may not do this: it takes the grant write:default/other"`},
		{asB, "GET", servicePath("secret"), "", 403, `who=b what="GET service" on=secret.default status=403 why="b may not do this: it takes the grant read:default/secret"`},
		{asB, "GET", "/v1/snapshot", "", 403, `who=b what="GET snapshot" status=403 why="b may not do this: it takes the grant admin"`},
		{asB, "POST", "/v1/batch", encode(object{"operations": []object{operation("deregister", "other", "x", nil), operation("deregister", "web", "y", nil)}}), 403,
			`who=b what="POST batch" on=x.other.default,y.web.default status=403 why="operations[0] takes the grant write:default/other"`},
		{unknown, "PUT", instancePath("web", "x"), registration, 401, `who="" what="PUT instance" on=x.web.default status=401 why="the token is not known here"`},
		{nobody, "GET", "/v1/services", "", 401, `who="" what="GET services" status=401 why="a credential is needed: Authorization: Bearer and a token"`},
		{foreign, "GET", "/v1/status", "", 403, `who="" what="GET status" status=403 why="a page of another origin may not use this endpoint"`},
		{asA, "PUT", instancePath("web", "a-1"), "no JSON", 400, `who=a what="PUT instance" on=a-1.web.default status=400 why=…`},
		{asA, "PUT", instancePath("web", "a-1"), strings.Repeat(" ", 70_000), 413, `who=a what="PUT instance" on=a-1.web.default status=413 why="the body must have at most 65536 bytes"`},
		{asA, "PUT", instancePath("web", "a%22%0Awho=root"), registration, 422, `who=a what="PUT instance" on="a\"\nwho=root.web.default" status=422 why=…`},
		{asA, "DELETE", instancePath("web", "none"), "", 404, `who=a what="DELETE instance" on=none.web.default status=404 why="no such object"`},
		{asA, "PUT", instancePath("web", "a-2"), registration, 201, `who=a what="PUT instance" on=a-2.web.default status=201 revision=R`},
		{asA, "PUT", instancePath("web", "a-3"), registration, 422, `who=a what="PUT instance" on=a-3.web.default status=422 why=…`},
		{asRoot, "PUT", servicePath("web"), `{"type":"headless"}`, 200, `who=root what="PUT service" on=web.default status=200 revision=R`},
		{asA, "POST", "/v1/batch", encode(object{"operations": []object{operation("status", "web", "a-1", object{"status": "up"}), operation("deregister", "web", "a-2", nil)}}), 200,
			`who=a what="POST batch" op=deregister on=a-2.web.default status=200 revision=R` + "\n" + `who=a what="POST batch" op=status on=a-1.web.default status=200 revision=R`},
		{asRoot, "POST", "/v1/batch", encode(object{"operations": manyDefaults(12)}), 200,
			`who=root what="POST batch" op=register on=0.s0.many,1.s1.many,2.s2.many,3.s3.many,4.s4.many,5.s5.many,6.s6.many,7.s7.many,8.s8.many,9.s9.many,10.s10.many,11.s11.many status=200 revision=R`},
		{asRoot, "POST", "/v1/batch", encode(object{"operations": append(manyDefaults(10), object{"op": "deregister", "namespace": "many", "service": "s11", "id": "11"})}), 200,
			`who=root what="POST batch" op=deregister on=11.s11.many unchanged=10 status=200 revision=R`},
		{asA, "POST", "/v1/import", import1, 200, `who=a what="POST import" op=register on=imported.other.default status=200 revision=R`},
		{asA, "DELETE", instancePath("web", "a-1"), "", 200, `who=a what="DELETE instance" on=a-1.web.default status=200 revision=R`},
		{asRoot, "DELETE", servicePath("web"), "", 200, `who=root what="DELETE service" on=web.default status=200 revision=R`},
	} {
		answer := tt.e.must(t, tt.status, tt.method, tt.path, tt.body)
		revision := ""
		if tt.status < 300 {
			revision = fmt.Sprint(s.as(t, root, nil).revision(t))
		}
		if tt.want == "" {
			continue // a line of it would be found in the place of the next
		}
		// The lines are written when the answer is.
		lines := 1 + strings.Count(tt.want, "\n")
		soon(t, "the audit has those lines more in the log and in the file", func() bool {
			return len(s.audited()) >= told+lines && len(f.audited(t)) >= told+lines
		})
		all, inFile := s.audited()[told:], f.audited(t)[told:]
		told += len(all)
		got := strings.Join(all, "\n")
		if len(all) != lines || !slices.Equal(all, inFile) {
			t.Errorf("%s %s: %d lines in the log and %d in the file, want %d each, the same:\n%s\n%s", tt.method, tt.path, len(all), len(inFile), lines, got, strings.Join(inFile, "\n"))
		}
		for _, line := range all {
			if !auditLine.MatchString(line) {
				t.Errorf("%s %s: %s has not the form of a line", tt.method, tt.path, line)
			}
		}
		if got := comparable(got, tt.want, revision); got != tt.want {
			t.Errorf("%s %s: got  %s\nwant %s\nafter %s", tt.method, tt.path, got, tt.want, answer)
		}
	}
}

// withHeader adds a header to each request.
type withHeader struct {
	http.RoundTripper
	name, value string
}

func (w *withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return w.RoundTripper.RoundTrip(r)
}

func manyDefaults(count int) (operations []object) {
	for n := range count {
		o := operation("register", fmt.Sprint("s", n), fmt.Sprint(n), object{"instance": object{"addresses": []string{"192.0.2.7"}}})
		o["namespace"] = "many"
		operations = append(operations, o)
	}
	return operations
}

// comparable is a line without what no test can know: the port that a request came from, and
// a reason where the wanted line leaves it open. The present revision becomes R.
func comparable(line, want, revision string) string {
	line = regexp.MustCompile(` from=127\.0\.0\.1:\d+`).ReplaceAllString(line, "")
	if revision != "" {
		line = strings.ReplaceAll(line, "revision="+revision, "revision=R")
	}
	if before, ok := strings.CutSuffix(want, "…"); ok && strings.HasPrefix(line, before) {
		return want
	}
	return line
}

// The audit's file is renamed away again and again while all write, and now and then another
// generation of the Corefile takes it over. No line may be lost, or torn, or come twice.
func TestAuditIsRotatedAndLosesNothing(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 400 / slowness
	f := newFiles(t)
	a := newToken()
	f.setTokens(t, tokenLine("a", a, "write:*/*"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens\naudit {$FILES}/audit.log"))
	asA, unknown := s.as(t, a, nil), s.as(t, newToken(), nil)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", w, n)
				e, want := asA, http.StatusCreated
				if n%4 == 3 {
					e, want = unknown, http.StatusUnauthorized
				}
				if _, err := e.wants(want, http.MethodPut, instancePath("web", id), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() {
		writing.Wait()
		close(written)
	}()
	rotations, reloads := 0, 0
	rotate := time.NewTicker(20 * time.Millisecond)
	defer rotate.Stop()
	for done := false; !done; {
		select {
		case <-rotate.C:
			if err := os.Rename(f.path("audit.log"), f.path(fmt.Sprint("audit.", rotations))); err == nil {
				rotations++
			}
			if rotations%4 == 1 && reloads < 10 {
				reloads++
				end := s.log.end()
				s.reload(t)
				s.log.wait(t, end, reloaded)
			}
		case <-written:
			done = true
		}
	}
	_ = os.Rename(f.path("audit.log"), f.path("audit.last")) // it may be away already
	asA.must(t, http.StatusOK, http.MethodPut, instancePath("web", "0-0"), `{"addresses":["192.0.2.8"],"leaseSeconds":0}`)
	soon(t, "what is written after a rotation is in a file of its own", func() bool {
		content, err := os.ReadFile(f.path("audit.log"))
		return err == nil && strings.Contains(string(content), " on=0-0.web.default status=200 ")
	})
	s.stop(t)
	t.Logf("%d rotations, %d reloads", rotations, reloads)
	for where, lines := range map[string][]string{"log": s.audited(), "files": f.audited(t)} {
		count := map[string]int{}
		for _, line := range lines {
			if !auditLine.MatchString(line) {
				t.Errorf("in the %s: %q has not the form of a line", where, line)
			}
			if strings.Contains(line, " status=200 ") {
				continue // the last
			}
			_, on, _ := strings.Cut(line, " on=")
			id, _, _ := strings.Cut(on, ".")
			count[id]++
		}
		for w := range writers {
			for n := range each {
				if id := fmt.Sprintf("%d-%d", w, n); count[id] != 1 {
					t.Errorf("in the %s: %d lines about %s, want 1", where, count[id], id)
				}
			}
		}
		if want := writers*each + 1; len(lines) != want {
			t.Errorf("%d lines in the %s, want %d", len(lines), where, want)
		}
	}
}

// A flood of refusals is told as a number, and hides no write.
func TestAuditOfAFloodIsShort(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	a := newToken()
	f.setTokens(t, tokenLine("a", a, "write:*/*"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens\naudit {$FILES}/audit.log\nlimit requests-per-second 0"))
	asA := s.as(t, a, nil).from("127.0.0.2")
	const connections, each, writes = 4, 3000 / slowness, 20
	var flooding sync.WaitGroup
	for range connections {
		flooding.Go(func() {
			conn, err := s.pipeline(strings.Repeat("GET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n", each) + "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answers, err := io.ReadAll(conn)
			if n := strings.Count(string(answers), "HTTP/1.1 401 "); err != nil || n != each {
				t.Errorf("%d refusals, %v, want %d", n, err, each)
			}
		})
	}
	for n := range writes {
		asA.must(t, http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprint(n)), `{"addresses":["192.0.2.7"]}`)
	}
	flooding.Wait()
	s.stop(t)
	told, suppressed, written := 0, 0, 0
	for _, line := range s.audited() {
		n := 0
		switch _, err := fmt.Sscanf(line, "suppressed=%d", &n); {
		case err == nil:
			suppressed += n
		case strings.Contains(line, "status=401"):
			told++
		case strings.Contains(line, "status=201"):
			written++
		}
	}
	t.Logf("%d refusals told, %d counted", told, suppressed)
	if told+suppressed != connections*each {
		t.Errorf("%d refusals are told and %d counted, want %d in all", told, suppressed, connections*each)
	}
	if written != writes {
		t.Errorf("%d writes are told, want %d", written, writes)
	}
	inLog, inFile := s.audited(), f.audited(t)
	slices.Sort(inLog) // two at a time may come in either order
	slices.Sort(inFile)
	if !slices.Equal(inFile, inLog) {
		t.Errorf("the file has %d lines, the log %d, and they are not the same", len(inFile), len(inLog))
	}
}
