package registry

import (
	"context"
	"reflect"
	"sync"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// sendPacked sends an answer in wire form past whoever would pack a message, see
// answer.Wire, and reports whether it did. It does where nobody wants to see the message:
// a plugin above that does, to change it or to tell of it, has put a writer of its own
// around the server's, and so has a server that is no plain socket.
func (q *query) sendPacked(a *answer.Answer) (sent bool, err error) {
	if q.asksSOA() {
		return false, nil
	}
	recorder, ok := direct(q.req.W)
	if !ok {
		return false, nil
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	w := answer.Wire{Request: q.req.Req, Room: q.req.Size(), TTL: q.ttl, Now: q.now()}
	b, ok := w.Append((*buffer)[:0], a, q.zone, q.state)
	*buffer = b[:0]
	if !ok {
		return false, nil
	}
	if recorder != nil && a.Outcome == answer.NoName {
		recorder.Rcode = dns.RcodeNameError
	}
	_, err = q.req.W.Write(b)
	return true, err
}

// buffers are kept for use again: the server below has sent their bytes when it returns.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, dns.DefaultMsgSize)
	return &b
}}

// direct reports whether a writer leads straight to a socket, where bytes go the way that a
// message goes. The writers on that way are known: those between plugins only tell which one
// has answered, that of *prometheus* counts bytes, and asks for the response code, which it is
// to be told, and our own and CoreDNS's only make messages fit. Below them stands the socket's.
// Anything else may do more with a message than with bytes: DNS over QUIC ends its stream, and
// a server that asks itself would send its client what was meant for itself.
func direct(w dns.ResponseWriter) (recorder *metrics.Recorder, ok bool) {
	w = behindPlugins(w)
	if r, is := w.(*metrics.Recorder); is {
		recorder, w = r, behindPlugins(r.ResponseWriter)
	}
	if f, is := w.(*fitter); is {
		w = f.ResponseWriter
	}
	scrub, ok := w.(*request.ScrubWriter)
	return recorder, ok && isSocket(scrub.ResponseWriter)
}

// behindPlugins returns the writer that the writers between plugins stand around. CoreDNS
// does not export their type, only the writer that is embedded in it.
func behindPlugins(w dns.ResponseWriter) dns.ResponseWriter {
	for {
		v := reflect.ValueOf(w)
		if v.Type() != betweenPlugins {
			return w
		}
		inner, ok := v.Elem().Field(0).Interface().(dns.ResponseWriter)
		if !ok {
			return w
		}
		w = inner
	}
}

// betweenPlugins is the type of the writer that CoreDNS hands from one plugin to the next.
var betweenPlugins = func() reflect.Type {
	var c caught
	_, _ = plugin.NextOrFailure(pluginName, &c, context.Background(), nil, nil)
	if t := c.writer; t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct &&
		t.Elem().NumField() > 0 && t.Elem().Field(0).Name == "ResponseWriter" {
		return t
	}
	return nil // a CoreDNS that does it otherwise: then its writers are as any other
}()

// caught is a plugin that looks at nothing but the writer's type.
type caught struct{ writer reflect.Type }

func (c *caught) Name() string { return pluginName }

func (c *caught) ServeDNS(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
	c.writer = reflect.TypeOf(w)
	return dns.RcodeSuccess, nil
}
