package test

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// Garbage comes from a seed, so that what a failed run did can be done again.
const seed = 20

// hostile is a server with a small table, that must be the same after whatever is done to it.
type hostile struct {
	*server
	random   *rand.Rand
	revision uint64
}

func startHostile(t *testing.T) *hostile {
	t.Helper()
	s := start(t, `
cluster.local:{$DNS} in-addr.arpa:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
    pprof {$PPROF}
}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"),
		`{"addresses":["192.0.2.7"],"ports":[{"name":"http","port":8080}],"metadata":{"version":"1"},"leaseSeconds":0}`)
	s.must(t, http.StatusCreated, http.MethodPut, servicePath("alias"), `{"type":"externalName","externalName":"web.default.svc.cluster.local"}`)
	return &hostile{s, rand.New(rand.NewPCG(seed, seed)), s.endpoint.revision(t)}
}

// attack does something to the server twice. The first time it may grow, pools and buffers
// are filled then; the second time, that lasts longer, it may not.
func (h *hostile) attack(t *testing.T, with func(rounds int)) {
	t.Helper()
	with(1)
	goroutines, heap := h.cost(t)
	with(10)
	const moreGoroutines, moreHeap = 5, 4 << 20
	soon(t, "the goroutines are those of before", func() bool {
		now, _ := h.cost(t)
		return now <= goroutines+moreGoroutines
	})
	if _, now := h.cost(t); now > heap+moreHeap {
		t.Errorf("the heap has grown from %.0f to %.0f bytes", heap, now)
	}
	if now := h.endpoint.revision(t); now != h.revision {
		t.Errorf("the revision of the table is %d, want %d as before", now, h.revision)
	}
	if panics := h.scrape(t).sum("coredns_panics_total"); panics != 0 {
		t.Errorf("%.0f panics", panics)
	}
}

// cost returns how many goroutines the server has, and the bytes of its live heap.
func (h *hostile) cost(t *testing.T) (goroutines, heap float64) {
	t.Helper()
	h.client.CloseIdleConnections()
	if status := getStatus(h.pprof + "/debug/pprof/heap?gc=1"); status != http.StatusOK {
		t.Fatalf("collect garbage: %d", status)
	}
	s := h.scrape(t)
	return s.sum("go_goroutines"), s.sum("go_memstats_heap_alloc_bytes")
}

// mutate changes some bytes of a text, takes some away or says some twice.
func (h *hostile) mutate(text []byte) []byte {
	b := append([]byte(nil), text...)
	for range 1 + h.random.IntN(4) {
		if len(b) == 0 {
			break
		}
		i := h.random.IntN(len(b))
		j := i + h.random.IntN(min(len(b)-i, 16)) + 1
		switch h.random.IntN(4) {
		case 0:
			b[i] = byte(h.random.Uint32())
		case 1:
			b = append(b[:i:i], b[j:]...)
		case 2:
			b = append(b[:j:j], b[i:]...)
		case 3:
			b[i] ^= 1 << h.random.IntN(8)
		}
	}
	return b
}

func (h *hostile) garbage(most int) []byte {
	b := make([]byte, h.random.IntN(most))
	for i := range b {
		b[i] = byte(h.random.Uint32())
	}
	return b
}

// moment is how long an attacker waits for an answer that may never come.
const moment = 100 * time.Millisecond
