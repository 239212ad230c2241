package test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen soon, on a machine that may have
// much else to do.
const patience = slowness * 30 * time.Second

// journal is what a program has written so far. The zero value is empty.
type journal struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{} // closed when there is more
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	return len(p), nil
}

func (j *journal) read() (text string, grown <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return j.text.String(), j.grown
}

func (j *journal) String() string {
	text, _ := j.read()
	return text
}

// end is the place up to which has been written.
func (j *journal) end() int { return len(j.String()) }

// wait returns when one of the texts has been written after that place, with the line.
func (j *journal) wait(t testing.TB, from int, texts ...string) (line string) {
	t.Helper()
	line, ok := j.find(from, patience, texts...)
	if !ok {
		t.Fatalf("%q is not in the log within %s:\n%s", texts, patience, j.String()[from:])
	}
	return line
}

// find is wait for as long as that.
func (j *journal) find(from int, within time.Duration, texts ...string) (line string, ok bool) {
	deadline := time.After(within)
	for {
		all, grown := j.read()
		for line := range strings.Lines(all[from:]) {
			for _, text := range texts {
				if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
					return strings.TrimSuffix(line, "\n"), true
				}
			}
		}
		select {
		case <-grown:
		case <-deadline:
			return "", false
		}
	}
}
