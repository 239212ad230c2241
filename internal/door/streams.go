package door

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/access"
)

// streams counts the streams that are open: answers that last for as long as the client likes, a
// watch or a download. Each keeps a connection busy, so all together may have half of them, and one
// credential, or one address without a credential, an eighth.
type streams struct {
	max, maxEach int // in all, and of one holder

	mu   sync.Mutex // guards what follows
	open int
	held map[holder]int // none is 0
}

// holder is who has streams open.
type holder struct {
	name   string       // NAME of a credential
	source netip.Prefix // of who has none
}

// streamRetryAfter is how long after a refusal to ask for a stream again: one ends seldom.
const streamRetryAfter = 10 * time.Second

func newStreams(connections int) streams {
	return streams{max: max(1, connections/2), maxEach: max(1, connections/8), held: make(map[holder]int)}
}

// Stream counts a stream of the caller's, until end is called, once; or returns why there is no
// room for another.
func (c *Connections) Stream(by *access.Caller, from netip.Addr) (end func(), _ *access.Refusal) {
	s := &c.streams
	h, whose := holder{name: by.Name}, "this credential"
	if by.Name == "" {
		h, whose = holder{source: access.Source(from)}, "this address"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.held[h] >= s.maxEach:
		return nil, &access.Refusal{
			Kind:       access.TooManyRequests,
			Detail:     fmt.Sprintf("%s has %d watches, downloads and long polls open, the most that it may have", whose, s.held[h]),
			RetryAfter: streamRetryAfter,
		}
	case s.open >= s.max:
		return nil, &access.Refusal{
			Kind:       access.Unavailable,
			Detail:     fmt.Sprintf("%d watches, downloads and long polls are open, the most that there may be", s.open),
			RetryAfter: streamRetryAfter,
		}
	}
	s.open++
	s.held[h]++
	return func() { s.end(h) }, nil
}

func (s *streams) end(h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.held[h]--; s.held[h] == 0 {
		delete(s.held, h)
	}
}
