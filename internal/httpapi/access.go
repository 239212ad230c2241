package httpapi

import (
	"fmt"
	"net/http"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/service"
)

// need is what a caller must be allowed for a method of a resource.
type need uint8

const (
	nothing   need = iota // open to everybody
	read                  // the service in the path
	readSome              // nothing in particular: who may read little is told little
	write                 // the service in the path
	writeEach             // every service in the body; some at least, before it is read
	beat                  // as write, for a heartbeat
	beatEach              // as writeEach, for heartbeats
	admin
)

func (n need) class() access.Class {
	switch n {
	case nothing:
		return access.Open
	case beat, beatEach:
		return access.Heartbeat
	}
	return access.Ordinary
}

// audited reports whether a request for it is told in the log: every write and every refusal.
// A heartbeat changes nothing that is in the table.
func (n need) audited(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return n == write || n == writeEach
}

// admitted reports whether the caller may go on to what the method does. Who may not is
// answered.
func (c *call) admitted(n need) bool {
	c.from = door.From(c.r)
	caller, refusal := c.Admit(c.r, c.from, n.class())
	c.caller = caller
	if refusal != nil {
		c.turnAway(refusal)
		return false
	}
	switch n {
	case read:
		return c.mayRead(c.id.Name)
	case write, beat:
		if !caller.MayWrite(c.id.Name) {
			c.forbid("write:" + grantOn(c.id.Name))
			return false
		}
	case writeEach, beatEach:
		// A body that is large would be read and held for nothing.
		if !caller.MayWriteSome() {
			c.forbid("write:NAMESPACE/SERVICE, for each service in the body")
			return false
		}
	case admin:
		if !caller.Admin {
			c.forbid("admin")
			return false
		}
	}
	return true
}

// admittedStill reports whether the caller would be admitted now, and has it judged by what
// it may do now: what takes long to arrive may outlive the credential that it began with. Who
// may not go on is answered.
func (c *call) admittedStill() bool {
	caller, refusal := c.Identify(c.r)
	if refusal != nil {
		c.turnAway(refusal)
		return false
	}
	c.caller = caller
	return true
}

// refusals is how HTTP says each kind of refusal. For a credential the challenge says how to
// authenticate, and what was wrong with how it was tried (RFC 6750, section 3).
var refusals = [...]struct {
	code      int
	challenge string
}{
	access.NoCredential:        {http.StatusUnauthorized, `Bearer realm="registry"`},
	access.MalformedCredential: {http.StatusUnauthorized, `Bearer realm="registry", error="invalid_request"`},
	access.UnknownToken:        {http.StatusUnauthorized, `Bearer realm="registry", error="invalid_token"`},
	access.Forbidden:           {code: http.StatusForbidden},
	access.TooManyRequests:     {code: http.StatusTooManyRequests},
	access.Unavailable:         {code: http.StatusServiceUnavailable},
}

// turnAway answers with a refusal.
func (c *call) turnAway(r *access.Refusal) {
	answer, detail := refusals[r.Kind], r.Detail
	if answer.challenge != "" {
		c.w.Header().Set("WWW-Authenticate", answer.challenge)
	}
	if r.Kind == access.NoCredential && !r.Close {
		detail += ": Authorization: Bearer and a token"
	}
	if r.Close {
		c.w.Header().Set("Connection", "close")
	}
	if r.RetryAfter > 0 {
		c.retryAfter(r.RetryAfter)
		detail += ": retry after the delay in Retry-After"
	}
	c.fail(answer.code, detail)
}

// mayRead reports whether the caller may read a service. Who may not is answered.
func (c *call) mayRead(name service.Name) bool {
	ok := c.caller.MayRead(name)
	if !ok {
		c.forbid("read:" + grantOn(name))
	}
	return ok
}

// mayWriteEach reports whether the caller may write each of that many services. Who may not is
// told of each; field is where the body has it.
func (c *call) mayWriteEach(count int, name func(int) service.Name, field func(int) string) bool {
	if c.caller.Admin {
		return true
	}
	var refused faultList
	for n := range count {
		switch {
		case c.caller.MayWrite(name(n)):
		case refused.full():
			refused.dropped++
		default:
			refused.add(fault{field(n), "takes the grant write:" + grantOn(name(n))})
		}
	}
	if len(refused.faults) == 0 {
		return true
	}
	refused.tellDropped("%d more take grants than are told here")
	c.failFaults(http.StatusForbidden, refused.faults)
	return false
}

// forbid answers who has no such grant.
func (c *call) forbid(grant string) {
	who := "who asks"
	if c.caller.Name != "" {
		who = c.caller.Name
	}
	c.fail(http.StatusForbidden, fmt.Sprintf("%s may not do this: it takes the grant %s", who, grant))
}

// grantOn writes a service as a grant has it.
func grantOn(name service.Name) string { return name.Namespace + "/" + name.Service }

// by is the caller as the table knows it.
func (c *call) by() service.Caller {
	return service.Caller{Name: c.caller.Name, Admin: c.caller.Admin, From: c.from.Addr()}
}
