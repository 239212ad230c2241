package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// twin is the registry as it would be if it cost nothing to look through all of it at each
// question: two maps, and the contract written down once more.
type twin struct {
	instances   map[service.ID]twinInstance
	definitions map[service.Name]*service.Definition
}

type twinInstance struct {
	service.Instance
	registered time.Time
	deadline   time.Time // of one with a lease
}

func newTwin() *twin {
	return &twin{make(map[service.ID]twinInstance), make(map[service.Name]*service.Definition)}
}

func (w *twin) clone() *twin { return &twin{maps.Clone(w.instances), maps.Clone(w.definitions)} }

// touched is what a transaction did to a twin.
type touched struct {
	faults  []error // what is wrong with each change; nil is nothing
	events  int     // how many things it changed, as watchers count them
	renewed []service.ID
	changed map[service.ID]bool

	replaced map[service.ID]bool // whose lease is another than before
}

func (t *touched) renew(id service.ID) {
	if !t.replaced[id] {
		t.renewed = append(t.renewed, id)
	}
}

func (t *touched) change(id service.ID) {
	t.events++
	t.changed[id] = true
}

// apply makes changes. Where one is faulty the others are judged as if it were not there,
// and the twin is of no use afterwards.
func (w *twin) apply(by service.Caller, now time.Time, leases engine.LeaseRange, limits engine.Limits, changes []service.Change) (t touched) {
	t.changed, t.replaced = make(map[service.ID]bool), make(map[service.ID]bool)
	for _, c := range changes {
		t.faults = append(t.faults, w.do(&t, by, now, leases, limits, c))
	}
	return t
}

func (w *twin) do(t *touched, by service.Caller, now time.Time, leases engine.LeaseRange, limits engine.Limits, c service.Change) error {
	was, known := w.instances[c.ID]
	exists := known
	if c.Op == service.Define || c.Op == service.Undefine {
		exists = w.exists(c.ID.Name)
	}
	needed := c.Op != service.Register && c.Op != service.Define
	switch {
	case c.Op == service.Register && c.Instance.Lease.Given && c.Instance.Lease.Seconds != 0 &&
		(c.Instance.Lease.Duration() < leases.Min || c.Instance.Lease.Duration() > leases.Max):
		return errTwin
	case needed && !exists:
		return service.ErrNotFound
	case known && !was.mayBeChangedBy(by):
		return service.ErrNotOwner
	case c.If.Absent && exists, c.If.Exists && !exists:
		return service.ErrPrecondition
	case !needed && !exists && w.isFull(c.ID, limits):
		return errTwin
	}
	switch c.Op {
	case service.Register:
		is := twinInstance{Instance: *c.Instance, registered: now}
		if is.Owner == "" || !by.Admin {
			is.Owner = by.Name
			if was.Owner != "" {
				is.Owner = was.Owner
			}
		}
		if is.Hostname == "" && !strings.ContainsAny(c.ID.ID, "._:") {
			is.Hostname = c.ID.ID
		}
		if !is.Lease.Given {
			is.Lease = service.LeaseOf(int32(leases.Default / time.Second))
		}
		if is.Status == service.Unset {
			is.Status = service.Up
			if known {
				is.Status = was.Status
			}
		}
		if known {
			is.registered = was.registered
		}
		is.deadline = now.Add(is.Lease.Duration())
		w.instances[c.ID] = is
		if known && was.Instance.Equal(&is.Instance) {
			t.renew(c.ID)
		} else {
			t.change(c.ID)
			t.replaced[c.ID] = true
		}
	case service.Deregister:
		delete(w.instances, c.ID)
		t.change(c.ID)
		t.replaced[c.ID] = true
	case service.Renew:
		was.deadline = now.Add(was.Lease.Duration())
		w.instances[c.ID] = was
		t.renew(c.ID)
	case service.SetStatus:
		if was.Status != c.Status {
			was.Status = c.Status
			w.instances[c.ID] = was
			t.change(c.ID)
		}
	case service.Define:
		if d := w.definitions[c.ID.Name]; d == nil || !d.Equal(c.Definition) {
			w.definitions[c.ID.Name] = c.Definition
			t.change(c.ID)
		}
	case service.Undefine:
		for id := range w.of(c.ID.Name) {
			delete(w.instances, id)
			t.change(id)
			t.replaced[id] = true
		}
		delete(w.definitions, c.ID.Name)
		t.change(c.ID)
	}
	return nil
}

var errTwin = fmt.Errorf("not allowed")

// mayBeChangedBy reports whether the caller may write to an instance.
func (i *twinInstance) mayBeChangedBy(by service.Caller) bool {
	return by.Admin || i.Owner == "" || i.Owner == by.Name
}

// isFull reports whether an object that is not there yet is one too many.
func (w *twin) isFull(id service.ID, limits engine.Limits) bool {
	namespaces, ofService := make(map[string]bool), 0
	for _, name := range w.names() {
		namespaces[name.Namespace] = true
	}
	for range w.of(id.Name) {
		ofService++
	}
	reached := func(n, limit int) bool { return limit > 0 && n >= limit }
	return !namespaces[id.Namespace] && reached(len(namespaces), limits.Namespaces) ||
		!w.exists(id.Name) && reached(len(w.names()), limits.Services) ||
		id.ID != "" && (reached(len(w.instances), limits.Instances) || reached(ofService, limits.InstancesPerService))
}

// expire drops who is silent, and returns them.
func (w *twin) expire(now time.Time) (gone []service.ID) {
	for id, i := range w.instances {
		if !i.Lease.Static() && !i.deadline.After(now) {
			delete(w.instances, id)
			gone = append(gone, id)
		}
	}
	return gone
}

// restart gives each lease its full length.
func (w *twin) restart(now time.Time) {
	for id, i := range w.instances {
		i.deadline = now.Add(i.Lease.Duration())
		w.instances[id] = i
	}
}

// pause is time in which the process did not run.
func (w *twin) pause(d time.Duration) {
	for id, i := range w.instances {
		i.deadline = i.deadline.Add(d)
		w.instances[id] = i
	}
}

// of yields the instances of a service in order of id.
func (w *twin) of(name service.Name) func(yield func(service.ID, twinInstance) bool) {
	return func(yield func(service.ID, twinInstance) bool) {
		var ids []service.ID
		for id := range w.instances {
			if id.Name == name {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b service.ID) int { return strings.Compare(a.ID, b.ID) })
		for _, id := range ids {
			if !yield(id, w.instances[id]) {
				return
			}
		}
	}
}

func (w *twin) exists(name service.Name) bool {
	for range w.of(name) {
		return true
	}
	return w.definitions[name] != nil
}

func (w *twin) kind(name service.Name) service.Type {
	if d := w.definitions[name]; d != nil {
		return d.Type
	}
	return service.Headless
}

// answered yields the instances of a service that DNS may tell of, in order of id.
func (w *twin) answered(name service.Name) func(yield func(twinInstance) bool) {
	d := w.definitions[name]
	return func(yield func(twinInstance) bool) {
		for _, i := range w.of(name) {
			if d != nil && d.Type == service.ExternalName || i.Status != service.Up && (d == nil || !d.PublishNotReady) {
				continue
			}
			if !yield(i) {
				return
			}
		}
	}
}

const zoneOfTwin = ".svc.cluster.local."

var (
	noName = []string{"NXDOMAIN", "SOA"}
	noData = []string{"SOA"}
)

// linesOf is an answer in the form of summary: each record once.
func linesOf(records []string) []string {
	if len(records) == 0 {
		return noData
	}
	slices.Sort(records)
	return slices.Compact(records)
}

// ofService is the answer to a question of type A or SRV for a service's own name.
func (w *twin) ofService(name service.Name, srv bool) []string {
	owner := name.String() + zoneOfTwin
	switch {
	case !w.exists(name):
		return noName
	case w.kind(name) == service.ExternalName && srv:
		return noData
	case w.kind(name) == service.ExternalName:
		return []string{owner + " CNAME " + w.definitions[name].ExternalName}
	case srv:
		return w.srv(name, owner, func(service.Port) bool { return true }, "")
	case w.kind(name) == service.ClusterIP:
		return linesOf(addressLines(owner, w.definitions[name].ClusterIPs))
	}
	var lines []string
	for i := range w.answered(name) {
		lines = append(lines, addressLines(owner, i.Addresses)...)
	}
	return linesOf(lines)
}

func addressLines(owner string, addrs []netip.Addr) (lines []string) {
	for _, addr := range addrs {
		if addr.Is4() {
			lines = append(lines, owner+" A "+addr.String())
		}
	}
	return lines
}

// ofPort is the answer to a question of type SRV for a named port.
func (w *twin) ofPort(name service.Name, port string) []string {
	named := func(p service.Port) bool { return p.Name != "" && "_"+p.Name+"._"+string(p.Protocol) == port }
	known := false
	if d := w.definitions[name]; d != nil {
		known = slices.ContainsFunc(d.Ports, named)
	}
	for _, i := range w.of(name) {
		known = known || slices.ContainsFunc(i.Ports, named)
	}
	if !known || w.kind(name) == service.ExternalName {
		return noName
	}
	return w.srv(name, port+"."+name.String()+zoneOfTwin, named, "")
}

// srv is what SRV records there are of the wanted ports, at one host or at all.
func (w *twin) srv(name service.Name, owner string, want func(service.Port) bool, host string) []string {
	type record struct {
		priority uint16
		weight   *uint16
	}
	records := make(map[string]record) // by port and target
	hosts := make(map[string]bool)     // that are pointed to
	own := name.String() + zoneOfTwin
	var extra []string
	if w.kind(name) == service.ClusterIP && host == "" {
		d := w.definitions[name]
		for _, p := range d.Ports {
			if want(p) {
				records[fmt.Sprint(p.Number, " ", own)] = record{}
				hosts[own] = true
			}
		}
		for _, addr := range d.ClusterIPs {
			extra = append(extra, own+glue(addr))
		}
	} else {
		for i := range w.answered(name) {
			for label, addrs := range i.Hosts {
				if host != "" && label != host {
					continue
				}
				target := label + "." + own
				for _, p := range i.Ports {
					key := fmt.Sprint(p.Number, " ", target)
					if _, known := records[key]; !known && want(p) {
						records[key] = record{i.Priority, i.Weight}
						hosts[target] = true
					}
				}
				for _, addr := range addrs {
					extra = append(extra, target+glue(addr))
				}
			}
		}
	}
	if len(records) == 0 {
		return noData
	}
	var lines []string
	for key, r := range records {
		weight := max(uint16(100/len(records)), 1)
		if r.weight != nil {
			weight = *r.weight
		}
		lines = append(lines, fmt.Sprintf("%s SRV %d %d %s", owner, r.priority, weight, key))
	}
	for _, line := range extra {
		if target, _, _ := strings.Cut(line, " "); hosts[target] {
			lines = append(lines, "+"+line)
		}
	}
	return linesOf(lines)
}

func glue(addr netip.Addr) string {
	if addr.Is4() {
		return " A " + addr.String()
	}
	return " AAAA " + addr.String()
}

// ofHost is the answer to a question of type A, SRV or TXT for a host of a service.
func (w *twin) ofHost(name service.Name, host string, qtype uint16) []string {
	owner := host + "." + name.String() + zoneOfTwin
	found := false
	var a, txt []string
	for i := range w.answered(name) {
		for label, addrs := range i.Hosts {
			if label != host {
				continue
			}
			found = true
			a = append(a, addressLines(owner, addrs)...)
			if len(i.Metadata) > 0 {
				line := owner + " TXT"
				for _, pair := range i.Metadata {
					line += ` "` + pair.Key + "=" + pair.Value + `"`
				}
				txt = append(txt, line)
			}
		}
	}
	switch {
	case !found:
		return noName
	case qtype == dns.TypeA:
		return linesOf(a)
	case qtype == dns.TypeTXT:
		return linesOf(txt)
	}
	return w.srv(name, owner, func(service.Port) bool { return true }, host)
}

// ofAddress is the answer to a question of type PTR for an IPv4 address.
func (w *twin) ofAddress(addr netip.Addr) []string {
	var lines []string
	owner := enginetest.Reverse(addr.String()) + " PTR "
	for _, name := range w.names() {
		for i := range w.answered(name) {
			if slices.Contains(i.Addresses, addr) {
				label := i.Hostname
				if label == "" {
					label = strings.ReplaceAll(addr.String(), ".", "-")
				}
				lines = append(lines, owner+label+"."+name.String()+zoneOfTwin)
			}
		}
		if d := w.definitions[name]; d != nil && slices.Contains(d.ClusterIPs, addr) {
			lines = append(lines, owner+name.String()+zoneOfTwin)
		}
	}
	if len(lines) == 0 {
		return noName
	}
	return linesOf(lines)
}

func (w *twin) names() []service.Name {
	names := make(map[service.Name]bool)
	for id := range w.instances {
		names[id.Name] = true
	}
	for name := range w.definitions {
		names[name] = true
	}
	return slices.SortedFunc(maps.Keys(names), service.Name.Compare)
}

// ttl is that of the answer to a question of type A for a service's own name.
func (w *twin) ttl(name service.Name, full time.Duration, now time.Time) uint32 {
	ttl := full
	if w.kind(name) == service.Headless {
		for i := range w.answered(name) {
			if !i.Lease.Static() && slices.ContainsFunc(i.Addresses, netip.Addr.Is4) {
				ttl = min(ttl, i.deadline.Sub(now)-100*time.Millisecond)
			}
		}
	}
	return uint32(max(ttl, 0) / time.Second)
}
