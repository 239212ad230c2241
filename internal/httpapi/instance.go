package httpapi

import (
	"net/http"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

func getInstance(c *call) {
	state := c.state()
	if state == nil {
		return
	}
	i := state.Instance(c.id)
	if i == nil {
		c.notFound()
		return
	}
	if c.fresh(i.Revision) {
		c.out = c.instance(c.out[:0], state.Service(c.id.Name), i)
		c.answer(http.StatusOK, i.Revision)
	}
}

func putInstance(c *call) {
	change := service.Change{Op: service.Register, ID: c.id}
	var ok bool
	if change.If, ok = c.precondition(); !ok {
		return
	}
	w, ok := c.body(maxBody)
	if !ok {
		return
	}
	change.Instance = w.instance()
	w.end()
	if len(w.faults) > 0 {
		c.failBody(&change, change.Instance != nil)
		return
	}
	c.registered(change)
}

func putStatus(c *call) {
	change := service.Change{Op: service.SetStatus, ID: c.id}
	var ok bool
	if change.If, ok = c.precondition(); !ok || !c.possible() {
		return
	}
	w, ok := c.body(maxBody)
	if !ok {
		return
	}
	ok = w.object(&statusFields, func(string) { change.Status = w.status() })
	w.end()
	if len(w.faults) > 0 {
		c.failBody(&change, ok)
		return
	}
	c.registered(change)
}

// registered makes a change whose answer is the instance as it then is.
func (c *call) registered(change service.Change) {
	result, _, err := c.apply(change)
	if err != nil {
		c.refuse(err)
		return
	}
	c.out = c.instance(c.out[:0], result.View, result.Instance)
	c.answer(created(result), result.Revision)
}

func putHeartbeat(c *call) {
	unless, ok := c.precondition()
	if !ok {
		return
	}
	if err := c.registry.Renew(c.by(), c.id, unless); err != nil {
		c.refuse(err)
		return
	}
	c.answerEmpty(http.StatusNoContent)
}

func deleteInstance(c *call) {
	change := service.Change{Op: service.Deregister, ID: c.id}
	var ok bool
	if change.If, ok = c.precondition(); !ok || !c.possible() {
		return
	}
	result, revision, err := c.apply(change)
	if err != nil {
		c.refuse(err)
		return
	}
	b := append(c.out[:0], '{')
	b = unsigned(member(b, "revision"), revision)
	b = momentAfter(member(b, "safeToStopAt"), result.SafeToStopAt)
	c.out = append(b, '}')
	c.answer(http.StatusOK, 0)
}

// possible reports whether there could be an instance of the names in the path. Where
// there could not the request is answered: nothing is there to be changed, which says
// more than that a name is against the rules.
func (c *call) possible() bool {
	change := service.Change{Op: service.Renew, ID: c.id}
	if len(change.Check()) > 0 {
		c.notFound()
		return false
	}
	return true
}

// apply makes one change.
func (c *call) apply(change service.Change) (table.Result, uint64, error) {
	results, revision, err := c.registry.Apply(c.by(), []service.Change{change}, c.arrived)
	if err != nil {
		return table.Result{}, 0, err
	}
	c.revision = revision
	return results[0], revision, nil
}

func created(r table.Result) int {
	if r.Created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// failBody answers a body with faults: those that the walk has found and, where enough of
// it was read to tell, those that the change has by itself besides them.
func (c *call) failBody(change *service.Change, checkable bool) {
	if checkable && !c.walk.broken {
		known := knownFields(c.walk.faults)
		for _, f := range c.registry.Check(change) {
			if !known[f.Field] {
				c.walk.add(fault{f.Field, f.Message})
			}
		}
		c.walk.tellDropped()
	}
	c.failFaults(c.walk.code(), c.walk.faults)
}

// code is the status that a body with faults is answered with.
func (w *walker) code() int {
	if w.malformed {
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}

// knownFields are the fields that have a fault already. A second one would only say
// that what could not be read is missing.
func knownFields(faults []fault) map[string]bool {
	known := make(map[string]bool, len(faults))
	for _, f := range faults {
		known[f.Field] = true
	}
	return known
}
