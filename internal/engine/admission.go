package engine

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// Limits are the quotas of a table. A small fleet never meets the defaults, a client that
// has lost its mind soon does.
type Limits struct {
	Instances           int
	Services            int
	Namespaces          int
	InstancesPerService int
}

var defaultLimits = Limits{
	Instances:           2_000_000, // 1.2 GB or so
	Services:            200_000,
	Namespaces:          10_000,
	InstancesPerService: 10_000,
}

// Of returns the limit of a kind, by its name in the Corefile; nil where there is no such kind.
func (l *Limits) Of(kind string) *int {
	switch kind {
	case "instances":
		return &l.Instances
	case "services":
		return &l.Services
	case "namespaces":
		return &l.Namespaces
	case "instances-per-service":
		return &l.InstancesPerService
	}
	return nil
}

// LimitKinds are the names that Of knows.
var LimitKinds = []string{"instances", "services", "namespaces", "instances-per-service"}

// room reports whether a draft has room for a service, or for an instance that it does not
// hold. One that it holds is not to be asked for, and a service that it holds has room: what is
// there when a limit is lowered may stay and be renewed.
func (l *Limits) room(d *table.Draft, id service.ID) error {
	full := func(where string, has int, what string) error {
		return fmt.Errorf("is one too many: %s has %d %s, and that is the limit", where, has, what)
	}
	namespaces, services, instances := d.Totals()
	view := d.Service(id.Name)
	if view == nil {
		if !d.HasNamespace(id.Namespace) && namespaces >= most(l.Namespaces) {
			return full("the table", namespaces, "namespaces")
		}
		if services >= most(l.Services) {
			return full("the table", services, "services")
		}
	}
	if id.ID == "" {
		return nil
	}
	if instances >= most(l.Instances) {
		return full("the table", instances, "instances")
	}
	if view != nil && view.Len() >= most(l.InstancesPerService) {
		return full("the service", view.Len(), "instances")
	}
	return nil
}

// most is a limit as a number: 0 is none.
func most(limit int) int {
	if limit == 0 {
		return math.MaxInt
	}
	return limit
}

// admit returns what is wrong with the place of what a change puts there: its names, and
// where in the network it is.
func (r *rules) admit(c *service.Change) (faults []service.Fault) {
	if c.Op != service.Register && c.Op != service.Define {
		return nil
	}
	if slices.Contains(reservedNamespaces, c.ID.Namespace) {
		faults = append(faults, service.Fault{Field: "namespace", Message: fmt.Sprintf(
			"%q is reserved: it would shadow a name of the zone. Choose another", c.ID.Namespace)})
	}
	if c.ID.Name.Service == reservedService {
		faults = append(faults, service.Fault{Field: "service", Message: fmt.Sprintf(
			"%q is reserved: it would shadow a name of the zone. Choose another", c.ID.Name.Service)})
	}
	if c.Instance == nil || len(r.Networks) == 0 {
		return faults
	}
	for n, addr := range c.Instance.Addresses {
		if !slices.ContainsFunc(r.Networks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			faults = append(faults, service.Fault{Field: fmt.Sprintf("addresses[%d]", n), Message: fmt.Sprintf(
				"%s is not admitted: it must lie in %s", addr, prefixes(r.Networks))})
		}
	}
	return faults
}

// Resolvers complete a short name from a list, in Kubernetes's order NAMESPACE.svc.Z, svc.Z, Z.
// Whoever may register web.svc so answers for every web.NAMESPACE.svc that others ask by
// its short name; a service dns-version answers for that of the zone.
var reservedNamespaces = []string{"svc", "pod", reservedService}

const reservedService = "dns-version"

func prefixes(all []netip.Prefix) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}
