package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"
)

// api returns the registry as the endpoint sees it.
func (w *world) api() *api {
	a := &api{Engine: w.Engine, serverBlocks: &serverBlocks{engine: w.Engine}}
	a.set([]*Handler{w.handler})
	if w.Store != nil {
		a.dir = "/"
	}
	return a
}

// call asks the endpoint, and fails the test unless it answers with 200.
func (w *world) call(method, path, body string) string {
	w.T.Helper()
	response := httptest.NewRecorder()
	httpapi.New(w.api(), httpapi.Options{}).Handler().ServeHTTP(response, httptest.NewRequest(method, path, strings.NewReader(body)))
	if response.Code != http.StatusOK {
		w.T.Fatalf("%s %s: got %d %s", method, path, response.Code, response.Body)
	}
	return response.Body.String()
}

func TestASnapshotIsThatOfALoadedStore(t *testing.T) {
	if err := newWorldOn(t, Config{}, nil).api().Snapshot(io.Discard); err != service.ErrNoSnapshot {
		t.Errorf("in memory: got %v", err)
	}
	w := newWorldOn(t, Config{}, enginetest.NewStore(t))
	if err := w.api().Snapshot(io.Discard); !errors.Is(err, errors.ErrUnsupported) { // the store's own answer
		t.Errorf("kept: got %v", err)
	}
	w.Use(w.Open())
	if err := w.api().Snapshot(io.Discard); err != service.ErrNotLoaded {
		t.Errorf("not loaded: got %v", err)
	}
}

var revisions = regexp.MustCompile(`"revision":\d+`)

// An export carries the table between stores: from one in memory to one that is kept, over
// a restart of that, and back.
func TestAnExportCarriesTheTable(t *testing.T) {
	const text = `
		service prod/vip clusterIP 10.0.0.1 http:80/tcp
		prod/vip/pod 192.0.2.81 http:8080/tcp
		prod/web/a 192.0.2.1 http:80/tcp lease=30
		prod/web/b 192.0.2.2 http:80/tcp lease=30
		prod/db/c 192.0.2.3 lease=30`
	names := []string{"web.prod", "a.web.prod", "b.web.prod", "db.prod", "vip.prod", "pod.vip.prod", "192.0.2.1", "192.0.2.2", "192.0.2.3", "10.0.0.1"}
	from := newWorldOn(t, Config{}, nil)
	from.Load(text)
	exported := from.call("GET", "/v1/export", "")
	if !strings.Contains(exported, `"id":"pod"`) {
		t.Fatalf("got %s", exported)
	}
	to := newWorldOn(t, Config{}, enginetest.NewStore(t))
	dry := to.call("POST", "/v1/import?dryRun=true", exported)
	if !strings.Contains(dry, `"services":{"created":1,"changed":0,"unchanged":0`) || !strings.Contains(dry, `"instances":{"created":4,"changed":0,"unchanged":0`) || len(to.Store.Objects) > 0 {
		t.Errorf("a dry run: got %s, and %d objects are kept", dry, len(to.Store.Objects))
	}
	to.call("POST", "/v1/import", exported)
	to.Same()
	to.Restart()
	want := revisions.ReplaceAllString(exported, "")
	if got := revisions.ReplaceAllString(to.call("GET", "/v1/export", ""), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := fmt.Sprint(to.Answers(names...)), fmt.Sprint(from.Answers(names...)); got != want {
		t.Errorf("DNS says\n%s\nwant\n%s", got, want)
	}
}

func TestAnImportBringsTheOwners(t *testing.T) {
	alice, bob := service.Caller{Name: "alice"}, service.Caller{Name: "bob"}
	from := newWorldOn(t, Config{}, nil)
	from.Must(from.ApplyAs(alice, from.Changes("prod/web/a 192.0.2.1\nprod/web/b 192.0.2.2 lease=30")...))
	from.Must(from.ApplyAs(bob, from.Changes("prod/web/c 192.0.2.3")...))
	to := newWorldOn(t, Config{}, nil)
	to.call("POST", "/v1/import", from.call("GET", "/v1/export", ""))
	for instance, want := range map[string]string{"a": "alice", "b": "alice", "c": "bob"} {
		if got := to.Engine.State().Instance(testkit.ID("prod", "web", instance)).Owner; got != want {
			t.Errorf("%s is %q's, want %q's", instance, got, want)
		}
	}
	if err := to.ApplyAs(bob, to.Changes("- prod/web/a")...); !errors.Is(err, service.ErrNotOwner) {
		t.Errorf("bob takes away what is alice's: got %v", err)
	}
}

// An instance whose lease has expired is gone, also while the table still has it since the store
// hangs: a service, lists, counts, metrics and DNS agree on that.
func TestWhatHasExpiredIsNeitherListedNorCounted(t *testing.T) {
	w := newWorldOn(t, Config{}, enginetest.NewStore(t))
	w.Load(`
		prod/web/gone 192.0.2.1 lease=2
		prod/web/here 192.0.2.2 lease=30
		prod/web/down 192.0.2.3 lease=2 status=down
		prod/single/gone 192.0.2.4 lease=2
		service prod/defined headless
		prod/defined/gone 192.0.2.5 lease=2
		test/only/gone 192.0.2.6 lease=2`)
	check := func(when string) {
		t.Helper()
		got := strings.Join(w.listed(), "\n")
		want := strings.Join([]string{
			"defined.prod 0, then []", "web.prod 1, then [here]",
			"namespace prod: 2 services, 1 up, 0 draining, 0 down",
			"status: 1 namespaces, 2 services, 1 up, 0 draining, 0 down",
			"metrics: 2 services, 1 instances",
		}, "\n")
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", when, got, want)
		}
		for name, want := range map[string]int{
			"web.prod": dns.RcodeSuccess, "defined.prod": dns.RcodeSuccess,
			"gone.web.prod": dns.RcodeNameError, "single.prod": dns.RcodeNameError, "only.test": dns.RcodeNameError, "test": dns.RcodeNameError,
		} {
			if m := w.ask(name+enginetest.Origin, dns.TypeA); m.Rcode != want {
				t.Errorf("%s: %s is %s, want %s", when, name, dns.RcodeToString[m.Rcode], dns.RcodeToString[want])
			}
		}
	}
	over := w.HangIn(func() { w.Load("prod/web/here 192.0.2.2 lease=31") }, enginetest.Keep)
	w.PassHung(3 * time.Second)
	check("while the store hangs")
	over()
	w.Pass(time.Second)
	check("when it does no more")
}

// listed writes down what the endpoint lists and counts, and the metrics.
func (w *world) listed() (lines []string) {
	w.T.Helper()
	read := func(path string, into any) {
		w.T.Helper()
		if err := json.Unmarshal([]byte(w.call("GET", path, "")), into); err != nil {
			w.T.Fatalf("%s: %v", path, err)
		}
	}
	type counts struct{ Namespaces, Services, Up, Draining, Down, Instances int }
	var services struct {
		Items []struct {
			Namespace, Service string
			InstanceCount      int
		}
	}
	read("/v1/services", &services)
	for _, s := range services.Items {
		var one struct {
			InstanceCount int
			Instances     []struct{ ID string }
		}
		read("/v1/namespaces/"+s.Namespace+"/services/"+s.Service, &one)
		ids := []string{}
		for _, i := range one.Instances {
			ids = append(ids, i.ID)
		}
		lines = append(lines, fmt.Sprintf("%s.%s %d, then %v", s.Service, s.Namespace, s.InstanceCount, ids))
		if one.InstanceCount != s.InstanceCount {
			w.T.Errorf("%s.%s has %d instances, and %d in the list", s.Service, s.Namespace, one.InstanceCount, s.InstanceCount)
		}
	}
	var namespaces struct {
		Items []struct {
			Namespace string
			counts
		}
	}
	read("/v1/namespaces", &namespaces)
	for _, n := range namespaces.Items {
		lines = append(lines, fmt.Sprintf("namespace %s: %d services, %d up, %d draining, %d down", n.Namespace, n.Services, n.Up, n.Draining, n.Down))
	}
	var status struct{ Counts counts }
	read("/v1/status", &status)
	c := status.Counts
	lines = append(lines, fmt.Sprintf("status: %d namespaces, %d services, %d up, %d draining, %d down", c.Namespaces, c.Services, c.Up, c.Draining, c.Down))

	const listen = "192.0.2.1:1"
	r := newRegistry(listen, "", nil, access.NewGuard(access.Rules{}), nil)
	r.engine = w.Engine
	open.add(r)
	defer open.delete(r)
	metrics := prometheus.NewPedanticRegistry()
	metrics.MustRegister(tables{})
	families, err := metrics.Gather()
	w.Must(err)
	sums := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.GetLabel()[0].GetValue() == listen {
				sums[family.GetName()] += metric.GetGauge().GetValue()
			}
		}
	}
	return append(lines, fmt.Sprintf("metrics: %v services, %v instances", sums["coredns_registry_services"], sums["coredns_registry_instances"]))
}
