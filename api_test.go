package registry

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// api returns the registry as the endpoint sees it.
func (w *shelved) api() *api {
	a := &api{Registry: w.registry, blocks: &blocks{}}
	if w.shelf != nil {
		a.kept = w.shelf
	}
	return a
}

// call asks the endpoint, and fails the test unless it answers with 200.
func (w *shelved) call(method, path, body string) string {
	w.t.Helper()
	response := httptest.NewRecorder()
	httpapi.New(w.api(), httpapi.Options{}).Handler().ServeHTTP(response, httptest.NewRequest(method, path, strings.NewReader(body)))
	if response.Code != http.StatusOK {
		w.t.Fatalf("%s %s: got %d %s", method, path, response.Code, response.Body)
	}
	return response.Body.String()
}

func TestEvictionsAreTold(t *testing.T) {
	const span = 30 * time.Second
	f := newFleet(t, 100, Eviction{20, 10}, LeaseRange{span, 2 * time.Second, time.Hour}, span)
	f.load("prod/web/static 192.0.2.1")
	a := &api{Registry: f.registry, blocks: &blocks{}}
	tell := func(what string, want httpapi.Evictions) {
		t.Helper()
		want.Percent, want.Floor, want.Span = 20, 10, span
		if got := a.Evictions(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	tell("all are alive", httpapi.Evictions{Leased: 100})
	f.pass(span + time.Second)
	since := f.clock.Add(-time.Second)
	of := func(n int) []httpapi.HeldService {
		return []httpapi.HeldService{{Name: service.Name{Namespace: "prod", Service: "web"}, Held: n}}
	}
	tell("a tenth has left", httpapi.Evictions{Leased: 90, Held: 90, Since: since, Services: of(90), HeldServices: 1})
	f.pass(span)
	tell("more of the rest", httpapi.Evictions{Leased: 85, Held: 85, Since: since, Services: of(85), HeldServices: 1})
	f.renew(f.ids)
	f.pass(lease.TickEvery)
	tell("the rest is alive", httpapi.Evictions{Leased: 85})
}

// Whoever asks meanwhile is told of an episode or of none, never of half of one.
func TestEvictionsAreToldWhileTheyHappen(t *testing.T) {
	w := newShelved(t, Config{Shared: Shared{Eviction: &Eviction{0, 1}, Leases: &LeaseRange{2 * time.Second, 2 * time.Second, time.Minute}}}, nil)
	a := w.api()
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if e := a.Evictions(); (e.Held > 0) == e.Since.IsZero() {
				t.Errorf("got %+v", e)
				return
			}
		}
	})
	for round := range 50 {
		for n := range 3 {
			w.load(fmt.Sprintf("prod/web/i-%d-%d 192.0.2.1 lease=2", round, n))
		}
		w.pass(9 * time.Second)
	}
	close(done)
	asking.Wait()
}

func TestAFailingStoreIsTold(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	a := w.api()
	w.load("prod/web/a 192.0.2.1")
	if a.StoreFailing() {
		t.Error("it keeps everything, and is said to fail")
	}
	w.shelf.set(refused)
	if err := w.try(register("prod", "web", "b", "192.0.2.2")); err == nil || !a.StoreFailing() {
		t.Errorf("it refuses, got %v, and is not said to fail", err)
	}
	w.shelf.set(kept)
	w.pass(time.Second)
	if a.StoreFailing() {
		t.Error("it keeps again, and is said to fail")
	}
}

func TestASnapshotIsThatOfALoadedStore(t *testing.T) {
	if err := newShelved(t, Config{}, nil).api().Snapshot(io.Discard); err != service.ErrNoSnapshot {
		t.Errorf("in memory: got %v", err)
	}
	w := newShelved(t, Config{}, newShelf(t))
	if err := w.api().Snapshot(io.Discard); !errors.Is(err, errors.ErrUnsupported) { // the shelf's own answer
		t.Errorf("kept: got %v", err)
	}
	w.use(w.open())
	if err := w.api().Snapshot(io.Discard); err != service.ErrNotLoaded {
		t.Errorf("not loaded: got %v", err)
	}
}

// What a dry run says is what happens.
func TestDiffersIsWhatApplyDoes(t *testing.T) {
	w := newShelved(t, Config{}, nil)
	a := w.api()
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	differed := 0
	for range 2000 {
		var c service.Change
		if random.IntN(4) == 0 {
			c = parseDefinition(t, strings.Fields("prod/"+one("a", "b")+" headless "+one("", "publishNotReady", "http:80/tcp")))
		} else {
			c = parseChange(t, strings.Fields("prod/"+one("a", "b")+"/"+one("x", "y", "z.z")+" 192.0.2."+one("1", "2")+one("", " lease=30")+one("", " host=x", " host=y")+one("", " status=up", " status=down")))
			if random.IntN(2) == 0 {
				c.Instance.Lease = service.Lease{}
			}
		}
		before := w.registry.State()
		differs := a.Differs(anyone, &c, before.Snapshot)
		w.apply(c)
		if changed := w.registry.State().Revision != before.Revision; changed != differs {
			t.Fatalf("%+v %+v %+v: differs is %t, and it was changed: %t", c.ID, c.Instance, c.Definition, differs, changed)
		}
		if differs {
			differed++
		}
	}
	if differed < 500 || differed > 1900 {
		t.Errorf("%d of 2000 differed, which is no test", differed)
	}
}

var revisions = regexp.MustCompile(`"revision":\d+`)

// An export carries the table between stores: from one in memory to one that is kept, over
// a restart of that, and back.
func TestAnExportCarriesTheTable(t *testing.T) {
	from := newShelved(t, Config{}, nil)
	from.load(aShelf)
	exported := from.call("GET", "/v1/export", "")
	if !strings.Contains(exported, `"id":"pod"`) {
		t.Fatalf("got %s", exported)
	}
	to := newShelved(t, Config{}, newShelf(t))
	dry := to.call("POST", "/v1/import?dryRun=true", exported)
	if !strings.Contains(dry, `"services":{"created":1,"changed":0,"unchanged":0`) || !strings.Contains(dry, `"instances":{"created":4,"changed":0,"unchanged":0`) || len(to.shelf.objects) > 0 {
		t.Errorf("a dry run: got %s, and %d objects are kept", dry, len(to.shelf.objects))
	}
	to.call("POST", "/v1/import", exported)
	to.same()
	to.restart()
	want := revisions.ReplaceAllString(exported, "")
	if got := revisions.ReplaceAllString(to.call("GET", "/v1/export", ""), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := fmt.Sprint(to.answers(aShelfsNames...)), fmt.Sprint(from.answers(aShelfsNames...)); got != want {
		t.Errorf("DNS says\n%s\nwant\n%s", got, want)
	}
}
