package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// maxOperations is how many operations a batch may have (contract, section 3).
const maxOperations = 1000

// leastOperation is how many bytes an operation has that nothing is wrong with.
const leastOperation = len(`{"op":"heartbeat","namespace":"n","service":"s","id":"i"}`)

var (
	batchFields     = fields{read: []string{"operations"}}
	operationFields = fields{read: []string{"op", "namespace", "service", "id", "instance", "status"}}
)

func postBatch(c *call) {
	w, ok := c.body(maxBulkBody)
	if !ok {
		return
	}
	changes := w.batch(c.registry.Check)
	w.end()
	if len(w.faults) > 0 {
		c.failFaults(w.code(), w.faults)
		return
	}
	c.asked = changes
	name := func(n int) service.Name { return changes[n].ID.Name }
	if !c.mayWriteEach(len(changes), name, func(n int) string { return fmt.Sprintf("operations[%d]", n) }) {
		return
	}
	results, revision, err := c.registry.Apply(c.by(), changes, c.arrived)
	if err != nil {
		c.refuseBatch(changes, err)
		return
	}
	c.made(changes, results, revision)
	b := append(c.out[:0], '{')
	b = unsigned(member(b, "revision"), revision)
	b = append(member(b, "results"), '[')
	for i, result := range results {
		b = append(next(b), '{')
		b = batchResult(b, changes[i].Op, result, revision)
		b = append(b, '}')
	}
	c.out = append(b, "]}"...)
	c.answer(http.StatusOK, 0)
}

// batchResult appends what the operation would have been answered with alone.
func batchResult(b []byte, op service.Op, result table.Result, revision uint64) []byte {
	code := created(result)
	if op == service.Renew {
		code = http.StatusNoContent
	}
	b = number(member(b, "status"), int64(code))
	if result.Revision != 0 { // of the object, unless it is gone
		revision = result.Revision
	}
	b = unsigned(member(b, "revision"), revision)
	if op == service.Deregister {
		b = momentAfter(member(b, "safeToStopAt"), result.SafeToStopAt)
	}
	return b
}

// batch reads a batch. If there is a fault, then every operation that could be read is
// checked, so that all faults are told together.
func (w *walker) batch(check func(*service.Change) []service.Fault) []service.Change {
	var changes []service.Change
	unread := make(map[int]bool) // not enough of it for check
	n, listed := 0, false
	ok := w.object(&batchFields, func(string) {
		listed = true
		if ok := w.list(func(i int) {
			if n = i + 1; n > maxOperations {
				w.skip() // one fault says it all
				return
			}
			if changes == nil {
				changes = make([]service.Change, 0, min(w.size/leastOperation+1, maxOperations))
			}
			change, ok := w.operation()
			changes = append(changes, change)
			if !ok {
				unread[i] = true
			}
		}); ok && (n == 0 || n > maxOperations) {
			w.note("has %d operations: a batch has 1 to %d", n, maxOperations)
		}
	})
	if ok && !listed {
		w.noteMember("operations", "is missing: a batch has 1 to %d", maxOperations)
	}
	if len(w.faults) > 0 && !w.broken {
		w.checkOperations(changes, unread, check)
	}
	return changes
}

// operation reads one operation, and reports whether enough of it could be read for it to be
// checked. Which fields it needs its op decides:
//
//	register              instance
//	status                status
//	deregister heartbeat  neither
func (w *walker) operation() (o service.Change, read bool) {
	var op string
	var given [2]bool // instance, status
	named := true
	ok := w.object(&operationFields, func(name string) {
		switch name {
		case "op":
			op, named = w.text()
		case "namespace":
			o.ID.Namespace, _ = w.text()
		case "service":
			o.ID.Service, _ = w.text()
		case "id":
			o.ID.ID, _ = w.text()
		case "instance":
			given[0] = true
			o.Instance = w.instance()
		case "status":
			given[1] = true
			o.Status = w.status()
		}
	})
	place := slices.Index(service.BatchOps, op)
	switch {
	case !ok:
		return o, false
	case place < 0:
		if named {
			w.noteMember("op", "%q is no operation: it is one of %s", op, strings.Join(service.BatchOps, ", "))
		}
		o.Op = service.Deregister // which is checked for its names alone
		return o, true
	}
	o.Op = service.Op(place)
	w.only(&o, "instance", given[0], o.Op == service.Register)
	w.only(&o, "status", given[1], o.Op == service.SetStatus)
	if o.Op == service.Register && o.Instance == nil {
		o.Op = service.Deregister // the fault is noted: what is left are the names
	}
	return o, true
}

// only notes a field that an operation has and may not have, or needs and has not.
func (w *walker) only(o *service.Change, field string, given, wanted bool) {
	switch {
	case given && !wanted:
		w.noteMember(field, "does not belong to the operation %q", o.Op)
	case wanted && !given:
		w.noteMember(field, "is missing: the operation %q needs it", o.Op)
	}
}

// checkOperations notes what is wrong with operations by themselves, besides the faults
// that are noted already.
func (w *walker) checkOperations(changes []service.Change, unread map[int]bool, check func(*service.Change) []service.Fault) {
	known := knownFields(w.faults)
	for i := range changes {
		if unread[i] {
			continue
		}
		for _, f := range check(&changes[i]) {
			field := operationField(i, changes[i].Op, f.Field)
			if !known[field] {
				was := w.enter(field)
				w.note("%s", f.Message)
				w.path = w.path[:was]
			}
		}
	}
}

// operationField is the path of a field of a change in the batch it is part of.
func operationField(i int, op service.Op, field string) string {
	switch {
	case field == "":
		return fmt.Sprintf("operations[%d]", i)
	case op == service.Register && field != "namespace" && field != "service" && field != "id":
		return fmt.Sprintf("operations[%d].instance.%s", i, field)
	}
	return fmt.Sprintf("operations[%d].%s", i, field)
}

// refuseBatch answers with the error of a batch. An operation on an instance that is not
// there is a fault of the batch: the resource that was asked for is the batch itself.
func (c *call) refuseBatch(changes []service.Change, err error) {
	var invalid *service.Invalid
	if !errors.As(err, &invalid) || errors.Is(err, service.ErrNotLoaded) {
		c.refuse(err)
		return
	}
	var l faultList
	for _, f := range invalid.Faults {
		l.add(fault{operationField(f.Change, changes[f.Change].Op, f.Field), f.Message})
	}
	l.tellDropped("the body has %d faults more than are told here")
	c.failFaults(codeOf(err), l.faults)
}

// codeOf returns the status of changes with faults.
func codeOf(err error) int {
	if errors.Is(err, service.ErrNotOwner) {
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}
