package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// maxPage is how many items one answer of a list has, and how many it has when the
// request does not say.
const maxPage = 1000

// page is which part of a list is wanted. Each page is of the table as it is when it is
// asked for: what is there all the while is told exactly once.
type page struct {
	limit int
	after string // the last item of the page before, as its token has it; empty on the first
}

// page reads which page is wanted. Where that makes no sense the request is answered,
// and it reports false.
func (c *call) page() (p page, ok bool) {
	values, ok := c.query()
	if !ok {
		return p, false
	}
	p.limit = maxPage
	if limit := values.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		switch {
		case errors.Is(err, strconv.ErrSyntax):
			c.failParameter(http.StatusBadRequest, "limit", "is not a whole number")
			return p, false
		case err != nil || n < 1 || n > maxPage:
			c.failParameter(http.StatusUnprocessableEntity, "limit", "is out of range: it is 1 to "+strconv.Itoa(maxPage))
			return p, false
		}
		p.limit = n
	}
	after, err := base64.RawURLEncoding.DecodeString(values.Get("continue"))
	if err != nil {
		return p, c.badToken()
	}
	p.after = string(after)
	return p, true
}

func (c *call) badToken() bool {
	c.failParameter(http.StatusBadRequest, "continue", "is no token of this list: it is what the page before had as continue")
	return false
}

// justAfter is appended to a name to get one that no item has and that stands right
// after it, before every other.
const justAfter = "\x00"

// endList ends the list in b and answers with it. last is the last item as its token has
// it; empty where no page follows.
func (c *call) endList(b []byte, last string) {
	b = append(b, ']')
	if last != "" {
		b = text(member(b, "continue"), base64.RawURLEncoding.EncodeToString([]byte(last)))
	}
	c.out = append(b, '}')
	c.answer(http.StatusOK, 0)
}

func listNamespaces(c *call) {
	p, ok := c.page()
	if !ok {
		return
	}
	from := ""
	if p.after != "" {
		if !isName(p.after) {
			c.badToken()
			return
		}
		from = p.after + justAfter
	}
	state := c.state()
	if state == nil {
		return
	}
	b := append(c.out[:0], `{"items":[`...)
	last, n := "", 0
	for ns := range state.Namespaces(from) {
		if !c.caller.MayReadNamespace(ns.Name) {
			if ns = c.shown(state, ns.Name); ns.Services == 0 {
				continue
			}
		}
		if n == p.limit {
			c.endList(b, last)
			return
		}
		b = append(next(b), '{')
		b = text(member(b, "namespace"), ns.Name)
		b = number(member(b, "services"), int64(ns.Services))
		b = number(member(b, "instances"), int64(ns.Instances()))
		b = number(member(b, "up"), int64(ns.Up))
		b = number(member(b, "draining"), int64(ns.Draining))
		b = number(member(b, "down"), int64(ns.Down))
		b = append(b, '}')
		last, n = ns.Name, n+1
	}
	c.endList(b, "")
}

// shown counts what the caller may be shown of a namespace.
func (c *call) shown(state *table.State, namespace string) table.Namespace {
	ns := table.Namespace{Name: namespace}
	if !c.caller.MayReadSome(namespace) {
		return ns
	}
	for view := range state.Services(service.Name{Namespace: namespace}) {
		if view.Namespace != namespace {
			break
		}
		if c.caller.MayRead(view.Name) {
			ns.Add(view)
		}
	}
	return ns
}

// listServices lists the services of the namespace in the path, or of all where the path
// has none. A namespace without services has an empty list: nothing makes a namespace be
// there or not but what it holds.
func listServices(c *call) {
	p, ok := c.page()
	if !ok {
		return
	}
	from := service.Name{Namespace: c.id.Namespace}
	if from.Namespace != "" && !isName(from.Namespace) {
		c.notFound()
		return
	}
	if p.after != "" {
		if from, ok = parseServiceToken(p.after, c.id.Namespace); !ok {
			c.badToken()
			return
		}
		from.Service += justAfter
	}
	state := c.state()
	if state == nil {
		return
	}
	b := append(c.out[:0], `{"items":[`...)
	last, n := "", 0
	for view := range state.Services(from) {
		if c.id.Namespace != "" && view.Namespace != c.id.Namespace {
			break
		}
		if !c.caller.MayRead(view.Name) {
			continue
		}
		if n == p.limit {
			c.endList(b, last)
			return
		}
		b = append(serviceMembers(append(next(b), '{'), view, view.Count()), '}')
		last, n = view.Namespace+"/"+view.Name.Service, n+1
	}
	c.endList(b, "")
}

// parseServiceToken reads "NAMESPACE/SERVICE". Unless the list is of all namespaces the
// token must be of its own.
func parseServiceToken(token, namespace string) (name service.Name, ok bool) {
	name.Namespace, name.Service, ok = strings.Cut(token, "/")
	ok = ok && isName(name.Namespace) && isName(name.Service)
	return name, ok && (namespace == "" || name.Namespace == namespace)
}

// isName reports whether s may be the name of a namespace or of a service.
func isName(s string) bool { return service.IsLabel(s) && s == strings.ToLower(s) }
