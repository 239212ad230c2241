package door

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// dialed is a connection from an address, as its listener gets it.
type dialed struct {
	net.Conn
	from   string
	closed bool
}

func (d *dialed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(d.from), 40000))
}

func (d *dialed) Close() error {
	d.closed = true
	return nil
}

// queue is a listener of connections that have been dialed.
type queue struct {
	net.Listener
	dialed []*dialed
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.dialed) == 0 {
		return nil, io.EOF
	}
	next := q.dialed[0]
	q.dialed = q.dialed[1:]
	return next, nil
}

// hall is where connections come and go, a second apart.
type hall struct {
	t        *testing.T
	bound    *Connections
	queue    queue
	listener net.Listener
	now      time.Time
	conns    map[string]net.Conn // by what a test calls them
	dialed   map[string]*dialed
	order    []string
	refused  []string
}

func newHall(t *testing.T, most int) *hall {
	h := &hall{t: t, now: noon, conns: make(map[string]net.Conn), dialed: make(map[string]*dialed)}
	h.bound = NewConnections(most, func() time.Time { return h.now })
	h.bound.maxEach = most / 2
	h.listener = h.bound.Listener(&h.queue, func(err error) { h.refused = append(h.refused, err.Error()) })
	return h
}

// do takes steps, a second apart, each a verb and a name: "dial a1" has the connection a1 come from
// the address that its first letter stands for; "busy a1", "idle a1" and "close a1" are what
// happens on it.
func (h *hall) do(steps string) {
	h.t.Helper()
	addresses := map[byte]string{'a': "192.0.2.1", 'b': "192.0.2.2", 'c': "198.51.100.1", 'v': "2001:db8::1", 'w': "2001:db8::2"}
	for step := range strings.SplitSeq(steps, ", ") {
		verb, name, _ := strings.Cut(step, " ")
		h.now = h.now.Add(time.Second)
		switch verb {
		case "dial":
			d := &dialed{from: addresses[name[0]]}
			h.queue.dialed = append(h.queue.dialed, d)
			h.dialed[name] = d
			h.order = append(h.order, name)
			if conn, err := h.listener.Accept(); err == nil {
				h.conns[name] = conn
			}
		case "busy":
			busy(h.conns[name])
		case "idle":
			idle(h.conns[name])
		case "close":
			if err := h.conns[name].Close(); err != nil {
				h.t.Fatal(err)
			}
		default:
			h.t.Fatalf("no such step: %s", step)
		}
	}
}

// open returns the connections that are, in the order in which they came.
func (h *hall) open() string {
	return strings.Join(slices.DeleteFunc(slices.Clone(h.order), func(name string) bool { return h.dialed[name].closed }), " ")
}

func TestConnectionsThatWaitGiveWay(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		steps    string
		open     string
		refused  string // a part of the reason of the last
	}{
		{"as many as there is room for", "dial a1, dial b1, dial c1, dial a2", "a1 b1 c1 a2", ""},
		{"one address may have half", "dial a1, dial a2, dial a3", "a2 a3", ""},
		{"of IPv6 a /64 is one", "dial v1, dial w1, dial v2", "w1 v2", ""},
		{"whoever waits longest goes first, wherever in the row", "dial a1, dial a2, busy a1, idle a1, dial a3", "a1 a3", ""},
		{"a request under way is not broken off", "dial a1, dial a2, busy a1, dial a3", "a1 a3", ""},
		{"where all are busy the new one is closed", "dial a1, dial a2, busy a1, busy a2, dial a3", "a1 a2", "from 192.0.2.1/32: it has 2 open"},
		{"and there is room when one has gone", "dial a1, dial a2, busy a1, busy a2, close a1, dial a3", "a2 a3", ""},
		{"others have theirs", "dial a1, dial a2, busy a1, busy a2, dial a3, dial b1", "a1 a2 b1", "from 192.0.2.1/32"},
		{"when all are taken the address with the most gives way", "dial b1, dial a1, dial a2, dial c1, dial v1", "b1 a2 c1 v1", ""},
		{"though what it has is busy, if anything waits there", "dial b1, dial a1, dial a2, dial c1, busy a1, dial v1", "b1 a1 c1 v1", ""},
		{"else another", "dial b1, dial a1, dial a2, dial c1, busy a1, busy a2, dial v1", "a1 a2 c1 v1", ""},
		{"when all are busy the new one is closed", "dial b1, dial a1, dial a2, dial c1, busy a1, busy a2, busy b1, busy c1, dial v1", "b1 a1 a2 c1", "4 are open, the most of all"},
		{"what was closed for another is not counted twice", "dial a1, dial a2, dial a3, close a1, close a2, dial a4, dial a5", "a4 a5", ""},
	} {
		h := newHall(t, 4)
		h.do(tc.steps)
		if got := h.open(); got != tc.open {
			t.Errorf("%s: open are %s, want %s", tc.sentence, got, tc.open)
		}
		if got := strings.Join(h.refused, "|"); tc.refused == "" && got != "" || !strings.Contains(got, tc.refused) {
			t.Errorf("%s: refused for %q, want %q", tc.sentence, got, tc.refused)
		}
		for name := range h.conns {
			h.conns[name].Close()
			h.conns[name].Close() // as net/http does now and then
		}
		if len(h.bound.open) != 0 || len(h.bound.sources) != 0 {
			t.Errorf("%s: in the end %d connections are counted, of %d addresses", tc.sentence, len(h.bound.open), len(h.bound.sources))
		}
	}
}

func TestEndpointsShareTheConnectionsOfTheirProcess(t *testing.T) {
	h := newHall(t, 2)
	other := &queue{dialed: []*dialed{{from: "192.0.2.1"}}}
	h.do("dial b1")
	if _, err := h.bound.Listener(other, nil).Accept(); err != nil {
		t.Fatal(err)
	}
	h.do("dial c1")
	if got := h.open(); got != "c1" {
		t.Errorf("open are %s at the first endpoint, want c1", got)
	}
}

// What net/http tells of TLS connections is of those below.
func TestATLSConnectionIsBusyWhileItsRequestIsUnderWay(t *testing.T) {
	h := newHall(t, 2)
	h.do("dial a1")
	secured := tls.Server(h.conns["a1"], nil)
	busy(secured)
	h.do("dial a2")
	idle(secured)
	h.do("dial a3")
	if got := h.open(); got != "a3" || len(h.refused) != 1 {
		t.Errorf("open are %s, and %q were refused", got, h.refused)
	}
	busy(&dialed{}) // one that is not counted, and does no harm
}

func TestConnectionsAreCountedUnderConcurrentUse(t *testing.T) {
	bound := NewConnections(64, time.Now)
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			l := bound.Listener(&queue{}, func(error) {})
			var mine []net.Conn
			for i := range 2000 {
				l.(*boundedListener).Listener.(*queue).dialed = []*dialed{{from: netip.AddrFrom4([4]byte{192, 0, 2, byte(n % 3)}).String()}}
				c, err := l.Accept()
				if err != nil {
					continue // the queue is empty after one that was refused
				}
				busy(c)
				if i%3 > 0 {
					idle(c)
				}
				mine = append(mine, c)
				if len(mine) > 5 {
					mine[0].Close()
					mine = mine[1:]
				}
			}
			for _, c := range mine {
				c.Close()
			}
		})
	}
	clients.Wait()
	if len(bound.open) != 0 || len(bound.sources) != 0 {
		t.Errorf("in the end %d connections are counted, of %d addresses", len(bound.open), len(bound.sources))
	}
}

// BenchmarkAcceptWhenFull is what a connection costs more when there is no room for it.
func BenchmarkAcceptWhenFull(b *testing.B) {
	bound := NewConnections(8192, time.Now)
	q := &queue{}
	l := bound.Listener(q, func(error) {})
	for n := range 8192 + b.N {
		if n == 8192 {
			b.ResetTimer()
		}
		q.dialed = []*dialed{{from: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).String()}}
		if _, err := l.Accept(); err != nil {
			b.Fatal(err)
		}
	}
}
