package httpapi

import "net/http"

// getStatus tells how the registry is. It answers before the table is loaded too: that
// is when somebody asks.
func getStatus(c *call) {
	var revision uint64
	var namespaces, services, up, draining, down int
	state := c.registry.State()
	if state != nil {
		revision = state.Revision
		namespaces, services, _ = state.Totals()
		for ns := range state.Namespaces("") {
			up, draining, down = up+ns.Up, draining+ns.Draining, down+ns.Down
		}
	}
	b := append(c.out[:0], '{')
	b = boolean(member(b, "ready"), state != nil)
	b = unsigned(member(b, "revision"), revision)
	b = text(member(b, "version"), c.registry.Version())
	b = text(member(b, "store"), c.registry.Store())
	b = append(member(b, "counts"), '{')
	b = number(member(b, "namespaces"), int64(namespaces))
	b = number(member(b, "services"), int64(services))
	b = number(member(b, "instances"), int64(up+draining+down))
	b = number(member(b, "up"), int64(up))
	b = number(member(b, "draining"), int64(draining))
	b = number(member(b, "down"), int64(down))
	b = append(b, '}')
	b = append(member(b, "evictions"), `{"held":0}}`...)
	c.out = b
	c.answer(http.StatusOK, 0)
}
