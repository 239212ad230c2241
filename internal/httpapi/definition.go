package httpapi

import (
	"net/http"
	"slices"

	"github.com/coredns-registry/registry/internal/audit"
	"github.com/coredns-registry/registry/service"
)

func getService(c *call) {
	state := c.state()
	if state == nil {
		return
	}
	view := state.Service(c.id.Name)
	if view == nil || !view.Exists() {
		c.notFound()
		return
	}
	instances := slices.Collect(view.Instances)
	if len(instances) < view.Len() { // the client may have this revision with instances that have expired since
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
	c.out = append(serviceMembers(append(c.out[:0], '{'), result.View, result.View.Count()), '}')
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
