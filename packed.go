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

// sendPacked sends an answer in wire form, see answer.Wire, and reports whether it did. It does so
// only if nobody needs to see the message: a plugin that changes or reports messages wraps the
// server's writer, and so does a server that is not a plain socket.
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

// buffers are reused: the server has sent their bytes when Write returns.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, dns.DefaultMsgSize)
	return &b
}}

// direct reports whether a writer leads straight to a socket, where bytes go the same way as a
// message. It knows the writers on that way: those between plugins note which plugin has answered;
// that of *prometheus* counts bytes, and needs to know the response code; ours and CoreDNS's own
// make messages fit. Below them is the socket's.
//
// Any other writer may do more with a message than with bytes: that of DNS over QUIC ends its
// stream, and a server that queries itself would send its client an answer meant for itself.
func direct(w dns.ResponseWriter) (recorder *metrics.Recorder, ok bool) {
	w = behindPlugins(w)
	if r, ok := w.(*metrics.Recorder); ok {
		recorder, w = r, behindPlugins(r.ResponseWriter)
	}
	if f, ok := w.(*fitter); ok {
		w = f.ResponseWriter
	}
	scrub, ok := w.(*request.ScrubWriter)
	return recorder, ok && isSocket(scrub.ResponseWriter)
}

// behindPlugins returns the writer below those between plugins. CoreDNS does not export their type,
// only the writer embedded in it.
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

// betweenPlugins is the type of the writer that CoreDNS passes from one plugin to the next.
var betweenPlugins = func() reflect.Type {
	var c caught
	_, _ = plugin.NextOrFailure(pluginName, &c, context.Background(), nil, nil)
	if t := c.writer; t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct &&
		t.Elem().NumField() > 0 && t.Elem().Field(0).Name == "ResponseWriter" {
		return t
	}
	return nil // another CoreDNS: treat its writers like any other
}()

// caught is a plugin that only notes the writer's type.
type caught struct{ writer reflect.Type }

func (c *caught) Name() string { return pluginName }

func (c *caught) ServeDNS(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
	c.writer = reflect.TypeOf(w)
	return dns.RcodeSuccess, nil
}
