package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

const (
	// maxImport is the most bytes that an import may have: several times what the export
	// of a million ordinary instances has.
	maxImport = 1 << 30

	// maxNamed is how many of the objects of each kind a dry run names.
	maxNamed = 100
)

// postImport puts into the table what an export has, as one transaction. What is there
// and the same is left alone, its lease too, so that the same import again does nothing.
// What the import does not have stays.
func postImport(c *call) {
	dry, ok := c.dryRun()
	if !ok || !c.readable() {
		return
	}
	if c.r.ContentLength > maxImport {
		c.failRead(door.ErrTooLarge, maxImport, "")
		return
	}
	if c.state() == nil {
		return
	}
	u := c.imports.begin(c.w, c.caller.Admin && c.caller.Name != "")
	defer u.end()
	if err := u.receive(c.r.Body); err != nil {
		c.failUpload(u, err)
		return
	}
	if !c.takeTurn() {
		u.answered()
		c.unavailable("other imports take their time")
		return
	}
	defer c.imports.leave()
	body, err := u.take()
	if err != nil {
		u.answered()
		c.failUpload(u, err)
		return
	}
	w := newImporter(body, c.registry.Check)
	w.read()
	u.answered()
	switch {
	case body.err != nil:
		c.fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("%s is too large: it must have at most %d bytes", cmp.Or(string(w.at), "a value in the body"), maxElement))
	case len(w.faults) > 0:
		c.failFaults(w.code(), w.faults)
	case !c.admittedStill():
	case c.mayImport(w):
		u.unhurried()
		c.merge(w, dry, u.answered)
	}
}

// takeTurn waits until no other import is worked on. It reports false where that takes too long,
// or nobody waits for the answer any more.
func (c *call) takeTurn() bool {
	select {
	case c.imports.turn <- struct{}{}: // mostly, and without a timer
		return true
	default:
	}
	timer := time.NewTimer(turnTimeout)
	defer timer.Stop()
	select {
	case c.imports.turn <- struct{}{}:
		return true
	case <-timer.C:
	case <-c.r.Context().Done():
	case <-c.Stopping():
	}
	return false
}

// mayImport reports whether the caller may write all that is in an import. Who may not is
// answered.
func (c *call) mayImport(w *importer) bool {
	c.asked = w.changes
	return c.mayWriteEach(len(w.changes), func(n int) service.Name { return w.changes[n].ID.Name }, w.elementOf)
}

// dryRun reads whether the table is to stay as it is. Where that makes no sense the
// request is answered, and ok is false.
func (c *call) dryRun() (dry, ok bool) {
	values, ok := c.query()
	if !ok {
		return false, false
	}
	switch values.Get("dryRun") {
	case "true":
		return true, true
	case "false", "":
		return false, true
	}
	c.failParameter(http.StatusBadRequest, "dryRun", "is neither true nor false")
	return false, false
}

// merge makes the changes of an import, or on a dry run only says what they would be. done is
// called before it answers.
func (c *call) merge(w *importer, dry bool, done func()) {
	state := c.registry.State()
	revision := state.Revision
	services, instances := w.compare(c.by(), c.registry, state)
	c.asked = w.changes
	if len(w.faults) > 0 {
		w.tellDropped()
		done()
		c.failFaults(http.StatusConflict, w.faults)
		return
	}
	var err error
	if !dry && len(w.changes) > 0 {
		var results []table.Result
		results, revision, err = c.registry.Apply(c.by(), w.changes, c.options.Now())
		c.made(w.changes, results, revision)
	}
	done()
	if err != nil {
		c.refuseImport(w, err)
		return
	}
	if !dry {
		c.unchanged += services.unchanged + instances.unchanged
	}
	b := append(c.out[:0], '{')
	b = boolean(member(b, "dryRun"), dry)
	b = unsigned(member(b, "revision"), revision)
	b = services.members(append(member(b, "services"), '{'), dry)
	b = instances.members(append(member(append(b, '}'), "instances"), '{'), dry)
	c.out = append(b, "}}"...)
	c.answer(http.StatusOK, 0)
}

// compare counts what the changes would do to a state, and leaves out those that would do
// nothing. What belongs to another credential is a fault: a dry run tells that too.
func (w *importer) compare(by service.Caller, r Registry, state *table.State) (services, instances tally) {
	kept := 0
	for n := range w.changes {
		change, t, known, owned := &w.changes[n], &instances, false, true
		if change.Op == service.Define {
			view := state.Service(change.ID.Name)
			t, known = &services, view != nil && view.Exists()
		} else if i := state.Instance(change.ID); i != nil {
			known, owned = true, by.Owns(i.Owner)
		}
		switch {
		case !known:
			t.created.add(change)
		case r.Differs(by, change, state.Snapshot):
			t.changed.add(change)
			if !owned {
				w.noteFault(n, "", service.ErrNotOwner.Error())
			}
		default:
			t.unchanged++
			continue
		}
		w.changes[kept], w.places[kept] = w.changes[n], w.places[n]
		kept++
	}
	clear(w.changes[kept:]) // they are not needed any more, and may be the most of it
	w.changes, w.places = w.changes[:kept], w.places[:kept]
	return services, instances
}

// tally is what an import does to the objects of one kind.
type tally struct {
	created, changed named
	unchanged        int
}

// named are objects that are counted, and the first of them.
type named struct {
	n     int
	first []string
}

func (o *named) add(c *service.Change) {
	o.n++
	if o.n > maxNamed {
		return
	}
	name := c.ID.Namespace + "/" + c.ID.Name.Service
	if c.ID.ID != "" {
		name += "/" + c.ID.ID
	}
	o.first = append(o.first, name)
}

func (t *tally) members(b []byte, names bool) []byte {
	b = number(member(b, "created"), int64(t.created.n))
	b = number(member(b, "changed"), int64(t.changed.n))
	b = number(member(b, "unchanged"), int64(t.unchanged))
	if names {
		b = texts(member(b, "firstCreated"), t.created.first)
		b = texts(member(b, "firstChanged"), t.changed.first)
	}
	return b
}

// failUpload answers an import that did not arrive.
func (c *call) failUpload(u *upload, err error) {
	switch {
	case errors.Is(err, errNoRoom):
		c.w.Header().Set("Connection", "close") // what follows of the body will not be read
		c.unavailable(err.Error())
	case u.late():
		c.failRead(err, maxImport, fmt.Sprintf("the import was not received whole in %s", uploadTimeout))
	default:
		c.failRead(err, maxImport, fmt.Sprintf("in %s less than %d bytes of the request were received", door.ReadTimeout, uploadPace))
	}
}

// refuseImport answers with the error of an import that had no fault by itself.
func (c *call) refuseImport(w *importer, err error) {
	var invalid *service.Invalid
	if !errors.As(err, &invalid) || errors.Is(err, service.ErrNotLoaded) {
		c.refuse(err)
		return
	}
	w.noteFaults(invalid.Faults)
	c.failFaults(codeOf(err), w.faults)
}
