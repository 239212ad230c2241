package table

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/service"
)

func published(changes ...func(*Draft)) *Table {
	t := new(Table)
	t.Open(Empty(1), time.Unix(1, 0))
	commit(t, changes...)
	return t
}

func commit(t *Table, changes ...func(*Draft)) {
	for _, change := range changes {
		d := t.Load().Edit()
		change(d)
		if d.Changed() {
			t.Publish(time.Unix(1, 0), d)
		}
	}
}

func named(namespace, svc string) service.Name {
	return service.Name{Namespace: namespace, Service: svc}
}

func putting(name service.Name, id, addr string) func(*Draft) {
	return func(d *Draft) {
		i := service.Instance{Addresses: []netip.Addr{netip.MustParseAddr(addr)}, Status: service.Up}
		d.Put(NewInstance(service.ID{Name: name, ID: id}, i, time.Unix(1, 0), 0))
	}
}

func removing(name service.Name, id string) func(*Draft) {
	return func(d *Draft) { d.Remove(service.ID{Name: name, ID: id}) }
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAWaiterIsWokenByItsServiceAlone(t *testing.T) {
	web, api := named("prod", "web"), named("prod", "api")
	define := func(name service.Name) func(*Draft) {
		return func(d *Draft) { d.Define(name, &service.Definition{PublishNotReady: true}) }
	}
	undefine := func(name service.Name) func(*Draft) { return func(d *Draft) { d.Undefine(name) } }
	for _, tc := range []struct {
		sentence string
		change   func(*Draft)
		woken    bool
	}{
		{"another instance of it", putting(web, "web-2", "192.0.2.2"), true},
		{"an instance of it that changes", putting(web, "web-1", "192.0.2.9"), true},
		{"an instance of it that goes, and the service with it", removing(web, "web-1"), true},
		{"its definition", define(web), true},
		{"its end", undefine(web), true},
		{"another service of its namespace", putting(api, "api-1", "192.0.2.3"), false},
		{"a service of its name in another namespace", putting(named("dev", "web"), "web-1", "192.0.2.1"), false},
		{"the definition of another", define(api), false},
		{"another that shares its address", putting(api, "api-1", "192.0.2.1"), false},
		{"nothing", func(*Draft) {}, false},
	} {
		table := published(putting(web, "web-1", "192.0.2.1"))
		changed, stop := table.Load().Wait(web)
		if isClosed(changed) {
			t.Errorf("%s: woken before it", tc.sentence)
		}
		commit(table, tc.change)
		if got := isClosed(changed); got != tc.woken {
			t.Errorf("%s: woken %t, want %t", tc.sentence, got, tc.woken)
		}
		stop()
		if n := len(table.waiters.byName); n != 0 || table.waiters.count.Load() != 0 {
			t.Errorf("%s: %d names are kept for %d who wait, though nobody does", tc.sentence, n, table.waiters.count.Load())
		}
	}
}

func TestAServiceThatIsNotThereMayBeWaitedFor(t *testing.T) {
	web := named("prod", "web")
	table := published()
	changed, stop := table.Load().Wait(web)
	defer stop()
	commit(table, putting(web, "web-1", "192.0.2.1"))
	if !isClosed(changed) {
		t.Error("not woken when it came")
	}
}

func TestAWaitForAnOldStateIsOverAtOnce(t *testing.T) {
	web := named("prod", "web")
	table := published(putting(web, "web-1", "192.0.2.1"))
	old := table.Load()
	commit(table, putting(named("prod", "api"), "api-1", "192.0.2.3"))
	changed, stop := old.Wait(web)
	if isClosed(changed) {
		t.Error("the service is as it was, and the wait is over")
	}
	stop()
	commit(table, putting(web, "web-2", "192.0.2.2"))
	changed, stop = old.Wait(web)
	if !isClosed(changed) {
		t.Error("the service has changed, and the wait goes on")
	}
	stop()
	if table.waiters.count.Load() != 0 || len(table.waiters.byName) != 0 {
		t.Error("somebody is kept")
	}
}

// Those who wait for one service are woken together, and one who gives up takes nobody along.
func TestManyMayWaitForOneService(t *testing.T) {
	web := named("prod", "web")
	table := published()
	first, stopFirst := table.Load().Wait(web)
	second, stopSecond := table.Load().Wait(web)
	stopFirst()
	commit(table, putting(web, "web-1", "192.0.2.1"))
	third, stopThird := table.Load().Wait(web)
	if !isClosed(second) {
		t.Error("the second was not woken")
	}
	stopSecond()
	if isClosed(third) {
		t.Error("the third was woken by what it knew")
	}
	commit(table, putting(web, "web-2", "192.0.2.2"))
	if !isClosed(third) {
		t.Error("the third was not woken")
	}
	stopThird()
	_ = first
	if table.waiters.count.Load() != 0 || len(table.waiters.byName) != 0 {
		t.Error("somebody is kept")
	}
}

// crowdOf has so many wait, each for a service of its own, until stop.
func crowdOf(table *Table, n int) (woken func() int, stop func()) {
	var stops []func()
	var channels []<-chan struct{}
	for i := range n {
		changed, stop := table.Load().Wait(named("prod", fmt.Sprintf("other-%d", i)))
		stops, channels = append(stops, stop), append(channels, changed)
	}
	woken = func() (n int) {
		for _, c := range channels {
			if isClosed(c) {
				n++
			}
		}
		return n
	}
	return woken, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func TestTenThousandWhoWaitForOthersCostACommitNothing(t *testing.T) {
	web := named("prod", "web")
	table := published(putting(web, "web-1", "192.0.2.1"))
	drafts := []*Draft{table.Load().Edit()}
	putting(web, "web-1", "192.0.2.2")(drafts[0])
	alone := testing.AllocsPerRun(100, func() { table.Publish(time.Unix(1, 0), drafts...) })
	woken, stop := crowdOf(table, 10_000)
	crowded := testing.AllocsPerRun(100, func() { table.Publish(time.Unix(1, 0), drafts...) })
	if crowded != alone {
		t.Errorf("a commit allocates %v times with 10,000 who wait for others, and %v without", crowded, alone)
	}
	if n := testing.AllocsPerRun(100, func() { table.waiters.wake(drafts) }); n != 0 {
		t.Errorf("to look for who waits allocates %v times", n)
	}
	if n := woken(); n != 0 {
		t.Errorf("%d were woken", n)
	}
	stop()
	if table.waiters.count.Load() != 0 || len(table.waiters.byName) != 0 {
		t.Error("somebody is kept")
	}
}

// BenchmarkWake is what a commit of one change spends on those who wait for other services.
func BenchmarkWake(b *testing.B) {
	for _, n := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := published()
			d := table.Load().Edit()
			putting(named("prod", "web"), "web-1", "192.0.2.2")(d)
			_, stop := crowdOf(table, n)
			defer stop()
			drafts := []*Draft{d}
			b.ReportAllocs()
			for b.Loop() {
				table.waiters.wake(drafts)
			}
		})
	}
}

// Whoever waits, looks, and waits again sees the last change, whenever it came.
func TestNoWakeUpIsLost(t *testing.T) {
	const services, waiting, changes = 4, 8, 500
	table := published()
	last := fmt.Sprintf("web-%d", changes-1)
	var all sync.WaitGroup
	for n := range services {
		name := named("prod", fmt.Sprintf("web-%d", n))
		for range waiting {
			all.Go(func() {
				for {
					state := table.Load()
					if state.Instance(service.ID{Name: name, ID: last}) != nil {
						return
					}
					changed, stop := state.Wait(name)
					select {
					case <-changed:
					case <-time.After(10 * time.Second):
						t.Errorf("%s: not woken", name)
						stop()
						return
					}
					stop()
				}
			})
		}
	}
	for c := range changes {
		for n := range services {
			commit(table, putting(named("prod", fmt.Sprintf("web-%d", n)), fmt.Sprintf("web-%d", c), "192.0.2.1"))
		}
	}
	all.Wait()
	if table.waiters.count.Load() != 0 || len(table.waiters.byName) != 0 {
		t.Error("somebody is kept")
	}
}
