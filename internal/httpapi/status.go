package httpapi

import (
	"fmt"
	"net/http"
	"time"
)

// getStatus tells how the registry is. It answers before the table is loaded too: that
// is when somebody asks.
func getStatus(c *call) {
	var revision uint64
	var namespaces, services, up, draining, down int
	state := c.registry.State()
	if state != nil {
		revision = state.Revision
		for ns := range state.Namespaces("") {
			namespaces, services = namespaces+1, services+ns.Services
			up, draining, down = up+ns.Up, draining+ns.Draining, down+ns.Down
		}
	}
	evictions := c.registry.Evictions()
	b := append(c.out[:0], '{')
	b = boolean(member(b, "ready"), state != nil)
	b = unsigned(member(b, "revision"), revision)
	b = text(member(b, "version"), c.registry.Version())
	b = text(member(b, "store"), c.registry.Store())
	if c.registry.StoreFailing() {
		b = boolean(member(b, "storeFailing"), true)
	}
	b = append(member(b, "counts"), '{')
	b = number(member(b, "namespaces"), int64(namespaces))
	b = number(member(b, "services"), int64(services))
	b = number(member(b, "instances"), int64(up+draining+down))
	b = number(member(b, "up"), int64(up))
	b = number(member(b, "draining"), int64(draining))
	b = number(member(b, "down"), int64(down))
	b = number(member(b, "leased"), int64(evictions.Leased))
	b = append(b, '}')
	b = append(c.evictionMembers(append(member(b, "evictions"), '{'), &evictions), '}')
	c.out = append(b, '}')
	c.answer(http.StatusOK, 0)
}

func (c *call) evictionMembers(b []byte, e *Evictions) []byte {
	b = number(member(b, "held"), int64(e.Held))
	b = number(member(b, "percent"), int64(e.Percent))
	b = number(member(b, "floor"), int64(e.Floor))
	b = number(member(b, "spanSeconds"), int64(e.Span/time.Second))
	b = moment(member(b, "since"), e.Since)
	if e.Held > 0 {
		b = text(member(b, "reason"), reason(e))
		b = c.heldServices(b, e)
	}
	return b
}

// maxHeldServices is how many services the status names that instances are held back of.
const maxHeldServices = 10

// heldServices names the services that instances are held back of, as far as the caller may read
// them. Everybody may ask for the status, and is told how many others there are.
func (c *call) heldServices(b []byte, e *Evictions) []byte {
	b = append(member(b, "services"), '[')
	told := 0
	if caller, refusal := c.Identify(c.r); refusal == nil {
		for _, s := range e.Services {
			if told == maxHeldServices {
				break
			}
			if !caller.MayRead(s.Name) {
				continue
			}
			told++
			b = text(member(append(next(b), '{'), "namespace"), s.Namespace)
			b = text(member(b, "service"), s.Service)
			b = append(number(member(b, "held"), int64(s.Held)), '}')
		}
	}
	return number(member(append(b, ']'), "otherServices"), int64(max(e.HeldServices-told, 0)))
}

// reason says why instances are held back, and what becomes of them.
func reason(e *Evictions) string {
	return fmt.Sprintf("%d of %d leased instances stay although their leases have ended: too many fell due at once, and in %s at most %d%% of those leased may leave, or %d, "+
		"and a quarter of that is kept for services that have lost no other. They are answered with TTL 0 until they are renewed, or their turn comes", e.Held, e.Leased, e.Span, e.Percent, e.Floor)
}
