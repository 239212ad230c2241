package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const watching = `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
}`

func TestWatchersThatAreCutOffHaveTheWholeTable(t *testing.T) {
	t.Parallel()
	s := start(t, watching)
	const writers, changes = 4, 600 / slowness
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()

	var last atomic.Uint64 // revision; 0 until it is known
	var following sync.WaitGroup
	mirrors := make([]mirror, 4)
	for n := range mirrors {
		events := n == len(mirrors)-1
		following.Go(func() {
			m, cuts, err := s.mirror(ctx, events, rand.New(rand.NewPCG(seed, uint64(n))), &last)
			if err != nil {
				t.Errorf("watcher %d: %v", n, err)
			}
			t.Logf("watcher %d: cut off %d times", n, cuts)
			mirrors[n] = m
		})
	}
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+n)))
			for range changes {
				if err := s.storm(random); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	last.Store(s.endpoint.revision(t))
	// Whoever waits for the last change may have been told it already.
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("last", "last"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	following.Wait()
	s.must(t, http.StatusOK, http.MethodDelete, servicePath("last"), "")

	want := s.mirrorOf(t)
	for n, got := range mirrors {
		for k := range got {
			if strings.HasPrefix(k, "instance default last ") {
				delete(got, k)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("watcher %d has\n%v\nwant\n%v", n, got, want)
		}
	}
	t.Logf("%d objects at the end", len(want))
}

// storm makes one change, whatever it is.
func (s *server) storm(random *rand.Rand) error {
	service := fmt.Sprintf("s-%d", random.IntN(5))
	id := fmt.Sprintf("i-%d", random.IntN(20))
	instance := object{"addresses": []string{fmt.Sprintf("192.0.2.%d", 1+random.IntN(250))}, "leaseSeconds": 0}
	var status int
	var answer string
	var err error
	switch random.IntN(12) {
	case 0, 1, 2, 3:
		status, answer, err = s.do(http.MethodPut, instancePath(service, id), encode(instance))
	case 4, 5:
		status, answer, err = s.do(http.MethodDelete, instancePath(service, id), "")
	case 6:
		status, answer, err = s.do(http.MethodPut, instancePath(service, id)+"/status", `{"status":"draining"}`)
	case 7:
		status, answer, err = s.do(http.MethodPut, servicePath(service), `{"type":"headless"}`)
	case 8:
		status, answer, err = s.do(http.MethodPut, servicePath(service), `{"type":"externalName","externalName":"www.example.net"}`)
	case 9:
		status, answer, err = s.do(http.MethodDelete, servicePath(service), "")
	default:
		var operations []object
		for n := range 10 {
			operations = append(operations, operation("register", service, fmt.Sprintf("i-%d", n), object{"instance": instance}))
		}
		status, answer, err = s.do(http.MethodPost, "/v1/batch", encode(object{"operations": operations}))
	}
	if err == nil && status >= 300 && status != http.StatusNotFound {
		err = fmt.Errorf("got %d: %s", status, answer)
	}
	return err
}

// mirror follows the table until it has been told what comes after the last revision. It is
// cut off after any number of bytes and resumes from where it was.
func (s *server) mirror(ctx context.Context, events bool, random *rand.Rand, last *atomic.Uint64) (m mirror, cuts int, err error) {
	m = mirror{}
	for since := ""; ; cuts++ {
		w, err := s.follow(ctx, since, events)
		if err != nil {
			return m, cuts, err
		}
		w.lines = bufio.NewReaderSize(io.LimitReader(w.body, int64(1+random.IntN(100_000))), 16)
		if since == "" {
			m = mirror{} // it begins again
		}
		for {
			c, err := w.next()
			if err != nil {
				if ctx.Err() != nil || !errors.Is(err, io.EOF) {
					w.body.Close()
					return m, cuts, err
				}
				break
			}
			if err := m.apply(c); err != nil {
				w.body.Close()
				return m, cuts, err
			}
			if w.resume != 0 {
				since = strconv.FormatUint(w.resume, 10)
			}
			if end := last.Load(); end != 0 && w.resume > end {
				w.body.Close()
				return m, cuts, nil
			}
		}
		w.body.Close()
	}
}

// flood makes changes of more bytes than the buffers between a server and a client hold.
func (s *server) flood(t *testing.T) {
	t.Helper()
	metadata := object{}
	for n := range 60 { // large instances, since these are fewer changes of as many bytes
		metadata[fmt.Sprint(n)] = strings.Repeat("x", 240)
	}
	for round := range 10 {
		var operations []object
		for n := range 200 {
			operations = append(operations, operation("register", "web", fmt.Sprintf("web-%d", n), object{"instance": object{
				"addresses": []string{fmt.Sprintf("2001:db8::%x:%x", round+1, n)}, "metadata": metadata}}))
		}
		s.batch(t, operations)
	}
}

func TestStoppingEndsWatchersCleanly(t *testing.T) {
	t.Parallel()
	s := start(t, watching)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)
	var ended sync.WaitGroup
	for n := range 20 {
		w := s.watch(t, "", n%2 == 0)
		ended.Go(func() {
			var err error
			for err == nil {
				_, err = w.next()
			}
			if err != io.EOF {
				t.Errorf("watcher %d: got %v, want the end of the stream", n, err)
			}
		})
	}
	s.stop(t)
	ended.Wait()
}

func TestWatchSinceWhatIsNotKeptIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, watching)
	began := s.endpoint.revision(t)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	for _, tt := range []struct {
		what  string
		since uint64
		want  int
	}{
		{"the beginning", began, http.StatusOK},
		{"now", began + 1, http.StatusOK},
		{"before the beginning", began - 1, http.StatusGone},
		{"what is yet to be", began + 2, http.StatusGone},
	} {
		if got := getStatus(fmt.Sprintf("http://%s/v1/watch?since=%d", s.endpoint.address, tt.since)); got != tt.want {
			t.Errorf("since %s: got %d, want %d", tt.what, got, tt.want)
		}
	}
}
