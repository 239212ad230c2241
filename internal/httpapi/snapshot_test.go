package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/service"
)

// writes makes the store's snapshot that much, in pieces of that size, and then the error.
func (m *memory) writes(size, piece int, err error) {
	m.snapshot = func(w io.Writer) error {
		for at := 0; at < size; at += piece {
			// bbolt does not wrap the errors of its writer.
			if _, err := w.Write(snapshotOf(size)[at:min(size, at+piece)]); err != nil {
				return fmt.Errorf("copy: %s", err)
			}
		}
		return err
	}
}

func snapshotOf(size int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size] }

func TestASnapshotIsStreamed(t *testing.T) {
	w := start(t)
	for _, size := range []int{0, 1, 4096, 1 << 20} {
		w.memory.writes(size, 300_000, nil)
		got := w.must(http.StatusOK, "GET", "/v1/snapshot", "")
		if got.body != string(snapshotOf(size)) {
			t.Errorf("got %d bytes, want %d", len(got.body), size)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="registry.db"`, "Cache-Control": "no-store",
		} {
			if got := got.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		head := w.must(http.StatusOK, "HEAD", "/v1/snapshot", "")
		if head.body != "" || head.header.Get("Content-Type") != "application/octet-stream" || head.close {
			t.Errorf("HEAD: got %+v", head)
		}
	}
}

func TestASnapshotThatCannotBeMadeIsRefused(t *testing.T) {
	var logged strings.Builder
	w := start(t, func(o *Options) { o.Log = log.New(&logged, "", 0) })
	if got := w.must(http.StatusNotFound, "GET", "/v1/snapshot", ""); !strings.Contains(got.body, "/v1/export") {
		t.Errorf("in memory: got %s", got.body)
	}
	w.must(http.StatusNotFound, "HEAD", "/v1/snapshot", "")
	for err, wanted := range map[error]string{errors.New("disk on fire"): "GET snapshot: disk on fire\n", service.ErrNotLoaded: ""} {
		logged.Reset()
		w.memory.writes(0, 1, err)
		got := w.must(http.StatusServiceUnavailable, "GET", "/v1/snapshot", "")
		if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "fire") || got.header.Get("Content-Disposition") != "" || logged.String() != wanted {
			t.Errorf("%v: got %s, logged %q", err, got.body, &logged)
		}
	}
}

func TestHalfASnapshotIsNotTakenForAWholeOne(t *testing.T) {
	for _, size := range []int{1, 4096, 1 << 20} {
		var mu sync.Mutex
		var logged strings.Builder
		var observed []string
		inBubble(t, func(w *world) {
			w.memory.writes(size, 4096, errors.New("disk on fire"))
			c := w.conn()
			go io.WriteString(c, "GET /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n")
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				_, err = io.ReadAll(response.Body)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("broken off after %d bytes: got %v", size, err)
			}
			w.must(http.StatusOK, "GET", "/openapi.json", "") // it goes on serving
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := fmt.Sprint(observed); got != "[GET snapshot 200 GET openapi 200]" || logged.String() != "GET snapshot: broken off: disk on fire\n" {
				t.Errorf("broken off after %d bytes: observed %s, logged %q", size, got, &logged)
			}
		}, func(o *Options) {
			o.Log = log.New(&logged, "", 0)
			o.Observe = func(route string, code int, _ time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				observed = append(observed, fmt.Sprint(route, " ", code))
			}
		})
	}
}

func TestASlowDownloadIsWaitedFor(t *testing.T) {
	inBubble(t, func(w *world) {
		const size = 100 * fullStream
		w.memory.writes(size, size, nil)
		response, err := w.client.Get("http://" + w.addr + "/v1/snapshot")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		began, got := time.Now(), 0
		for err == nil {
			<-time.After(watchWriteTimeout / 2)
			var n int64
			n, err = io.CopyN(io.Discard, response.Body, fullStream)
			got += int(n)
		}
		if err != io.EOF || got != size {
			t.Errorf("in %s: got %d bytes and %v, want %d", time.Since(began), got, err, size)
		}
		if took := time.Since(began); took < 2*door.WriteTimeout {
			t.Errorf("it took %s, which is no test", took)
		}
		// The connection is as good as before, and so are its deadlines.
		w.must(http.StatusOK, "GET", "/v1/status", "")
	})
}

func TestADownloadThatNobodyTakesIsBrokenOff(t *testing.T) {
	inBubble(t, func(w *world) {
		ended := make(chan time.Time, 1)
		w.memory.snapshot = func(to io.Writer) error {
			_, err := to.Write(snapshotOf(10 * fullStream))
			ended <- time.Now()
			return err
		}
		began := time.Now()
		io.WriteString(w.conn(), "GET /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n")
		if took := (<-ended).Sub(began); took != watchWriteTimeout {
			t.Errorf("it was broken off after %s, want %s", took, watchWriteTimeout)
		}
	})
}
