package access

import (
	"strings"

	"github.com/coredns-registry/registry/service"
)

// grant is one thing that a credential allows.
type grant struct {
	admin bool
	right right
	to    service.Name // "*" on either side stands for any name
}

// parseGrant reads one of
//
//	read:NAMESPACE/SERVICE   *  on either side, or both, stands for any whole name;
//	write:NAMESPACE/SERVICE  it is no pattern: "web-*" is no name
//	admin
func parseGrant(s string) (g grant, ok bool) {
	if s == "admin" {
		return grant{admin: true}, true
	}
	verb, to, _ := strings.Cut(s, ":")
	switch verb {
	case "read":
		g.right = read
	case "write":
		g.right = write
	default:
		return g, false
	}
	g.to.Namespace, g.to.Service, ok = strings.Cut(to, "/")
	return g, ok && isGrantName(g.to.Namespace) && isGrantName(g.to.Service)
}

// isGrantName reports whether s may stand on a side of a grant. A capital letter is an error:
// names in the table have none, and the grant would silently allow nothing.
func isGrantName(s string) bool {
	return s == anyName || service.IsLabel(s) && s == strings.ToLower(s)
}
