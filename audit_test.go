package registry

import (
	"bytes"
	golog "log"
	"regexp"
	"strings"
	"testing"

	clog "github.com/coredns/coredns/plugin/pkg/log"
)

var logTime = regexp.MustCompile(`\d{4}.\d\d.\d\d.\d\d:\d\d:\d\d[^ "]*`)

// Lines of the audit that go to the log together look as if each had gone by itself, whatever
// form the log has.
func TestTheAuditIsALineEachInTheLog(t *testing.T) {
	lines := []string{`who=web what="PUT instance" status=201`, `who="" why="a \"b\"\n %d"`, `suppressed=7`}
	for _, tc := range []struct {
		sentence, format string
		flags            int
	}{
		{"as CoreDNS writes it", "text", 0},
		{"with the time before each line", "text", golog.LstdFlags},
		{"as JSON", "json", 0},
	} {
		for n := 1; n <= len(lines); n++ {
			want := logText(t, tc.format, tc.flags, func() {
				for _, line := range lines[:n] {
					log.Infof("audit %s", line)
				}
			})
			got := logText(t, tc.format, tc.flags, func() { logAudit([]byte(strings.Join(lines[:n], "\n") + "\n")) })
			if got != want || want == "" {
				t.Errorf("%s, %d lines: got\n%s\nwant\n%s", tc.sentence, n, got, want)
			}
		}
	}
}

// logText returns what is written to a log of that form, without times.
func logText(t *testing.T, format string, flags int, do func()) string {
	t.Helper()
	writer, before := golog.Writer(), golog.Flags()
	defer golog.SetFlags(before)
	defer clog.Configure("text", writer)
	golog.SetFlags(flags)
	var b bytes.Buffer
	if err := clog.Configure(format, &b); err != nil {
		t.Fatal(err)
	}
	do()
	return logTime.ReplaceAllString(b.String(), "T")
}
