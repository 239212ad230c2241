package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is a CoreDNS with the registry. It runs until the test ends.
type server struct {
	endpoint        // its registration endpoint
	dns, dns2       string
	ready, metrics  string // host:port
	pprof, corefile string

	log     *journal
	began   time.Time // no later than the process
	process *os.Process
	exited  chan struct{} // closed when it has
	state   *os.ProcessState
	judged  bool // how it ended has been looked at

	terminated time.Time    // when it was told to stop
	slack      atomic.Int64 // nanoseconds for which it has waited for a processor since then

	stopped sync.Mutex
	stops   []stop // guarded by stopped
}

// start starts a CoreDNS and returns when it serves. The addresses that a Corefile needs
// are variables of its environment, which CoreDNS reads as {$NAME}:
//
//	DNS DNS2                        ports
//	ENDPOINT READY METRICS PPROF    host:port
//
// More of them may be given, as NAME=VALUE.
func start(t testing.TB, corefile string, variables ...string) *server {
	t.Helper()
	s := launch(t, corefile, variables...)
	s.log.wait(t, 0, "CoreDNS-") // told when every listener is open
	_, url, _ := strings.Cut(s.log.wait(t, 0, "Registration endpoint on "), "endpoint on ")
	if status := getStatus(url + "/v1/status"); status != http.StatusOK {
		t.Fatalf("%s/v1/status: got %d, want 200", url, status)
	}
	if strings.Contains(corefile, "{$READY}") {
		soon(t, "/ready says that it is", func() bool { return getStatus(s.ready+"/ready") == http.StatusOK })
	}
	return s
}

// launch starts a CoreDNS and does not wait for it.
func launch(t testing.TB, corefile string, variables ...string) *server {
	t.Helper()
	return launchBy(t, nil, corefile, variables...)
}

// launchBy is launch by a command that is given the program and its arguments, and becomes it.
func launchBy(t testing.TB, command []string, corefile string, variables ...string) *server {
	t.Helper()
	address := func() string { return "127.0.0.1:" + freePort(t) }
	endpoint := address()
	s := &server{
		endpoint: newEndpoint(endpoint),
		dns:      address(),
		dns2:     address(),
		ready:    "http://" + address(),
		metrics:  "http://" + address(),
		pprof:    "http://" + address(),
		corefile: filepath.Join(t.TempDir(), "Corefile"),
		log:      new(journal),
		exited:   make(chan struct{}),
	}
	s.configure(t, corefile)

	command = append(slices.Clone(command), program, "-conf", s.corefile)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = filepath.Dir(s.corefile)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.Env = append(os.Environ(),
		"DNS="+strings.TrimPrefix(s.dns, "127.0.0.1:"),
		"DNS2="+strings.TrimPrefix(s.dns2, "127.0.0.1:"),
		"ENDPOINT="+endpoint,
		"READY="+strings.TrimPrefix(s.ready, "http://"),
		"METRICS="+strings.TrimPrefix(s.metrics, "http://"),
		"PPROF="+strings.TrimPrefix(s.pprof, "http://"))
	cmd.Env = append(cmd.Env, variables...)
	s.began = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // the state has all there is to say
		s.state = cmd.ProcessState
	}()
	t.Cleanup(func() {
		s.stop(t)
		s.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the log of CoreDNS:\n%s", shortened(s.log.String()))
		}
	})
	return s
}

// configure writes the Corefile.
func (s *server) configure(t testing.TB, corefile string) {
	t.Helper()
	if err := os.WriteFile(s.corefile, []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
}

// signal sends a signal. A server that has just ended needs none; how it ended is judged
// by stop.
func (s *server) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("send %s: %v", signal, err)
	}
}

// reload has the server read its Corefile again. CoreDNS asks for signals in a goroutine that
// it starts first of all: on a starved machine that may run after the server has answered, and
// a signal from before is lost. So it is sent again until it was heard.
func (s *server) reload(t testing.TB) {
	t.Helper()
	end := s.log.end()
	for range 3 {
		s.signal(t, syscall.SIGUSR1)
		if _, heard := s.log.find(end, patience/6, "SIGUSR1: Reloading"); heard {
			return
		}
	}
}

// stopWithin is how long a server may take to stop, on a machine that has time for it.
const stopWithin = slowness * 5 * time.Second

// terminate tells the server to stop.
func (s *server) terminate(t testing.TB) {
	t.Helper()
	s.terminated = time.Now()
	before := s.waited()
	s.signal(t, syscall.SIGTERM)
	go func() {
		look := time.NewTicker(stopWithin / 100)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				// A thread that ends takes its account with it.
				s.slack.Store(max(s.slack.Load(), int64(s.waited()-before)))
			case <-s.exited:
				return
			}
		}
	}()
}

// waited is how long the server's threads that there are have waited, all together, for a
// processor that had something else to do; 0 where the system does not tell.
func (s *server) waited() (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.process.Pid))
	for _, file := range files {
		var running, waiting time.Duration // nanoseconds
		text, _ := os.ReadFile(file)       // a thread may end meanwhile
		_, _ = fmt.Sscan(string(text), &running, &waiting)
		sum += waiting
	}
	return sum
}

// kill ends the server as the loss of its machine would. It may have exited already.
func (s *server) kill(t testing.TB) {
	t.Helper()
	s.judged = true
	if err := s.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-s.exited
	s.hasNothingBadInItsLog(t)
}

// refuses waits until the server has refused to start, and returns why.
func (s *server) refuses(t testing.TB) (why string) {
	t.Helper()
	s.judged = true
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.kill(t)
		t.Fatalf("CoreDNS has not ended within %s, want it to refuse to start:\n%s", patience, s.log)
	}
	if code := s.state.ExitCode(); code <= 0 {
		t.Errorf("CoreDNS ended with code %d, want one that says it failed: %s", code, s.state)
	}
	s.hasNothingBadInItsLog(t)
	return s.log.String()
}

// stop stops the server, unless that has been done, and holds it to how that must look.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if s.judged {
		return
	}
	if s.terminated.IsZero() {
		s.terminate(t)
	}
	look := time.NewTicker(stopWithin / 50)
	defer look.Stop()
	for stopping := true; stopping; {
		select {
		case <-s.exited:
			stopping = false
		case <-look.C:
			if allowed := stopWithin + time.Duration(s.slack.Load()); time.Since(s.terminated) > allowed {
				t.Errorf("CoreDNS has not stopped %s after SIGTERM", allowed)
				s.signal(t, syscall.SIGABRT) // shows where every goroutine is
				<-s.exited
			}
		}
	}
	s.judged = true
	if code := s.state.ExitCode(); code != 0 && !s.endedUntrapped() {
		t.Errorf("CoreDNS ended with code %d, want 0: %s", code, s.state)
	}
	s.hasNothingBadInItsLog(t)
}

// wasCutShort reports whether the server, when it stopped, was kept from answering all its
// clients in time by others that had the processor.
func (s *server) wasCutShort(t testing.TB) bool {
	t.Helper()
	slack := time.Duration(s.slack.Load())
	if slack < time.Second || !strings.Contains(s.log.String(), "cut off clients") {
		return false
	}
	t.Logf("not judged: the server waited %s for a processor while it stopped", slack)
	return true
}

func (s *server) hasNothingBadInItsLog(t testing.TB) {
	t.Helper()
	for _, bad := range []string{"panic", "Recovered", "DATA RACE"} {
		if i := strings.Index(s.log.String(), bad); i >= 0 {
			t.Errorf("%q is in the log:\n%s", bad, shortened(s.log.String()[i:]))
		}
	}
}

// trapsWithin is how long after its start a server may still be deaf to signals.
const trapsWithin = slowness * 5 * time.Second

// endedUntrapped reports whether the server was stopped before it could know: CoreDNS begins
// to listen to signals in the background, on a busy machine a moment after it serves.
func (s *server) endedUntrapped() bool {
	status, ok := s.state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM && s.terminated.Sub(s.began) < trapsWithin
}

// shortened keeps the beginning and the end of a long text.
func shortened(text string) string {
	const most = 4000
	if len(text) <= 2*most {
		return text
	}
	return text[:most] + "\n[…]\n" + text[len(text)-most:]
}

// soon waits until a condition holds, and looks often.
func soon(t testing.TB, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// writeFile writes a file that a Corefile can name.
func writeFile(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
