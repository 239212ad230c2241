package access

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// burst is how long a caller may have saved up: clients wake by timers of a second, and
	// two of those ticks meet when one is late.
	burst = 2 * time.Second

	// maxBuckets bounds what a limiter remembers, to about 10 MB.
	maxBuckets = 64 << 10
)

// Limiter bounds how many requests a second come under each key: a token bucket for each,
// which holds two seconds' worth. Its methods may be called from any goroutine; the zero
// value sets no limit.
//
// Past 65,536 keys in four seconds, those that are new share one bucket: whoever has a network
// of addresses to come from costs no more memory, and takes nothing from who was here before.
// So credentials and addresses have a limiter each: nobody without a credential gets at the
// buckets of the others.
type Limiter[K comparable] struct {
	interval atomic.Int64 // ns between two requests; 0 is no limit

	mu       sync.Mutex // guards what follows
	start    time.Time  // where the times below begin
	turned   time.Duration
	fresh    map[K]bucket // used since turned
	stale    map[K]bucket // used in the span before that
	overflow bucket
}

// bucket is the time at which the bucket will be full again: GCRA's theoretical arrival time
// (ITU-T I.371), which is all that a token bucket needs to remember.
type bucket time.Duration

// SetRate sets how many requests a second each key may have; 0 is no limit. What was spent
// before stays spent.
func (l *Limiter[K]) SetRate(perSecond int) {
	if perSecond <= 0 {
		l.interval.Store(0)
		return
	}
	l.interval.Store(max(1, int64(time.Second)/int64(perSecond)))
}

// Allow takes one request from the key's bucket. Where it has none left it reports false, and
// after what time it will have one; that costs the caller nothing further.
func (l *Limiter[K]) Allow(key K, now time.Time) (ok bool, retryAfter time.Duration) {
	interval := time.Duration(l.interval.Load())
	if interval == 0 {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.turn(now)
	b, known := l.fresh[key]
	if !known {
		b, known = l.stale[key]
		if known {
			delete(l.stale, key) // it moves
		} else if len(l.fresh)+len(l.stale) >= maxBuckets {
			retryAfter = l.overflow.take(interval, at)
			return retryAfter == 0, retryAfter
		}
	}
	retryAfter = b.take(interval, at)
	l.fresh[key] = b
	return retryAfter == 0, retryAfter
}

// turn forgets the buckets that have not been used for a burst or longer, all at once: such
// a one is full, and a new one is too.
func (l *Limiter[K]) turn(now time.Time) (at time.Duration) {
	if l.fresh == nil {
		l.start = now
		l.fresh, l.stale = make(map[K]bucket), make(map[K]bucket)
	}
	at = now.Sub(l.start)
	if idle := at - l.turned; idle >= burst {
		l.fresh, l.stale = l.stale, l.fresh
		clear(l.fresh)
		if idle >= 2*burst {
			clear(l.stale)
		}
		l.turned = at
	}
	return at
}

// take takes one request out, and returns 0, or how long until there is one.
func (b *bucket) take(interval, at time.Duration) time.Duration {
	// A clock that was set back must not keep anybody out for longer than an empty bucket.
	full := min(max(time.Duration(*b), at), at+burst)
	if wait := full + interval - burst - at; wait > 0 {
		*b = bucket(full)
		return wait
	}
	*b = bucket(full + interval)
	return 0
}

// Source returns what requests without a credential are counted by: an IPv4 address whole, and
// of an IPv6 address the 64 bits that a network gives to one host, which has all the others
// to choose from (RFC 4291, section 2.5.4).
func Source(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	source, _ := addr.Prefix(bits) // the zero Prefix for the zero Addr, which has no bits
	return source
}
