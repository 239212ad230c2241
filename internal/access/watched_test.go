package access

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// openWord follows a file with one word in it. "bad" is none; "soon" is one from five
// past noon on.
func openWord(t *testing.T, path string) *watchedFile[string] {
	t.Helper()
	f, err := watchFiles(fileRules[string]{
		parse: func(contents [][]byte) (string, error) {
			word := strings.TrimSpace(string(contents[0]))
			if strings.HasPrefix(word, "bad") {
				return "", errors.New("it is bad")
			}
			return word, nil
		},
		check: func(word string, now time.Time) error {
			if word == "soon" && now.Before(noon.Add(5*time.Minute)) {
				return fmt.Errorf("it is %w time", errLater)
			}
			return nil
		},
		tell: func(word string) string { return word + " stays" },
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilesAreTakenUpWhenTheyChange(t *testing.T) {
	const (
		nothing = ""
		taken   = "read again, and in force"
		asIs    = "as it was before, and in force"
		refused = "not taken up, "
	)
	path := filepath.Join(t.TempDir(), "word")
	mustWrite(t, path, "one")
	f := openWord(t, path)
	for _, step := range []struct {
		sentence string
		do       func()
		after    time.Duration // noon
		tells    string
		value    string
		fails    bool
	}{
		{"nothing has changed", func() {}, 0, nothing, "one", false},
		{"what one poll has seen may be half of it", func() { mustWrite(t, path, "tw") }, 0, nothing, "one", false},
		{"as it was", func() { mustWrite(t, path, "two") }, 0, nothing, "one", false},
		{"what two polls have seen counts", func() {}, 0, taken, "two", false},
		{"once", func() {}, 0, nothing, "two", false},
		{"what was there for one poll only", func() { mustWrite(t, path, "bad") }, 0, nothing, "two", false},
		{"never counts", func() { mustWrite(t, path, "two") }, 0, nothing, "two", false},
		{"nor afterwards", func() {}, 0, nothing, "two", false},
		{"bad content", func() { mustWrite(t, path, "bad") }, 0, nothing, "two", false},
		{"is refused", func() {}, 0, refused + "two stays in force: it is bad", "two", true},
		{"which is told once", func() {}, 0, nothing, "two", true},
		{"other bad content", func() { mustWrite(t, path, "bad too") }, 0, nothing, "two", true},
		{"is told again", func() {}, 0, refused, "two", true},
		{"the old content comes back", func() { mustWrite(t, path, "two") }, 0, nothing, "two", true},
		{"and all is well", func() {}, 0, asIs, "two", false},
		{"the file vanishes", func() { os.Remove(path) }, 0, nothing, "two", false},
		{"which is told", func() {}, 0, refused, "two", true},
		{"once too", func() {}, 0, nothing, "two", true},
		{"a directory is no file", func() { os.Mkdir(path, 0o700) }, 0, nothing, "two", true},
		{"another fault is told", func() {}, 0, "no regular file", "two", true},
		{"another file is there", func() { os.Remove(path); mustWrite(t, path, "three") }, 0, nothing, "two", true},
		{"and taken up", func() {}, 0, taken, "three", false},
		{"what is not right yet", func() { mustWrite(t, path, "soon") }, 0, nothing, "three", false},
		{"is refused for now", func() {}, 0, refused + "three stays in force: it is not yet time", "three", true},
		{"and told once", func() {}, 4 * time.Minute, nothing, "three", true},
		{"when its time comes it is taken up", func() {}, 5 * time.Minute, taken, "soon", false},
		{"once", func() {}, 6 * time.Minute, nothing, "soon", false},
	} {
		step.do()
		var told string
		if event, ok := f.poll(noon.Add(step.after)); ok {
			told = event.String()
			if event.New != strings.Contains(told, taken) || event.Files != path {
				t.Errorf("%s: got %+v", step.sentence, event)
			}
		}
		if (told == "") != (step.tells == "") || !strings.Contains(told, step.tells) {
			t.Errorf("%s: told %q, want %q", step.sentence, told, step.tells)
		}
		if got := f.current(); got != step.value {
			t.Errorf("%s: got %s, want %s", step.sentence, got, step.value)
		}
		if err := f.failing(); (err != nil) != step.fails {
			t.Errorf("%s: failing: %v", step.sentence, err)
		}
	}
}

// Kubernetes puts a volume's files into a new directory and swaps the link to it.
func TestASwappedLinkIsSeen(t *testing.T) {
	dir := t.TempDir()
	version := func(n string) string {
		t.Helper()
		path := filepath.Join(dir, n)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, filepath.Join(path, "word"), n)
		// The same time for both: only the content differs.
		if err := os.Chtimes(filepath.Join(path, "word"), noon, noon); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(to string) {
		t.Helper()
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(to, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link(version("one"))
	f := openWord(t, filepath.Join(dir, "..data", "word"))
	link(version("two"))
	f.poll(noon)
	if event, ok := f.poll(noon); !ok || !event.New || f.current() != "two" {
		t.Errorf("got %v, %v, and %s in force", event, ok, f.current())
	}
}

func TestFilesThatCannotBeReadAtFirstAreAnError(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	mustWrite(t, bad, "web hunter2 admin")
	none := filepath.Join(dir, "none")
	for path, want := range map[string]string{none: "no such file", dir: "no regular file", bad: "line 1: " + faultCredential} {
		if _, err := OpenTokens(path, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func TestTokensAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	mustWrite(t, path, "ci "+sha("old")+" admin\n")
	noCertificates := func(tokens *Tokens) error {
		if tokens.UsesCertificates() {
			return errors.New("no certificate is asked for")
		}
		return nil
	}
	f, err := OpenTokens(path, noCertificates)
	if err != nil {
		t.Fatal(err)
	}
	look := func() string {
		f.Poll(noon)
		return fmt.Sprint(f.Poll(noon))
	}
	mustWrite(t, path, "ci "+sha("new")+" admin\n")
	if told := look(); !strings.Contains(told, "in force") || f.Tokens().ByToken("new") == nil || f.Tokens().ByToken("old") != nil {
		t.Errorf("another token: told %s", told)
	}
	mustWrite(t, path, "web cert admin\n")
	if told := look(); !strings.Contains(told, "no certificate is asked for") || f.Tokens().ByToken("new") == nil || f.Failing() == nil {
		t.Errorf("what the caller does not accept: told %s, failing %v", told, f.Failing())
	}
	mustWrite(t, path, "ci hunter2 admin\n")
	if told := look(); !strings.Contains(told, faultCredential) || strings.Contains(told, "hunter2") {
		t.Errorf("what does not parse: told %s", told)
	}
	mustWrite(t, path, "ci "+sha("new")+" admin\n")
	if told := look(); !strings.Contains(told, "as it was before") || f.Failing() != nil {
		t.Errorf("as it was: told %s, failing %v", told, f.Failing())
	}
}
