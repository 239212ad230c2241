package httpapi

import (
	"net/http"

	"github.com/coredns-registry/registry/service"
)

func getService(c *call) {
	state := c.state()
	if state == nil {
		return
	}
	view := state.Service(c.id.Name)
	if view == nil {
		c.notFound()
		return
	}
	if !c.fresh(view.Revision) {
		return
	}
	b := append(c.out[:0], '{')
	b = serviceMembers(b, view)
	b = append(member(b, "instances"), '[')
	for i := range state.InstancesOf(c.id.Name) {
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
	c.out = append(serviceMembers(append(c.out[:0], '{'), result.View), '}')
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
	_, revision, err := c.apply(change)
	if err != nil {
		c.refuse(err)
		return
	}
	c.out = append(unsigned(member(append(c.out[:0], '{'), "revision"), revision), '}')
	c.answer(http.StatusOK, 0)
}
