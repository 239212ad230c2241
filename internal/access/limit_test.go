package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEachKeyHasItsRate(t *testing.T) {
	const ms = time.Millisecond
	var l Limiter[string]
	l.SetRate(10)
	take := func(key string, n int, after time.Duration) (allowed int, retry time.Duration) {
		for range n {
			ok, wait := l.Allow(key, noon.Add(after))
			if ok {
				allowed++
			} else {
				retry = wait
			}
		}
		return allowed, retry
	}
	for _, step := range []struct {
		sentence string
		key      string
		n        int
		after    time.Duration
		allowed  int
		retry    time.Duration
	}{
		{"two seconds' worth at once", "web", 25, 0, 20, 100 * ms},
		{"not one more", "web", 1, 99 * ms, 0, 1 * ms},
		{"until it has one", "web", 2, 100 * ms, 1, 100 * ms},
		{"being refused costs nothing", "web", 100, 150 * ms, 0, 50 * ms},
		{"others are not held up", "api", 20, 150 * ms, 20, 0},
		{"a second later there is a second's worth", "web", 20, 1100 * ms, 10, 100 * ms},
		{"never more than two", "web", 100, time.Hour, 20, 100 * ms},
	} {
		if allowed, retry := take(step.key, step.n, step.after); allowed != step.allowed || retry != step.retry {
			t.Errorf("%s: got %d and wait %s, want %d and %s", step.sentence, allowed, retry, step.allowed, step.retry)
		}
	}
	l.SetRate(1000)
	if allowed, _ := take("web", 100, time.Hour); allowed != 0 {
		t.Errorf("with another rate: got %d: what is spent stays spent", allowed)
	}
	if allowed, _ := take("web", 5000, time.Hour+time.Second); allowed != 1000 {
		t.Errorf("a second later: got %d of 1000", allowed)
	}
	l.SetRate(0)
	if allowed, _ := take("web", 5000, time.Hour+time.Second); allowed != 5000 {
		t.Errorf("without a limit: got %d of 5000", allowed)
	}
	l.SetRate(1)
	if allowed, retry := take("new", 3, 2*time.Hour); allowed != 2 || retry != time.Second {
		t.Errorf("the least rate there is: got %d and %s, want 2 and 1s", allowed, retry)
	}
	if allowed, _ := take("web", 1, -time.Hour); allowed != 0 {
		t.Errorf("a clock set back gives nothing: got %d", allowed)
	}
	if allowed, _ := take("web", 1, -time.Hour+2*time.Second); allowed != 1 {
		t.Errorf("and keeps nobody out: got %d", allowed)
	}
}

// bucketTwin is a token bucket as it is drawn: so many tokens, which time fills up.
type bucketTwin struct {
	tokens float64
	at     time.Duration
}

// Whatever is forgotten meanwhile, each key gets what a bucket of its own would give.
func TestForgettingIsNotNoticed(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 9))
		rate := 1 << random.IntN(8) // whole nanoseconds between two
		var l Limiter[int]
		l.SetRate(rate)
		twins := make(map[int]*bucketTwin)
		var at time.Duration
		for range 3000 {
			at += time.Duration(random.Int64N(int64(4*time.Second) / int64(rate*(1+random.IntN(20)))))
			key := random.IntN(5)
			b := twins[key]
			if b == nil {
				b = &bucketTwin{tokens: 2 * float64(rate)}
				twins[key] = b
			}
			b.tokens = min(2*float64(rate), b.tokens+(at-b.at).Seconds()*float64(rate))
			b.at = at
			if b.tokens > 1-1e-6 && b.tokens < 1+1e-6 {
				continue // too close for a float
			}
			want := b.tokens >= 1
			if want {
				b.tokens--
			}
			if ok, _ := l.Allow(key, noon.Add(at)); ok != want {
				t.Fatalf("seed %d: rate %d: key %d at %s: got %v, want %v: %f tokens", seed, rate, key, at, ok, want, b.tokens)
			}
		}
	}
}

func TestMemoryIsBoundedHoweverManyKeysCome(t *testing.T) {
	var l Limiter[int]
	l.SetRate(100)
	l.Allow(-1, noon)
	for n := range 4 * maxBuckets {
		l.Allow(n, noon.Add(time.Duration(n)))
	}
	if n := len(l.fresh) + len(l.stale); n != maxBuckets {
		t.Errorf("%d buckets", n)
	}
	if ok, wait := l.Allow(5*maxBuckets, noon.Add(time.Millisecond)); ok || wait <= 0 {
		t.Errorf("a new key has what the others have left: got %v, wait %s", ok, wait)
	}
	if ok, _ := l.Allow(-1, noon.Add(time.Millisecond)); !ok {
		t.Error("who was here before is held up")
	}
	for n := range 4 * maxBuckets {
		l.Allow(-n, noon.Add(burst+time.Duration(n)))
		if n := len(l.fresh) + len(l.stale); n > maxBuckets {
			t.Fatalf("%d buckets, when some of them are not so fresh", n)
		}
	}
	for n := range 3 {
		l.Allow(-1, noon.Add(time.Duration(n+2)*burst))
	}
	if n := len(l.fresh) + len(l.stale); n != 1 {
		t.Errorf("%d buckets are left of those that nobody uses", n)
	}
	l.Allow(-2, noon.Add(4*burst))
	l.Allow(-3, noon.Add(time.Hour))
	if n := len(l.fresh) + len(l.stale); n != 1 {
		t.Errorf("%d buckets are left after nobody came for an hour", n)
	}
}

func TestSourceIsWhatOneHostHas(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":          "192.0.2.7/32",
		"::ffff:192.0.2.7":   "192.0.2.7/32",
		"2001:db8:1:2:3::7":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ff::1": "2001:db8:1:2::/64",
		"fe80::1%eth0":       "fe80::/64",
	} {
		if got := Source(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	if got := Source(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: got %s", got)
	}
}

func TestLimiterHoldsUnderConcurrentUse(t *testing.T) {
	var l Limiter[int]
	l.SetRate(500)
	var allowed atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 1000 {
				if ok, _ := l.Allow(1, noon); ok {
					allowed.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if got := allowed.Load(); got != 1000 {
		t.Errorf("got %d, want two seconds' worth of 500", got)
	}
}

func BenchmarkAllow(b *testing.B) {
	for _, keys := range []int{1, 1000, maxBuckets, 4 * maxBuckets} {
		b.Run(fmt.Sprintf("%d names", keys), func(b *testing.B) {
			names := make([]string, keys)
			for n := range names {
				names[n] = fmt.Sprint("spiffe://example.org/web-", n)
			}
			var l Limiter[string]
			l.SetRate(1000)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for n := rand.IntN(keys); p.Next(); n++ {
					l.Allow(names[n%keys], time.Now())
				}
			})
		})
	}
	b.Run("addresses", func(b *testing.B) {
		var l Limiter[netip.Prefix]
		l.SetRate(1000)
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			addr := netip.MustParseAddr("2001:db8::7")
			for p.Next() {
				l.Allow(Source(addr), time.Now())
			}
		})
	})
}
