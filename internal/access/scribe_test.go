package access

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAScribeWritesAllInOrder(t *testing.T) {
	var written bytes.Buffer
	s := NewScribe(func(lines []byte) { written.Write(lines) })
	const writers, each = 8, 2000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				s.Write(fmt.Appendf(nil, "%d %d", w, n))
			}
		})
	}
	all.Wait()
	s.Close()
	s.Write([]byte("late"))
	lines := strings.Split(written.String(), "\n")
	if n := len(lines); n != writers*each+2 || lines[n-2] != "late" || lines[n-1] != "" {
		t.Fatalf("got %d lines, the last %q", n, lines[max(0, n-2):])
	}
	next := make([]int, writers)
	for _, line := range lines[:writers*each] {
		var w, n int
		if _, err := fmt.Sscanf(line, "%d %d", &w, &n); err != nil || next[w] != n {
			t.Fatalf("got %q, want line %d of it (%v)", line, next[w], err)
		}
		next[w]++
	}
}

// While the log hangs, lines go together; when too many wait, so does who has another.
func TestAScribeMakesWaitRatherThanLose(t *testing.T) {
	hanging, goOn := make(chan struct{}, 1), make(chan struct{})
	var sizes []int
	s := NewScribe(func(lines []byte) {
		sizes = append(sizes, len(lines))
		if len(sizes) == 1 {
			hanging <- struct{}{}
			<-goOn
		}
	})
	line := bytes.Repeat([]byte("x"), 1<<10-1)
	s.Write(line)
	<-hanging
	for range mostUnwritten>>10 + 1 {
		s.Write(line) // there is room
	}
	done := make(chan struct{})
	go func() {
		s.Write(line)
		close(done)
	}()
	select {
	case <-done:
		t.Error("a line was taken for which there is no room")
	default:
	}
	close(goOn)
	<-done
	s.Close()
	if want := []int{1 << 10, mostUnwritten + 1<<10, 1 << 10}; !slices.Equal(sizes, want) {
		t.Errorf("got writes of %d bytes, want %d", sizes, want)
	}
}
