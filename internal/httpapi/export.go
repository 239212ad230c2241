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
	d.begin()
	if !d.headOnly() && !d.table(state) {
		d.breakOff()
	}
	d.end()
}

// table writes the export of a state. It reports false where the client does not take it.
func (d *download) table(state *table.State) bool {
	b := append(d.out[:0], '{')
	b = number(member(b, "format"), exportFormat)
	b = unsigned(member(b, "revision"), state.Revision)
	b = append(member(b, "services"), '[')
	before := "\n"
	for view := range state.Services(service.Name{}) {
		if view.Definition == nil || !d.caller.MayRead(view.Name) {
			continue // without a definition it is what its instances make it
		}
		b = nameMembers(append(append(b, before...), '{'), view.Name)
		b = definitionMembers(b, view.Definition)
		b = append(unsigned(member(b, "revision"), view.Revision), '}')
		before = ",\n"
		if b = d.pass(b); d.failed {
			return false
		}
	}
	b = append(b, "\n]"...)
	b = append(member(b, "instances"), '[')
	before = "\n"
	for i := range state.Instances() {
		if i.Lease().Ended() || !d.caller.MayRead(i.Name()) {
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
		if b = d.pass(b); d.failed {
			return false
		}
	}
	_, err := d.Write(append(b, "\n]}\n"...))
	d.out = b
	return err == nil
}

// pass writes b out if it is large enough, and returns what is left of it. Whatever is
// appended to that must not ask what stands before.
func (d *download) pass(b []byte) []byte {
	if len(b) < fullStream {
		return b
	}
	_, _ = d.Write(b) // an error is told by d.failed
	return b[:0]
}
