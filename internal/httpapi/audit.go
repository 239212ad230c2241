package httpapi

import (
	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// maxAudited is how many of the objects of a list that is refused its line in the audit names.
const maxAudited = 8

// record has the request noted if it is one of those that are.
func (c *call) record(n need) {
	if !n.audited(c.code) {
		return
	}
	e := audit.Entry{
		From:      c.from,
		What:      c.route,
		Status:    c.code,
		Revision:  c.revision,
		Changed:   c.changed,
		Unchanged: c.unchanged,
	}
	if c.caller != nil {
		e.Who = c.caller.Name
	}
	if e.Refused() {
		e.Why = c.why
	}
	switch {
	case c.id != (service.ID{}):
		c.on = append(c.on, c.id)
	case e.Refused():
		for n := range c.asked[:min(len(c.asked), maxAudited)] {
			c.on = append(c.on, c.asked[n].ID)
		}
		e.More = len(c.asked) - len(c.on)
	}
	e.On = c.on
	c.Record(&e)
}

// made notes, for the audit, what became of the changes that a body asks for.
func (c *call) made(changes []service.Change, results []table.Result, revision uint64) {
	c.revision = revision
	for n := range results {
		if results[n].Changed {
			c.changed = append(c.changed, audit.Changed{Op: changes[n].Op, ID: changes[n].ID})
		} else {
			c.unchanged++
		}
	}
}
