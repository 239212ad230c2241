package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAllIsWrittenInOrder(t *testing.T) {
	var written bytes.Buffer
	w := NewWriter(func(lines []byte) { written.Write(lines) })
	const writers, each = 8, 2000
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			for n := range each {
				w.Write(noon, fmt.Appendf(nil, "%d %d", writer, n))
			}
		})
	}
	all.Wait()
	w.Close()
	w.Write(noon, []byte("late"))
	lines := strings.Split(written.String(), "\n")
	if n := len(lines); n != writers*each+2 || lines[n-2] != "late" || lines[n-1] != "" {
		t.Fatalf("got %d lines, the last %q", n, lines[max(0, n-2):])
	}
	next := make([]int, writers)
	for _, line := range lines[:writers*each] {
		var writer, n int
		if _, err := fmt.Sscanf(line, "%d %d", &writer, &n); err != nil || next[writer] != n {
			t.Fatalf("got %q, want line %d of it (%v)", line, next[writer], err)
		}
		next[writer]++
	}
}

// While the log hangs, lines go together; when too many wait, so does who has another.
func TestAWriterToTheLogMakesWaitRatherThanLose(t *testing.T) {
	hanging, goOn := make(chan struct{}, 1), make(chan struct{})
	var sizes []int
	w := NewWriter(func(lines []byte) {
		sizes = append(sizes, len(lines))
		if len(sizes) == 1 {
			hanging <- struct{}{}
			<-goOn
		}
	})
	line := bytes.Repeat([]byte("x"), 1<<10-1)
	w.Write(noon, line)
	<-hanging
	for range maxPending >> 10 {
		w.Write(noon, line) // there is room
	}
	done := make(chan struct{})
	go func() {
		w.Write(noon, line)
		close(done)
	}()
	select {
	case <-done:
		t.Error("a line was taken for which there is no room")
	default:
	}
	close(goOn)
	<-done
	w.Close()
	if want := []int{1 << 10, maxPending, 1 << 10}; !slices.Equal(sizes, want) {
		t.Errorf("got writes of %d bytes, want %d", sizes, want)
	}
}
