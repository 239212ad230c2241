package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/hosts"

	"github.com/miekg/dns"
)

// passOn has the next plugin answer the question.
func (q *query) passOn() (code int, err error) {
	return plugin.NextOrFailure(q.Name(), q.Next, q.ctx, q.req.W, q.req.Req)
}

// nobodyKnows reports whether what passOn has returned means that none of the plugins from the
// next one on has anything to say of the name: then nothing was written, and there is nothing
// wrong with any of them.
func (q *query) nobodyKnows(code int, err error) bool {
	switch {
	case err != nil:
		return code == dns.RcodeServerFailure && strings.HasSuffix(err.Error(), noNextPlugin)
	case code == dns.RcodeRefused: // by *file* at the end, which has other zones
		return true
	}
	return code == dns.RcodeServerFailure && q.hostsDenies()
}

// hostsDenies reports whether the next plugin is *hosts* and keeps the question to itself. It has
// no SOA, and so no NXDOMAIN: it fails where it does not have the name.
func (q *query) hostsDenies() bool {
	h, ok := q.Next.(hosts.Hosts)
	return ok && q.req.QType() != dns.TypePTR && !h.Fall.Through(q.req.Name()) &&
		plugin.Zones(h.Origins).Matches(q.req.Name()) != ""
}

// noNextPlugin is what CoreDNS says at the end of a chain of plugins, in an error that it makes
// anew each time.
var noNextPlugin = func() string {
	_, err := plugin.NextOrFailure(pluginName, nil, context.Background(), nil, nil)
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err.Error()
}()
