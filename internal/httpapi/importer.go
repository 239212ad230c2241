package httpapi

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/service"
)

// The fields of an import are those of an export. Those of other answers may stand in it
// too, so that one can be put together of them, and are ignored: they tell of another
// table.
var (
	importFields = fields{read: []string{"format", "services", "instances"}, ignored: []string{"revision"}}

	importedServiceFields = fields{
		read:    slices.Concat([]string{"namespace", "service"}, definitionFields.read),
		ignored: []string{"revision", "defined", "instanceCount"},
	}
	importedInstanceFields = fields{
		read:    slices.Concat([]string{"namespace", "service", "id", "owner"}, instanceFields.read),
		ignored: []string{"revision", "registeredAt", "expiresAt", "names"},
	}
)

// importer reads an import into a list of changes, and lets go of it on the way. It notes what is
// wrong as every walker does, also what is wrong whatever the table holds: there may be
// too much of it to go over it twice.
type importer struct {
	walker
	body  *arrived
	check func(*service.Change) []service.Fault

	changes []service.Change // Register and Define
	places  []int            // of each in the list that it is from
	at      []byte           // the path of the element that is being read
}

func newImporter(body *arrived, check func(*service.Change) []service.Fault) *importer {
	w := &importer{body: body, check: check}
	w.begin(body)
	return w
}

// read reads the body.
func (w *importer) read() {
	w.understood()
	given := false
	ok := w.object(&importFields, func(name string) {
		switch name {
		case "format":
			given = true
			w.format()
		case "services":
			w.list(w.serviceAt)
		case "instances":
			w.list(w.instanceAt)
		}
		if !w.broken {
			w.understood()
		}
	})
	if ok && !given {
		w.noteMember("format", "is missing: it is %d", exportFormat)
	}
	if !w.broken {
		w.noteRepeated()
	}
	w.end()
}

// understood lets the body be read on.
func (w *importer) understood() {
	w.body.advance(w.decoder.InputOffset())
	w.at = w.at[:0]
}

// format reads the version of the format. With one that is not known nothing else in the
// body means anything, so it ends the walk and is the only fault.
func (w *importer) format() {
	n, ok := w.integer(0, math.MaxInt64)
	if !ok || 1 <= n && n <= exportFormat {
		return
	}
	w.faultList = faultList{}
	w.note("%d is not known to this version, which reads 1 to %d: export with the version that imports, or import with the later one", n, exportFormat)
	w.broken, w.malformed = true, false
}

func (w *importer) serviceAt(i int) {
	c, before := w.element(service.Define, i)
	c.Definition = w.definitionOf(&importedServiceFields, func(name string) { w.nameField(&c.ID, name) })
	w.endElement(c, c.Definition != nil, before)
}

func (w *importer) instanceAt(i int) {
	c, before := w.element(service.Register, i)
	owner := ""
	c.Instance = w.instanceOf(&importedInstanceFields, func(name string) {
		if name == "owner" {
			owner = w.owner()
			return
		}
		w.nameField(&c.ID, name)
	})
	if c.Instance != nil {
		c.Instance.Owner = owner
	}
	w.endElement(c, c.Instance != nil, before)
}

// owner reads who is to own an instance; an empty one is nobody. What could not be the NAME of a
// credential is refused: nobody could ever come as that, and whoever reads it could be misled.
func (w *importer) owner() string {
	owner, ok := w.text()
	if ok && owner != "" && !access.IsName(owner) {
		w.note("%q is no NAME of a credential: it is 1 to %d bytes, all printable and none a space", owner, service.MaxOwnerBytes)
	}
	return owner
}

// element begins a change. How many faults there are before it tells later which are its own.
func (w *importer) element(op service.Op, i int) (c *service.Change, before int) {
	w.understood()
	w.at = append(w.at, w.path...)
	w.changes = append(w.changes, service.Change{Op: op})
	w.places = append(w.places, i)
	return &w.changes[len(w.changes)-1], len(w.faults)
}

func (w *importer) nameField(id *service.ID, name string) {
	switch name {
	case "namespace":
		id.Namespace, _ = w.text()
	case "service":
		id.Service, _ = w.text()
	case "id":
		id.ID, _ = w.text()
	}
}

// endElement checks a change. Of one that has faults there stays what it takes to find another of
// the same name: elements that are nothing, as {}, would else become a hundred times as large.
func (w *importer) endElement(c *service.Change, read bool, before int) {
	if read {
		w.checkElement(c, before)
	}
	if !read || !isNamed(c) {
		w.changes = w.changes[:len(w.changes)-1]
		w.places = w.places[:len(w.places)-1]
		return
	}
	if len(w.faults) > 0 {
		c.Instance, c.Definition = nil, nil // the import will not be made
	}
}

// isNamed reports whether a change has all parts of its object's name. One without a part is
// wrong, and is not the same as any other.
func isNamed(c *service.Change) bool {
	return c.ID.Namespace != "" && c.ID.Name.Service != "" && (c.ID.ID != "" || c.Op == service.Define)
}

// checkElement notes what is wrong with a change by itself, besides the faults that it has already.
func (w *importer) checkElement(c *service.Change, before int) {
	faults := w.check(c)
	if len(faults) == 0 {
		return
	}
	known := knownFields(w.faults[before:])
	for _, f := range faults {
		was := w.enterField(f.Field)
		if !known[string(w.path)] {
			w.note("%s", f.Message)
		}
		w.path = w.path[:was]
	}
}

// enterField is enter for a field that is empty where the whole element is meant.
func (w *importer) enterField(field string) (was int) {
	if field == "" {
		return len(w.path)
	}
	return w.enter(field)
}

// noteRepeated notes what stands in the body twice: nobody can tell which is meant.
func (w *importer) noteRepeated() {
	order := make([]int, len(w.changes))
	for n := range order {
		order[n] = n
	}
	compare := func(a, b int) int {
		c, d := &w.changes[a], &w.changes[b]
		return cmp.Or(cmp.Compare(c.Op, d.Op), c.ID.Name.Compare(d.ID.Name), strings.Compare(c.ID.ID, d.ID.ID))
	}
	slices.SortStableFunc(order, compare) // an export is in order already
	for i := 1; i < len(order); i++ {
		if first, second := order[i-1], order[i]; compare(first, second) == 0 {
			w.noteFault(second, "", "stands at "+w.elementOf(first)+" already: each may stand once")
		}
	}
}

// noteFaults notes what the registry has found wrong with the changes.
func (w *importer) noteFaults(faults []service.Fault) {
	for _, f := range faults {
		w.noteFault(f.Change, f.Field, f.Message)
	}
	w.tellDropped()
}

func (w *importer) noteFault(change int, field, message string) {
	w.path = append(w.path[:0], w.elementOf(change)...)
	w.enterField(field)
	w.note("%s", message)
	w.path = w.path[:0]
}

// elementOf is the path of the element that a change was read from.
func (w *importer) elementOf(change int) string {
	list := "instances"
	if w.changes[change].Op == service.Define {
		list = "services"
	}
	return fmt.Sprintf("%s[%d]", list, w.places[change])
}
