package httpapi

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// call is one request being answered. It belongs to one goroutine and is used again for
// another request afterwards: nothing may keep it, nor its buffers.
type call struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	arrived time.Time

	id     service.ID // the names in the path; those it has not are empty
	caller *access.Caller
	from   netip.AddrPort
	code   int // answered; 0 before that

	// What the audit tells besides.
	asked     []service.Change // that the body asks for
	changed   []audit.Changed  // by the request, besides the object in the path
	unchanged int              // how many changes in the body changed nothing
	revision  uint64           // of the table with the change
	why       string           // it was refused
	on        []service.ID     // a buffer

	in   []byte // the body
	out  []byte // the answer
	walk walker

	observed bool
	route    string
}

// calls are kept for use again, with their buffers: a heartbeat allocates little else.
var calls = sync.Pool{New: func() any { return new(call) }}

// keptBuffer is the size up to which a buffer is kept for other requests: that of the
// largest ordinary body.
const keptBuffer = maxBody

// large are the buffers of large bodies, for those that will be large too. It is no part of a
// call, since a call may last as long as a watcher does.
var large sync.Pool

func keepLarge(b []byte) { large.Put(&b) }

// largeBuffer returns one that was kept, if there is one.
func largeBuffer() []byte {
	if b, ok := large.Get().(*[]byte); ok {
		return *b
	}
	return nil
}

// serve is the entrance: every request comes through here.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := calls.Get().(*call)
	c.Server, c.w, c.r, c.arrived = s, w, r, s.options.Now()
	c.route = otherRoute
	needs := c.dispatch()
	c.observe()
	c.record(needs)
	c.release()
}

// dispatch answers the request, and returns what it takes to be allowed.
func (c *call) dispatch() need {
	path, ok := split(c.r.URL.EscapedPath())
	if !ok {
		c.fail(http.StatusNotFound, "no resource has this path")
		return nothing
	}
	m, allowed := find(c.r.Method, path)
	switch {
	case m != nil:
		c.route = m.route
		c.id = path.id()
		if c.admitted(m.needs) {
			if m.needs != nothing {
				door.Busy(c.r)
			}
			m.serve(c)
		}
		return m.needs
	case allowed != "":
		c.w.Header().Set("Allow", allowed)
		c.fail(http.StatusMethodNotAllowed, "the method must be one of "+allowed)
	default:
		c.fail(http.StatusNotFound, "no resource has this path")
	}
	return nothing
}

// observe tells the observer of the request, the first time that it is called.
func (c *call) observe() {
	if !c.observed {
		c.observed = true
		c.options.Observe(c.route, c.code, c.options.Now().Sub(c.arrived))
	}
}

func (c *call) release() {
	in, out := c.in[:0], c.out[:0]
	if cap(in) > keptBuffer {
		keepLarge(in)
		in = nil
	}
	if cap(out) > keptBuffer {
		out = nil
	}
	clear(c.changed) // they hold on to the body, or the path
	clear(c.on)
	changed, on := c.changed[:0], c.on[:0]
	if cap(changed) > maxOperations {
		changed = nil
	}
	if c.walk.size > 0 { // it holds on to the body
		c.walk.reset(nil)
	}
	*c = call{in: in, out: out, walk: c.walk, changed: changed, on: on}
	calls.Put(c)
}

// lasts counts an answer that lasts for as long as its client likes, until end is called. Where
// there is no room for another the request is answered, and it reports false.
func (c *call) lasts() (end func(), ok bool) {
	end, refusal := c.Lasts(c.caller, c.from.Addr())
	if refusal != nil {
		c.turnAway(refusal)
		return nil, false
	}
	c.in, c.out = nil, nil // of a request before this one: it would hold them as long
	return end, true
}

// state returns the table. Before it is loaded the request is answered with 503, and
// the state is nil.
func (c *call) state() *table.State {
	state := c.registry.State()
	if state == nil {
		c.refuse(service.ErrNotLoaded)
	}
	return state
}

// The values of headers, made once: a header is a list, and each would be allocated.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
)

// answer sends the object in c.out. The revision is the object's, for its entity tag;
// 0 where there is no such thing.
func (c *call) answer(code int, revision uint64) {
	if revision != 0 {
		c.w.Header()["Etag"] = []string{etag(revision)}
	}
	c.send(code, jsonType)
}

func (c *call) send(code int, contentType []string) {
	header := c.w.Header()
	header["Content-Type"] = contentType
	header["Content-Length"] = []string{strconv.Itoa(len(c.out))}
	c.code = code
	c.w.WriteHeader(code)
	// A client that has gone away needs no answer: there is nothing to do about an error.
	_, _ = c.w.Write(c.out)
}

// answerEmpty sends a status that has no content: 204 or 304.
func (c *call) answerEmpty(code int) {
	c.code = code
	c.w.WriteHeader(code)
}
