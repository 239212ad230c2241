package registry

import (
	"context"

	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// nobody is an upstream in a server that knows no other zone.
type nobody struct{}

func (nobody) Lookup(context.Context, request.Request, string, uint16) (*dns.Msg, error) {
	return new(dns.Msg).SetRcode(new(dns.Msg), dns.RcodeRefused), nil
}
