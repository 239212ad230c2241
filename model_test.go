package registry

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// model plays at random on a registry and on its twin, in a world so small that what is
// asked for is often there already, or gone.
type model struct {
	*world
	*rand.Rand
	twin   *twin
	leases engine.LeaseRange
	limits engine.Limits
	seed   uint64

	trouble  bool                // whether the store may fail
	doubtful map[service.ID]bool // objects of which it may have something else than the table
	revision uint64              // the highest that was seen
	version  *table.Version      // that was transferred last
}

// twinCallers come in turn: three who have a name, one who administrates, and one at an
// endpoint that asks for none.
var twinCallers = []service.Caller{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "root", Admin: true}, testkit.Anyone}

var (
	twinNames = []service.Name{{Namespace: "prod", Service: "web"}, {Namespace: "prod", Service: "db"}, {Namespace: "test", Service: "web"}}
	twinIDs   = []string{"a", "b", "192.0.2.1:80"}
	twinHosts = []string{"a", "b", "node", "192-0-2-1", "192-0-2-2"}
	twinPorts = []service.Port{{Name: "http", Protocol: service.TCP, Number: 80}, {Name: "http", Protocol: service.UDP, Number: 80}, {Protocol: service.TCP, Number: 81}}
)

func twinAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

// TestModel plays histories of a table in memory, and of one in a store that fails every
// now and then: registrations, batches, heartbeats and silence, pauses of the process and
// restarts, some of them in the middle of the trouble. After each step DNS and the API are to
// say what the contract says, as the twin has it.
func TestModel(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		stored   bool
		trouble  bool
		seeds    uint64
	}{
		{"in memory", false, false, 6},
		{"in a store", true, false, 6},
		{"in a store that fails", true, true, 12},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			for seed := range tc.seeds {
				var s *enginetest.Store
				if tc.stored {
					s = enginetest.NewStore(t)
				}
				random := rand.New(rand.NewPCG(seed, 11))
				shared := Shared{Limits: map[string]int{
					"namespaces":            random.IntN(3),
					"services":              random.IntN(4),
					"instances":             random.IntN(9),
					"instances-per-service": random.IntN(4),
				}}
				m := &model{
					world:    newWorldOn(t, Config{Shared: shared}, s),
					Rand:     random,
					twin:     newTwin(),
					leases:   engine.DefaultRules.Leases,
					limits:   shared.rules().Limits,
					seed:     seed,
					doubtful: make(map[service.ID]bool),
				}
				m.trouble = tc.trouble
				for step := range 200 {
					m.step()
					m.compare(step%20 == 0)
					if t.Failed() {
						t.Fatalf("seed %d, step %d", seed, step)
					}
				}
			}
		})
	}
}

// step lets one thing happen.
func (m *model) step() {
	switch n := m.IntN(20); {
	case n < 10:
		var changes []service.Change
		for range 1 + m.IntN(2)*m.IntN(6) {
			changes = append(changes, m.change())
		}
		m.play(changes)
	case n < 13:
		for _, name := range twinNames {
			for id := range m.twin.of(name) {
				if m.IntN(3) > 0 {
					m.heartbeat(id)
				}
			}
		}
		m.heartbeat(m.id())
	case n < 17:
		m.elapse(time.Duration(m.IntN(4000)) * time.Millisecond)
	case n == 17:
		d := time.Duration(501+m.IntN(100_000)) * time.Millisecond
		m.Jump(d)
		m.twin.pause(d)
		m.tick()
	case n == 18 && m.trouble:
		m.Store.SetEach([]func() enginetest.Fate{nil, nil,
			func() enginetest.Fate { return enginetest.Refuse },
			func() enginetest.Fate { return enginetest.KeepAndRefuse },
			func() enginetest.Fate { return enginetest.Fate(m.IntN(3)) },
		}[m.IntN(5)])
	case n == 19 && m.Store != nil && m.IntN(2) == 0:
		m.restartAtRandom()
	}
}

func (m *model) name() service.Name { return twinNames[m.IntN(len(twinNames))] }
func (m *model) id() service.ID {
	return service.ID{Name: m.name(), ID: twinIDs[m.IntN(len(twinIDs))]}
}

func (m *model) caller() service.Caller { return twinCallers[m.IntN(len(twinCallers))] }

func (m *model) change() service.Change {
	c := service.Change{Op: service.Register, ID: m.id()}
	switch m.IntN(12) {
	case 0, 1:
		c.Op = service.Deregister
	case 2:
		c.Op = service.Renew
	case 3, 4:
		c.Op, c.Status = service.SetStatus, service.Status(1+m.IntN(3))
	case 5:
		c.Op, c.Definition, c.ID.ID = service.Define, m.definition(), ""
	case 6:
		if c.ID.ID = ""; m.IntN(2) == 0 {
			c.Op = service.Undefine
		} else {
			c.Op, c.Definition = service.Define, &service.Definition{PublishNotReady: true}
		}
	default:
		c.Instance = m.instance()
		if was, ok := m.twin.instances[c.ID]; ok && m.IntN(3) == 0 {
			c.Instance = &was.Instance // the same again
		}
	}
	switch m.IntN(20) {
	case 0:
		c.If.Absent = true
	case 1:
		c.If.Exists = true
	}
	return c
}

func (m *model) instance() *service.Instance {
	i := &service.Instance{Status: service.Status(m.IntN(8) % 4)}
	for _, n := range m.Perm(3)[:1+m.IntN(2)] {
		i.Addresses = append(i.Addresses, twinAddress(n+1))
	}
	if m.IntN(4) == 0 {
		i.Addresses = append(i.Addresses, netip.MustParseAddr("2001:db8::1"))
		i.Addresses = i.Addresses[m.IntN(len(i.Addresses)):]
	}
	for _, n := range m.Perm(len(twinPorts))[:m.IntN(3)] {
		i.Ports = append(i.Ports, twinPorts[n])
	}
	if m.IntN(3) == 0 {
		i.Hostname = []string{"a", "node"}[m.IntN(2)]
	}
	if m.IntN(3) == 0 {
		weight := uint16(m.IntN(3))
		i.Weight, i.Priority = &weight, uint16(m.IntN(2))
	}
	if m.IntN(3) == 0 {
		i.Metadata = service.Metadata{{Key: "k", Value: fmt.Sprint(m.IntN(2))}}
	}
	if m.IntN(4) == 0 {
		i.Owner = m.caller().Name // which only who administrates can say
	}
	if lease := m.IntN(10); lease > 0 {
		i.Lease = service.LeaseOf([]int32{0, 2, 3, 5, 8, 30}[m.IntN(6)])
		if lease == 1 {
			i.Lease.Seconds = 1 // out of range
		}
	}
	return i
}

func (m *model) definition() *service.Definition {
	d := &service.Definition{PublishNotReady: m.IntN(2) == 0}
	if m.IntN(2) == 0 {
		d.Ports = twinPorts[:1+m.IntN(2)]
	}
	switch m.IntN(4) {
	case 0:
		d.Type, d.ExternalName = service.ExternalName, "example.org."
	case 1, 2:
		d.Type = service.ClusterIP
		for _, n := range m.Perm(3)[:1+m.IntN(2)] {
			d.ClusterIPs = append(d.ClusterIPs, twinAddress(n+3)) // one is an instance's too
		}
	}
	return d
}

// play makes a transaction, and has the twin make it too where it was made.
func (m *model) play(changes []service.Change) {
	next, by := m.twin.clone(), m.caller()
	want := next.apply(by, m.Now(), m.leases, m.limits, changes)
	var faulty []int
	for n, err := range want.faults {
		if err != nil {
			faulty = append(faulty, n)
		}
	}
	before := m.Engine.State()
	results, revision, err := m.Engine.Apply(by, changes, m.Now())
	after := m.Engine.State()

	var invalid *service.Invalid
	switch {
	case errors.As(err, &invalid) || len(faulty) > 0:
		var got []int
		for _, f := range invalid.Faults {
			got = append(got, f.Change)
			if want := want.faults[f.Change]; f.Err != want && want != errTwin {
				m.T.Errorf("change %d of %+v: got %v, want %v", f.Change, changes, f, want)
			}
		}
		if !slices.Equal(slices.Compact(got), faulty) || after != before {
			m.T.Errorf("%+v: faults %v, want in %v; the table has changed: %v", changes, invalid, faulty, after != before)
		}
		return
	case errors.Is(err, service.ErrNotKept):
		if !m.trouble || want.events == 0 || after != before {
			m.T.Errorf("%+v: got %v, and there are %d changes", changes, err, want.events)
		}
		// Nothing is changed; but who sent a heartbeat was heard.
		for _, id := range want.renewed {
			if i, ok := m.twin.instances[id]; ok {
				i.deadline = m.Now().Add(i.Lease.Duration())
				m.twin.instances[id] = i
			}
		}
		maps.Copy(m.doubtful, want.changed)
		return
	case err != nil:
		m.T.Errorf("%+v: %v", changes, err)
		return
	}
	m.twin = next
	if len(results) != len(changes) || revision != after.Revision || revision != before.Revision+min(1, uint64(want.events)) {
		m.T.Errorf("%+v: %d results, revision %d, the table's %d after %d, want %d events", changes, len(results), revision, after.Revision, before.Revision, want.events)
	}
	if want.events > 0 && m.Store != nil {
		m.Same() // what is acknowledged is in the store, and with it what was owed
		clear(m.doubtful)
	}
}

func (m *model) heartbeat(id service.ID) {
	by := m.caller()
	err := m.Engine.Renew(by, id, service.Precondition{})
	i, known := m.twin.instances[id]
	var want error
	switch {
	case !known:
		want = service.ErrNotFound
	case !i.mayBeChangedBy(by):
		want = service.ErrNotOwner
	}
	if !errors.Is(err, want) {
		m.T.Errorf("heartbeat of %s, %+v, by %q: got %v, want %v", id, i, by.Name, err, want)
	}
	if want == nil {
		i.deadline = m.Now().Add(i.Lease.Duration())
		m.twin.instances[id] = i
	}
}

// elapse lets time pass as it does while the process runs.
func (m *model) elapse(d time.Duration) {
	for end := m.Now().Add(d); m.Now().Before(end); {
		m.Jump(min(lease.TickEvery, end.Sub(m.Now())))
		m.tick()
	}
}

func (m *model) tick() {
	for _, id := range m.twin.expire(m.Now()) {
		m.doubtful[id] = true
	}
	m.Engine.Expire()
	m.Engine.Flush()
}

// restartAtRandom opens another registry on the store, in the peace of a shutdown or in the
// middle of everything.
func (m *model) restartAtRandom() {
	if !m.trouble || m.IntN(2) == 0 {
		m.Store.Set(enginetest.Keep)
		m.elapse(time.Second)
		m.Same()
		clear(m.doubtful)
	}
	if m.IntN(2) == 0 {
		if err := m.Engine.Close(); err != nil {
			m.T.Error(err)
		}
	}
	m.Store.Set(enginetest.Keep) // a start that cannot tell the store its revision is another test's
	m.Restart()
	m.twin.restart(m.Now())
	m.elapse(lease.TickEvery)
	// What the store said that it has, it has; the rest is one or the other.
	is := enginetest.ObjectsOf(m.Engine.State().Snapshot)
	for id := range m.doubtful {
		delete(m.twin.instances, id)
		if id.ID == "" {
			delete(m.twin.definitions, id.Name)
		}
		if o, ok := is[id]; ok && o.Instance != nil {
			m.twin.instances[id] = twinInstance{*o.Instance, o.RegisteredAt, m.Now().Add(o.Instance.Lease.Duration() - lease.TickEvery)}
		} else if ok {
			m.twin.definitions[id.Name] = o.Definition
		}
	}
	clear(m.doubtful)
	if m.version != nil && int64(m.version.Serial()) == m.Now().Unix() {
		m.version = nil // two starts within a second are not told apart
	}
	if revision := m.Engine.State().Revision; revision <= m.revision {
		m.T.Errorf("revision %d after a restart, %d before", revision, m.revision)
	}
}

// compare asks all, or some, of the questions that there are.
func (m *model) compare(all bool) {
	state := m.Engine.State()
	if state.Revision < m.revision {
		m.T.Errorf("revision %d after %d", state.Revision, m.revision)
	}
	m.revision = state.Revision
	version := state.Version()
	if was := m.version; was != nil && (int32(version.Serial()-was.Serial()) < 0 || (version.Revision > was.Revision) == (version.Serial() == was.Serial())) {
		m.T.Errorf("serial %d with revision %d after %d with %d", version.Serial(), version.Revision, was.Serial(), was.Revision)
	}
	m.version = version
	m.compareTable()
	for _, name := range twinNames {
		if !all && m.IntN(2) == 0 {
			continue
		}
		if ttl := m.expect(m.twin.ofService(name, false), name.String(), dns.TypeA); ttl != nil && *ttl != m.twin.ttl(name, defaultTTL, m.Now()) {
			m.T.Errorf("%s: TTL %d, want %d", name, *ttl, m.twin.ttl(name, defaultTTL, m.Now()))
		}
		m.expect(m.twin.ofService(name, true), name.String(), dns.TypeSRV)
		m.expect(m.twin.ofPort(name, "_http._tcp"), "_http._tcp."+name.String(), dns.TypeSRV)
		for _, host := range twinHosts {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV, dns.TypeTXT} {
				if all || m.IntN(3) == 0 {
					m.expect(m.twin.ofHost(name, host, qtype), host+"."+name.String(), qtype)
				}
			}
		}
	}
	for n := range 6 {
		if all || m.IntN(3) == 0 {
			m.expect(m.twin.ofAddress(twinAddress(n)), enginetest.Reverse(twinAddress(n).String()), dns.TypePTR)
		}
	}
}

// expect asks a question, and returns the TTL of the first answer.
func (m *model) expect(want []string, name string, qtype uint16) *uint32 {
	if qtype != dns.TypePTR {
		name += zoneOfTwin
	}
	got := m.ask(name, qtype)
	if !slices.Equal(enginetest.Summary(got), want) {
		m.T.Errorf("%s %s:\ngot  %q\nwant %q", name, dns.TypeToString[qtype], enginetest.Summary(got), want)
	}
	if len(got.Answer) == 0 || got.Answer[0].Header().Rrtype != dns.TypeA {
		return nil
	}
	return &got.Answer[0].Header().Ttl
}

// compareTable holds against the twin what the API tells of.
func (m *model) compareTable() {
	state := m.Engine.State()
	instances := 0
	for i := range state.Instances() {
		instances++
		want, ok := m.twin.instances[i.ID()]
		if !ok || !i.Says(&want.Instance) || !i.RegisteredAt().Equal(want.registered) {
			m.T.Errorf("%s: got %+v registered at %s, want %+v", i.ID(), i.Said(), i.RegisteredAt(), want)
		}
		if at := m.Engine.ExpiresAt(i.Lease()); want.Lease.Static() != at.IsZero() || !want.Lease.Static() && !at.Equal(want.deadline) {
			m.T.Errorf("%s: lasts until %s, want %s, and it is %s", i.ID(), at, want.deadline, m.Now())
		}
	}
	if instances != len(m.twin.instances) {
		m.T.Errorf("got %d instances, want %d", instances, len(m.twin.instances))
	}
	if _, services, _ := state.Totals(); services != len(m.twin.names()) {
		m.T.Errorf("got %d services, want %d", services, len(m.twin.names()))
	}
	for _, name := range m.twin.names() {
		view, want := state.Service(name), m.twin.definitions[name]
		if view == nil || (view.Definition == nil) != (want == nil) || want != nil && !view.Definition.Equal(want) {
			m.T.Errorf("%s: got %+v, want definition %+v", name, view, want)
		}
	}
	leases := m.Engine.State().Leases()
	if leases.Len() != m.twin.leased() || leases.Made() != leases.Len() {
		m.T.Errorf("%d leases on the wheel of %d that were made, want %d", leases.Len(), leases.Made(), m.twin.leased())
	}
}

func (w *twin) leased() (n int) {
	for _, i := range w.instances {
		if !i.Lease.Static() {
			n++
		}
	}
	return n
}
