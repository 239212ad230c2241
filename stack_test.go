package registry

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/coredns-registry/registry/internal/access"

	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// While an endpoint is open, no query needs more stack than its goroutine starts with; when it
// has closed each does again, which also shows that the stack that it held is gone.
//
// The test has a process of its own, since what others have left running counts too. That has
// one CPU, where a goroutine takes the place of one that has ended: a place that is new has
// 2 KiB whatever Go has decided. And it collects only where it says so, since a collection in
// the midst of a query may make its stack smaller.
func TestQueryFitsItsStack(t *testing.T) {
	const alone = "REGISTRY_TEST_ALONE"
	if os.Getenv(alone) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), alone+"=1", "GOMAXPROCS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	debug.SetGCPercent(-1)
	w := newWorld(t, Config{})
	w.Load(aWorld)
	for range 24 { // as there are in a CoreDNS
		go func() { <-t.Context().Done() }()
	}
	e := newRegistry("127.0.0.1:0", "", nil, access.NewGuard(access.Rules{}), nil)

	e.run()
	for deadline := time.Now().Add(10 * time.Second); startingStack() < 8<<10; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("goroutines start with %d bytes of stack, want 8 KiB", startingStack())
		}
	}
	w.checkStacks("while the endpoint is open", false)

	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	w.checkStacks("when it has closed", true)
}

// checkStacks asks questions that have been asked before, each in a goroutine of its own, and
// checks whether its stack has to grow. The answer is a message that is packed, or what is
// sent where nobody wants to see one.
func (w *world) checkStacks(when string, grows bool) {
	w.T.Helper()
	var places sync.WaitGroup
	for range 100 {
		places.Go(func() {})
	}
	places.Wait()
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"web." + origin, dns.TypeA},
		{"_http._tcp.web." + origin, dns.TypeSRV},
		{"web-1.web." + origin, dns.TypeTXT},
		{"gone." + origin, dns.TypeA},
		{"7.2.0.192.in-addr.arpa.", dns.TypePTR},
	} {
		question := new(dns.Msg).SetQuestion(q.name, q.qtype)
		client := &forgetful{}
		for form, writer := range map[string]dns.ResponseWriter{
			"message": client,
			"wire":    request.NewScrubWriter(question, newSocket("udp", func([]byte) {})),
		} {
			ask := func() {
				if _, err := w.handler.ServeDNS(w.T.Context(), writer, question); err != nil {
					w.T.Error(err)
				}
			}
			ask()
			for range 20 {
				grew := make(chan bool)
				go func() { grew <- growsStack(ask) }()
				if got := <-grew; got != grows {
					w.T.Errorf("%s, %s %s as %s: the stack grew: %t, want %t; goroutines start with %d bytes",
						when, q.name, dns.TypeToString[q.qtype], form, got, grows, startingStack())
					break
				}
			}
		}
	}
}

// growsStack says whether the stack of its goroutine has to grow for a query. One that grows
// lies somewhere else afterwards.
//
//go:noinline
func growsStack(ask func()) bool {
	var local byte
	before := uintptr(unsafe.Pointer(&local))
	belowOthers(0, ask)
	return uintptr(unsafe.Pointer(&local)) != before
}

// belowOthers asks below as much stack as is in use above this plugin: about 1 KiB from the
// goroutine's beginning to the first plugin, and less than another in *errors* and
// *prometheus*. From the writer to the socket it is 1 KiB too, but that lies where the look-up
// has been. The index keeps the compiler from leaving it out.
//
//go:noinline
func belowOthers(index int, ask func()) byte {
	var others [2 << 10]byte
	ask()
	return others[index]
}

func startingStack() uint64 {
	size := []metrics.Sample{{Name: "/gc/stack/starting-size:bytes"}}
	metrics.Read(size)
	return size[0].Value.Uint64()
}
