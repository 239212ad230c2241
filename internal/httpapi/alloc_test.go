//go:build !race

package httpapi

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// inUse is what the process has in use of memory: its heap without garbage, and its stacks.
func inUse() (heap, stack int) {
	runtime.GC()
	runtime.GC() // what pools have kept goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc), int(m.StackInuse)
}

func TestAStreamThatNobodyReadsHoldsAPage(t *testing.T) {
	for path, most := range map[string]int{
		"/v1/watch":           34 << 10, // of which half is net/http's, and a third stacks
		"/v1/watch?since=100": 34 << 10,
		"/v1/export":          46 << 10,
	} {
		inBubble(t, func(w *world) {
			crowd(t, w, 3000)
			const streams = 400
			heap, stack := inUse()
			for range streams {
				c := w.conn()
				io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
				var header strings.Builder
				for !strings.HasSuffix(header.String(), "\r\n\r\n") {
					if _, err := io.CopyN(&header, c, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			synctest.Wait() // a pipe holds nothing: each waits with its first piece
			heapNow, stackNow := inUse()
			each := (heapNow - heap + stackNow - stack) / streams
			t.Logf("%s: %d bytes each, %d of them stack", path, each, (stackNow-stack)/streams)
			if each > most {
				t.Errorf("%s: %d bytes each, want at most %d", path, each, most)
			}
		})
	}
}
