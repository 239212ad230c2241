package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// checkQuota reports whether a draft has room for a service, or for an instance, that it does not
// hold. An instance that it holds needs no room: what is there when a limit is lowered may stay
// and be renewed.
func (l *Limits) checkQuota(d *table.Draft, id service.ID) error {
	exceeds := func(limit, count int) bool { return limit > 0 && count >= limit }
	exceeded := func(where string, count int, what string) error {
		return fmt.Errorf("quota exceeded: %s has %d %s", where, count, what)
	}
	namespaces, services, instances := d.Totals()
	view := d.Service(id.Name)
	if view == nil {
		if !d.HasNamespace(id.Namespace) && exceeds(l.Namespaces, namespaces) {
			return exceeded("the table", namespaces, "namespaces")
		}
		if exceeds(l.Services, services) {
			return exceeded("the table", services, "services")
		}
	}
	if id.ID == "" {
		return nil
	}
	if exceeds(l.Instances, instances) {
		return exceeded("the table", instances, "instances")
	}
	if view != nil && exceeds(l.InstancesPerService, view.Len()) {
		return exceeded("the service", view.Len(), "instances")
	}
	return nil
}

// checkPlace returns what is wrong with where a change puts its object: the names, and the
// addresses.
func (r *rules) checkPlace(c *service.Change) (faults []service.Fault) {
	if c.Op != service.Register && c.Op != service.Define {
		return nil
	}
	reserved := func(field, name string) {
		faults = append(faults, service.Fault{Field: field, Message: fmt.Sprintf(
			"%q is reserved: it would shadow a name of the zone. Choose another", name)})
	}
	if slices.Contains(reservedNamespaces, c.ID.Namespace) {
		reserved("namespace", c.ID.Namespace)
	}
	if c.ID.Name.Service == reservedService {
		reserved("service", c.ID.Name.Service)
	}
	if c.Instance == nil || len(r.Networks) == 0 {
		return faults
	}
	for n, addr := range c.Instance.Addresses {
		if !slices.ContainsFunc(r.Networks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			faults = append(faults, service.Fault{Field: fmt.Sprintf("addresses[%d]", n), Message: fmt.Sprintf(
				"%s is not admitted: it must be in %s", addr, join(r.Networks))})
		}
	}
	return faults
}

// Resolvers complete a short name from a search list, in Kubernetes's order NAMESPACE.svc.Z,
// svc.Z, Z. Whoever may register web.svc would answer for every web.NAMESPACE.svc that others
// ask for by its short name, and a service dns-version for that name of the zone.
var reservedNamespaces = []string{"svc", "pod", reservedService}

const reservedService = "dns-version"

func join(networks []netip.Prefix) string {
	var texts []string
	for _, p := range networks {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}
