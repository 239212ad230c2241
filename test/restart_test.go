package test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/bbolt"
)

func TestRestartKeepsTheTable(t *testing.T) {
	t.Parallel()
	dir := "DIR=" + t.TempDir()
	s := start(t, kept(""), dir)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "leased"), `{"addresses":["192.0.2.8"],"leaseSeconds":300}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "draining"), `{"addresses":["192.0.2.9"],"leaseSeconds":0}`)
	s.must(t, http.StatusOK, http.MethodPut, instancePath("web", "draining")+"/status", `{"status":"draining"}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "gone"), `{"addresses":["192.0.2.10"]}`)
	s.must(t, http.StatusCreated, http.MethodPut, servicePath("alias"), `{"type":"externalName","externalName":"www.example.net"}`)
	s.must(t, http.StatusCreated, http.MethodPut, servicePath("empty"), `{"type":"headless"}`)
	s.must(t, http.StatusOK, http.MethodDelete, instancePath("web", "gone"), "")
	registeredAt := func(s *server) (at time.Time) {
		var i struct{ RegisteredAt time.Time }
		decode(t, s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "static"), ""), &i)
		return i.RegisteredAt
	}
	was, _ := s.served(t)
	revision, registered := s.endpoint.revision(t), registeredAt(s)
	s.stop(t)

	s = start(t, kept(""), dir)
	is, ends := s.served(t)
	if wrong := is.differ(was); wrong != "" {
		t.Error(wrong)
	}
	if at := registeredAt(s); !at.Equal(registered) {
		t.Errorf("an instance registered at %s is now told to have been at %s", registered, at)
	}
	if end := ends[name{"web", "leased"}]; end.Before(s.began.Add(300*time.Second - time.Second/10)) {
		t.Errorf("a lease of 300s ends at %s, want it at its full length from the start at %s", end, s.began)
	}
	asker := dial(t, "udp", s.dns)
	asker.wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.7", under("web")+" A 192.0.2.8")
	asker.wants(t, under("draining.web"), dns.TypeA, dns.RcodeNameError)
	asker.wants(t, under("empty"), dns.TypeA, dns.RcodeSuccess)
	if now := s.endpoint.revision(t); now <= revision {
		t.Errorf("the revision is %d, want more than %d as before", now, revision)
	}
	// Who resumes is told all, or that it cannot be.
	if w, err := s.follow(t.Context(), fmt.Sprint(revision), false); err == nil {
		w.body.Close()
		t.Error("a watch since before the restart is answered, want 410")
	} else if !strings.Contains(err.Error(), "410") {
		t.Errorf("a watch since before the restart: %v, want 410", err)
	}
	// A client that registers again does not undo the draining.
	answer := s.must(t, http.StatusOK, http.MethodPut, instancePath("web", "draining"), `{"addresses":["192.0.2.9"],"leaseSeconds":0}`)
	if !strings.Contains(answer, `"status":"draining"`) {
		t.Errorf("registered again, it is %s", answer)
	}
}

// A load that takes longer than a start waits for is shown by a process that is stopped in it.
func TestNotReadyUntilTheTableIsLoaded(t *testing.T) {
	t.Parallel()
	instances := sized(60_000, 500_000)
	dir := "DIR=" + t.TempDir()
	s := start(t, kept(""), dir)
	s.fill(t, instances, 10)
	s.stop(t)

	s = launch(t, kept(""), dir)
	began := time.NewTicker(time.Millisecond)
	defer began.Stop()
	for deadline := time.Now().Add(patience); ; <-began.C { // the endpoint listens, and then the table is loaded
		if conn, err := net.Dial("tcp", s.endpoint.address); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not listen")
		}
	}
	s.signal(t, syscall.SIGSTOP)
	<-time.After(2500 * time.Millisecond)
	s.signal(t, syscall.SIGCONT)

	s.log.wait(t, 0, "CoreDNS-")
	asker := dial(t, "udp", s.dns)
	servfails := 0
	for {
		var status struct {
			Ready  bool
			Counts struct{ Instances int }
		}
		ready := getStatus(s.ready + "/ready")
		got := asker.must(t, under("service-0"), dns.TypeA)
		decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
		switch {
		case got.Rcode == dns.RcodeServerFailure:
			servfails++
			if ready == http.StatusOK {
				t.Error("/ready says yes, then a query gets SERVFAIL")
			}
			if servfails == 1 {
				s.refusesBeforeItIsLoaded(t, asker)
			}
		case got.Rcode != dns.RcodeSuccess || len(got.Answer) != 10:
			t.Fatalf("before the table was loaded: %s", got.Msg)
		case !status.Ready || status.Counts.Instances != instances:
			t.Fatalf("DNS answers, and /v1/status says %+v", status)
		default:
			soon(t, "/ready says yes", func() bool { return getStatus(s.ready+"/ready") == http.StatusOK })
			if servfails == 0 {
				t.Skip("it was loaded before anybody could ask")
			}
			t.Logf("%d times SERVFAIL", servfails)
			if soaking > 0 { // a small table may have been read by the time that it was stopped
				s.log.wait(t, 0, "objects so far")
			}
			s.log.wait(t, 0, fmt.Sprintf("with %d instances", instances))
			return
		}
	}
}

// fill registers so many instances, so many of each service.
func (e *endpoint) fill(t testing.TB, instances, each int) {
	t.Helper()
	operations := make([]object, 0, mostOperations)
	for n := range instances {
		operations = append(operations, operation("register", fmt.Sprintf("service-%d", n/each), fmt.Sprintf("instance-%d", n), object{"instance": object{
			"addresses":    []string{fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)},
			"ports":        []object{{"name": "http", "port": 8080}},
			"metadata":     object{"version": "1.4.2"},
			"leaseSeconds": 3600,
		}}))
		if len(operations) == mostOperations || n == instances-1 {
			e.batch(t, operations)
			operations = operations[:0]
		}
	}
}

// refusesBeforeItIsLoaded is only right as long as that is so; the table may be there when
// it ends.
func (s *server) refusesBeforeItIsLoaded(t *testing.T, asker *resolver) {
	t.Helper()
	type answered struct{ what, got string }
	var all []answered
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPut, instancePath("service-0", "instance-0"), `{"addresses":["10.0.0.0"]}`}, // as it is
		{http.MethodPut, heartbeatPath("service-0", "instance-0"), ""},
		{http.MethodGet, servicePath("service-0"), ""},
		{http.MethodGet, "/v1/export", ""},
		{http.MethodGet, "/v1/snapshot", ""},
		{http.MethodGet, "/v1/watch", ""},
	} {
		status, retry, problem := s.problem(t, r.method, r.path, r.body)
		all = append(all, answered{r.method + " " + r.path, fmt.Sprintf("%d, Retry-After %t, %s", status, retry != "", problem)})
	}
	for _, q := range []string{under("nobody"), "nobody.cluster.local.", "cluster.local."} {
		all = append(all, answered{q, dns.RcodeToString[asker.must(t, q, dns.TypeA).Rcode]})
	}
	if asker.must(t, under("nobody"), dns.TypeA).Rcode != dns.RcodeServerFailure {
		t.Log("it was loaded too soon to see more")
		return
	}
	for _, a := range all {
		if a.got != "SERVFAIL" && a.got != "503, Retry-After true, application/problem+json" {
			t.Errorf("before the table is loaded, %s: got %s", a.what, a.got)
		}
	}
}

// problem makes a request and returns what its answer's header says.
func (e *endpoint) problem(t testing.TB, method, path, body string) (status int, retryAfter, contentType string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+e.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := e.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header.Get("Retry-After"), response.Header.Get("Content-Type")
}

func TestDamagedFileIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	good := t.TempDir()
	s := start(t, kept(""), "DIR="+good)
	s.fill(t, 1000, 10)
	s.stop(t)
	whole, err := os.ReadFile(filepath.Join(good, "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		file := bytes.Clone(whole)
		file[at] ^= 0x10
		return file
	}
	const putSnapshot = "put a snapshot in its place"
	for _, tt := range []struct {
		what string
		file []byte
		todo string
	}{
		{"cut in half", whole[:len(bytes.TrimRight(whole, "\x00"))/2], putSnapshot}, // it ends with space to grow
		{"cut after its first page", whole[:4096], putSnapshot},
		{"empty", nil, putSnapshot},
		{"something else", []byte(strings.Repeat("This is no table.\n", 1000)), putSnapshot},
		{"a bit of a name flipped", flipped(bytes.LastIndex(whole, []byte("instance-77"))), putSnapshot},
		{"a bit of its first page flipped", flipped(16), putSnapshot},
		{"a bit of its second page flipped", flipped(os.Getpagesize() + 40), putSnapshot},
		{"of a newer version", newer(t, whole), "start that version"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "registry.db")
			if err := os.WriteFile(file, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			why := launch(t, kept(""), "DIR="+dir).refuses(t)
			for _, want := range []string{file, tt.todo} {
				if !strings.Contains(why, want) {
					t.Errorf("got\n%s\nwant %q in it", why, want)
				}
			}
			if is, err := os.ReadFile(file); err != nil || !bytes.Equal(is, tt.file) {
				t.Errorf("the file has been changed; %v", err)
			}
			if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
				t.Errorf("in the directory are %v, want only the file; %v", all, err)
			}
		})
	}
}

// newer makes a file one of the next format.
func newer(t *testing.T, file []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{99}) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOneProcessForADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, kept(""), "DIR="+dir)
	why := launch(t, kept(""), "DIR="+dir).refuses(t)
	if want := filepath.Join(dir, "registry.db") + " is in use by another process"; !strings.Contains(why, want) {
		t.Errorf("a second process on the directory says\n%s\nwant %q", why, want)
	}
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)
	dial(t, "udp", s.dns).wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.7")
}
