package httpapi

import (
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// exportFormat is the version of what an export tells. One that an older version would
// read wrong, or not at all, gets the next number; all that came before are read for ever.
//
//	1  definitions and instances
//	2  instances have an owner, where they have one
const exportFormat = 2

const exportName = "registry.json"

// getExport tells what the table holds, so that another registry can be told the same:
// the definitions and the instances as clients gave them, an object a line. When they
// came, and when their leases end, is of this registry alone.
func getExport(c *call) {
	state := c.state()
	if state == nil {
		return
	}
	d := &download{call: c, contentType: jsonType, filename: exportName}
	if d.headOnly() {
		d.end()
		return
	}
	end, ok := c.lasts()
	if !ok {
		return
	}
	defer end()
	e := &export{download: d, collected: collected{slots: c.largeStreams}}
	defer e.release()
	if !e.table(state) {
		d.breakOff()
	}
	d.end()
}

// export is a download of the table.
type export struct {
	*download
	collected
}

// table writes the export of a state. It reports false where the client does not take it.
func (e *export) table(state *table.State) bool {
	b := append(e.collect(), '{')
	b = number(member(b, "format"), exportFormat)
	b = unsigned(member(b, "revision"), state.Revision)
	b = append(member(b, "services"), '[')
	before := "\n"
	for view := range state.Services(service.Name{}) {
		if view.Definition == nil || !e.caller.MayRead(view.Name) {
			continue // without a definition it is what its instances make it
		}
		b = nameMembers(append(append(b, before...), '{'), view.Name)
		b = definitionMembers(b, view.Definition)
		b = append(unsigned(member(b, "revision"), view.Revision), '}')
		before = ",\n"
		if b = e.pass(b); e.failed {
			return false
		}
	}
	b = append(b, "\n]"...)
	b = append(member(b, "instances"), '[')
	before = "\n"
	for i := range state.Instances() {
		if !e.caller.MayRead(i.Name()) {
			continue
		}
		b = identity(append(append(b, before...), '{'), i.ID())
		said := i.Said()
		b = instanceMembers(b, &said)
		if i.Owner != "" {
			b = text(member(b, "owner"), i.Owner)
		}
		b = append(unsigned(member(b, "revision"), i.Revision), '}')
		before = ",\n"
		if b = e.pass(b); e.failed {
			return false
		}
	}
	_, err := e.Write(append(b, "\n]}\n"...))
	return err == nil
}

// pass writes b out if it is large enough, and returns what is left of it. Whatever is
// appended to that must not ask what stands before.
func (e *export) pass(b []byte) []byte {
	e.buffer = b
	if e.full() {
		_, _ = e.Write(e.buffer) // an error is told by e.failed
		e.release()
	}
	return e.collect()
}
