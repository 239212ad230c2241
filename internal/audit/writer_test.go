package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/service"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// never is a clock on which nothing is ever due.
func never(time.Duration) <-chan time.Time { return nil }

func contentOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLinesHaveTheirTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	f.Write(noon, []byte("who=web"))
	f.Write(noon.Add(1500*time.Millisecond), []byte("who=api"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := "time=2026-11-21T12:00:00.000Z who=web\ntime=2026-11-21T12:00:01.500Z who=api\n"
	if got := contentOf(t, path); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Two files on one path, as in a reload, and many who write.
func TestLinesAreWholeUnderConcurrentUse(t *testing.T) {
	const files, writers, each = 2, 4, 500
	path := filepath.Join(t.TempDir(), "audit.log")
	var all sync.WaitGroup
	for range files {
		f, err := OpenFile(path, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			var writing sync.WaitGroup
			for range writers {
				writing.Go(func() {
					for n := range each {
						f.Write(noon, fmt.Appendf(nil, "n=%d end", n))
					}
				})
			}
			writing.Wait()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	lines := strings.Split(strings.TrimSuffix(contentOf(t, path), "\n"), "\n")
	if len(lines) != files*writers*each {
		t.Errorf("%d lines, want %d", len(lines), files*writers*each)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=2026-11-21T12:00:00.000Z n=") || !strings.HasSuffix(line, " end") {
			t.Fatalf("a line that is not whole: %s", line)
		}
	}
}

func TestAFileSurvivesRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	l := file{path: path}
	t.Cleanup(func() { l.close() })
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		sentence string
		rotate   func()
		line     string
		want     string
	}{
		{"a new file", func() {}, "1\n", "1\n"},
		{"the same file", func() {}, "2\n", "1\n2\n"},
		{"renamed", func() { do(os.Rename(path, path+".1")) }, "3\n", "3\n"},
		{"renamed, and another made", func() { do(os.Rename(path, path+".1")); mustWrite(t, path, "new\n") }, "4\n", "new\n4\n"},
		{"removed", func() { do(os.Remove(path)) }, "5\n", "5\n"},
		{"copied, and cut to nothing", func() { do(os.Truncate(path, 0)) }, "6\n", "6\n"},
	} {
		step.rotate()
		if _, err := l.write([]byte(step.line)); err != nil {
			t.Fatalf("%s: %v", step.sentence, err)
		}
		if got := contentOf(t, path); got != step.want {
			t.Errorf("%s: got %q, want %q", step.sentence, got, step.want)
		}
	}
	if got := contentOf(t, path+".1"); got != "3\n" {
		t.Errorf("what was rotated away: got %q", got)
	}
}

func TestATornLineComesAgainWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := file{path: path}
	t.Cleanup(func() { l.close() })
	if _, err := l.write([]byte("1\nha")); err != nil {
		t.Fatal(err)
	}
	l.torn = true // as after a write for which the disk had no more room
	if _, err := l.write([]byte("half\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := contentOf(t, path), "1\nha\nhalf\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An import is one entry, which may be longer than what may wait.
func TestAnEntryAsLargeAsTheTableIsWrittenWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path, func(err error) { t.Errorf("reported %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	const lines = 800
	e := put()
	e.On = nil
	for n := range lines * maxObjects / len("web-0000000.web.prod,") {
		e.Changed = append(e.Changed, Changed{service.Register, instance("prod", "web", fmt.Sprintf("web-%07d", n))})
	}
	a := New(f)
	a.Record(noon, put())
	a.Record(noon, e)
	a.Record(noon, put())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	content := contentOf(t, path)
	got := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	for _, line := range got {
		if !strings.HasPrefix(line, "time=2026-") || !strings.HasSuffix(line, " status=201 revision=7") {
			t.Fatalf("got the line %.200s", line)
		}
	}
	if len(content) < 3*maxPending || strings.Count(content, ".web.prod") != len(e.Changed)+2 {
		t.Errorf("got %d bytes with %d objects, want %d", len(content), strings.Count(content, ".web.prod"), len(e.Changed)+2)
	}
}

func TestOnlyWholeLinesAreWritten(t *testing.T) {
	for _, tc := range []struct {
		written string
		n       int
		torn    bool
	}{{"", 0, false}, {"o", 0, true}, {"one\n", 4, false}, {"one\nt", 4, true}, {"one\ntwo\n", 8, false}} {
		if n, torn := whole([]byte(tc.written)); n != tc.n || torn != tc.torn {
			t.Errorf("%q: got %d, %v, want %d, %v", tc.written, n, torn, tc.n, tc.torn)
		}
	}
}

// A disk that is full: /dev/full is one, and a link to it makes it come and go.
func TestWhatCannotBeWrittenWaitsAndIsCounted(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no disk that is always full here")
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	reports, retry := make(chan error, 10), make(chan time.Time)
	waits := make(chan time.Duration, 10)
	f, err := openFile(path, func(err error) { reports <- err }, func(d time.Duration) <-chan time.Time {
		waits <- d
		return retry
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Write(noon, []byte("first"))
	if err := <-reports; err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("reported %v", err)
	}
	if d := <-waits; d != retryEvery {
		t.Errorf("it waits for %s", d)
	}
	retry <- noon
	<-waits // it has failed again
	long := strings.Repeat("x", 1000)
	const tries = 2 * maxPending / 1000
	for range tries {
		f.Write(noon, []byte(long)) // no one waits for the disk
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	retry <- noon
	if err := <-reports; err != nil {
		t.Fatalf("reported %v", err)
	}
	f.Write(noon, []byte("last"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	close(reports)
	for err := range reports {
		t.Errorf("reported again: %v", err)
	}
	content := contentOf(t, path)
	kept := strings.Count(content, long)
	for _, want := range []string{" first\n", fmt.Sprintf(" lost=%d\n", tries-kept), " last\n"} {
		if strings.Count(content, want) != 1 {
			t.Errorf("%q is not there once, with %d of %d lines kept", want, kept, tries)
		}
	}
	if n := len(content); n < maxPending/2 || n > 2*maxPending {
		t.Errorf("%d bytes were kept", n)
	}
}

// A request that was under way in a reload may be told after the file was closed, which then
// has another generation.
func TestALineThatComesLateIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	f.Write(noon, []byte("in time"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.Write(noon, []byte("late"))
	want := "time=2026-11-21T12:00:00.000Z in time\ntime=2026-11-21T12:00:00.000Z late\n"
	if got := contentOf(t, path); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCloseTellsWhatIsLost(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no disk that is always full here")
	}
	failed := make(chan error, 1)
	f, err := openFile("/dev/full", func(err error) { failed <- err }, never)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(noon, []byte("one"))
	<-failed
	f.Write(noon, []byte("two"))
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "2 lines are lost") {
		t.Errorf("got %v", err)
	}
	f.Write(noon, []byte("after the end")) // is no panic
}

func TestAFileThatCannotBeOpenedIsAnError(t *testing.T) {
	if _, err := OpenFile(filepath.Join(t.TempDir(), "none", "audit.log"), nil); err == nil {
		t.Error("it was opened")
	}
}

func BenchmarkFileWrite(b *testing.B) {
	f, err := OpenFile(filepath.Join(b.TempDir(), "audit.log"), func(err error) { b.Error(err) })
	if err != nil {
		b.Fatal(err)
	}
	line := put().AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		f.Write(noon, line)
	}
	b.StopTimer()
	if err := f.Close(); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(f.lost), "lost")
}

// BenchmarkFile is a line a write, with the look whether the file was rotated away.
func BenchmarkFile(b *testing.B) {
	l := file{path: filepath.Join(b.TempDir(), "audit.log")}
	defer l.close()
	line := append(put().AppendTo(nil), '\n')
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.write(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReopen(b *testing.B) {
	l := file{path: filepath.Join(b.TempDir(), "audit.log")}
	defer l.close()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.reopen(); err != nil {
			b.Fatal(err)
		}
	}
}
