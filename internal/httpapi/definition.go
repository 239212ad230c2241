package httpapi

import (
	"net/http"

	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

func getService(c *call) {
	state := c.state()
	if state == nil {
		return
	}
	view := state.Service(c.id.Name)
	instances, ended := living(state, c.id.Name)
	if view == nil || view.Definition == nil && len(instances) == 0 {
		c.notFound()
		return
	}
	if ended > 0 { // whoever has this revision already may have them in it
		c.r.Header.Del("If-None-Match")
	}
	if !c.fresh(view.Revision) {
		return
	}
	b := append(c.out[:0], '{')
	b = serviceMembers(b, view, len(instances))
	b = append(member(b, "instances"), '[')
	for _, i := range instances {
		b = c.instance(b, view, i)
	}
	c.out = append(b, "]}"...)
	c.answer(http.StatusOK, view.Revision)
}

// living returns the instances of a service whose leases have not ended, and how many
// others are yet to be taken out of the table.
func living(state *table.State, name service.Name) (instances []*table.Instance, ended int) {
	for i := range state.InstancesOf(name) {
		if i.Lease().Ended() {
			ended++
		} else {
			instances = append(instances, i)
		}
	}
	return instances, ended
}

func putService(c *call) {
	change := service.Change{Op: service.Define, ID: c.id}
	var ok bool
	if change.If, ok = c.precondition(); !ok {
		return
	}
	w, ok := c.body(maxBody)
	if !ok {
		return
	}
	change.Definition = w.definition()
	w.end()
	if len(w.faults) > 0 {
		c.failBody(&change, change.Definition != nil)
		return
	}
	result, _, err := c.apply(change)
	if err != nil {
		c.refuse(err)
		return
	}
	c.out = append(serviceMembers(append(c.out[:0], '{'), result.View, result.View.Len()), '}')
	c.answer(created(result), result.View.Revision)
}

func deleteService(c *call) {
	change := service.Change{Op: service.Undefine, ID: c.id}
	var ok bool
	if change.If, ok = c.precondition(); !ok {
		return
	}
	if len(change.Check()) > 0 {
		c.notFound() // as for an instance whose names cannot be
		return
	}
	result, revision, err := c.apply(change)
	if err != nil {
		c.refuse(err)
		return
	}
	for _, i := range result.Gone {
		c.changed = append(c.changed, audit.Changed{Op: service.Deregister, ID: i.ID()})
	}
	c.out = append(unsigned(member(append(c.out[:0], '{'), "revision"), revision), '}')
	c.answer(http.StatusOK, 0)
}
