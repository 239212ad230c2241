package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

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
