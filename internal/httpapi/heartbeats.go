package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/coredns-registry/registry/service"
)

var (
	heartbeatsFields = fields{read: []string{"instances"}}
	identityFields   = fields{read: []string{"namespace", "service", "id"}}
)

// postHeartbeats renews leases, each for itself: one that is unknown hinders no other. Of those
// it names as many as an answer has room for. Who registers them anew is told of the others by
// the next heartbeats.
func postHeartbeats(c *call) {
	w, ok := c.body(maxBulkBody)
	if !ok {
		return
	}
	ids := w.identities()
	w.end()
	if len(w.faults) > 0 {
		c.failFaults(w.code(), w.faults)
		return
	}
	if !c.mayWriteEach(len(ids), func(n int) service.Name { return ids[n].Name }, identityField) {
		return
	}
	renewed, unknown := 0, 0
	var foreign faultList
	b := append(c.out[:0], `{"unknown":[`...)
	for n, id := range ids {
		switch err := c.registry.Renew(c.by(), id, service.Precondition{}); {
		case err == nil:
			renewed++
		case errors.Is(err, service.ErrNotFound):
			if len(b)+len(id.Namespace)+len(id.Name.Service)+len(id.ID) > maxTold {
				unknown++
				continue
			}
			b = append(identity(append(next(b), '{'), id), '}')
		case errors.Is(err, service.ErrNotOwner):
			foreign.add(fault{identityField(n), "belongs to another credential"})
		default:
			c.refuse(err)
			return
		}
	}
	if n := len(foreign.faults) + foreign.dropped; n > 0 {
		foreign.tellDropped("%d more belong to another credential than are told here")
		c.fail(http.StatusConflict, fmt.Sprintf("%d of %d instances belong to another credential; of the others %d were renewed", n, len(ids), renewed), foreign.faults...)
		return
	}
	b = append(b, ']')
	if unknown > 0 {
		b = number(member(b, "moreUnknown"), int64(unknown))
	}
	c.out = append(number(member(b, "renewed"), int64(renewed)), '}')
	c.answer(http.StatusOK, 0)
}

func identityField(n int) string { return fmt.Sprintf("instances[%d]", n) }

// identities reads which instances are meant. Names that no instance can have are no
// fault here, as in the path of a heartbeat: those instances are unknown.
func (w *walker) identities() []service.ID {
	var ids []service.ID
	listed := false
	ok := w.object(&heartbeatsFields, func(string) {
		listed = true
		w.list(func(int) { ids = append(ids, w.identity()) })
	})
	if ok && !listed {
		w.noteMember("instances", "is missing: it is a list of instances")
	}
	return ids
}

func (w *walker) identity() (id service.ID) {
	var given [3]bool
	ok := w.object(&identityFields, func(name string) {
		switch name {
		case "namespace":
			id.Namespace, _ = w.text()
			given[0] = true
		case "service":
			id.Service, _ = w.text()
			given[1] = true
		case "id":
			id.ID, _ = w.text()
			given[2] = true
		}
	})
	for i, name := range identityFields.read {
		if ok && !given[i] {
			w.noteMember(name, "is missing: an instance has a namespace, a service and an id")
		}
	}
	return id
}
