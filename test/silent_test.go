package test

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// silent is an instance whose heartbeats stop, or several that are answered together. It has
// to leave when its lease ends: by the clock of the test never before, and at most a second
// after it.
type silent struct {
	what     string
	lease    time.Duration
	from, to time.Time // the last renewal happened between them
	latest   time.Time // it was asked for, and answered
	left     bool
}

func (s *silent) String() string { return s.what }

// seen takes down whether it is in an answer.
func (s *silent) seen(in bool, got reply) error {
	switch {
	case in && s.left:
		return fmt.Errorf("%s left and is back", s)
	case in:
		s.latest = got.sent
	case !s.left:
		s.left = true
		if age := got.came.Sub(s.from); age < s.lease {
			return fmt.Errorf("%s left %s after its last renewal, want not before %s", s, age, s.lease)
		}
	}
	return nil
}

// leftInTime holds it to that, once it has left.
func (s *silent) leftInTime(t *testing.T, server *server) {
	t.Helper()
	if !s.left {
		t.Errorf("%s has not left", s)
		return
	}
	if s.latest.IsZero() {
		t.Logf("%s had left when this test came to look for it", s)
		return
	}
	late := s.latest.Sub(s.to)
	if slack, ok := server.excuses(late - s.lease - endsWithin); !ok {
		t.Errorf("%s was still answered %s after its last renewal, want at most %s", s, late, s.lease+endsWithin+slack)
	}
}

// excuses reports whether leases may be answered for that much longer than they should, and
// how much is allowed. The server tells of a pause when it is over, and what it tells may be
// on its way.
func (s *server) excuses(late time.Duration) (slack time.Duration, ok bool) {
	deadline := time.After(settlesWithin)
	for {
		_, grown := s.log.read()
		if slack = s.unheard(); late <= slack {
			return slack, true
		}
		select {
		case <-grown:
		case <-deadline:
			return slack, false
		}
	}
}

// settlesWithin is how long a test waits for what a server has told already.
const settlesWithin = slowness * 2 * time.Second

var unheardLine = regexp.MustCompile(`Paused for (\S+);`)

// unheard is the time that leases were prolonged by, since the process did not run.
func (s *server) unheard() (sum time.Duration) {
	for _, match := range unheardLine.FindAllStringSubmatch(s.log.String(), -1) {
		d, _ := time.ParseDuration(match[1])
		sum += d + time.Millisecond // it is rounded
	}
	return sum
}
