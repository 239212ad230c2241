package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// end makes the lease of an instance of default/web end, and leaves it in the table as a
// store does that hangs.
func (w *world) end(id string) {
	w.t.Helper()
	state := w.memory.table.Load()
	l := state.Instance(service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: id}).Lease()
	state.Leases().Add(l) // no other is on it
	state.Leases().Due(lease.Time(time.Hour), lease.Rule{Percent: 100})
	if !l.Ended() {
		w.t.Fatalf("the lease of %s has not ended", id)
	}
}

func TestWhatHasEndedIsGoneThoughTheTableHasIt(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", oneOf4)
	known := w.must(http.StatusOK, "GET", web, "").header.Get("Etag")
	w.must(http.StatusNotModified, "GET", web, "", "If-None-Match", known)

	w.end("web-1")
	w.must(http.StatusNotFound, "GET", web1, "")
	w.must(http.StatusNotFound, "HEAD", web1, "")
	got := w.must(http.StatusOK, "GET", web, "", "If-None-Match", known)
	if strings.Contains(got.body, "web-1") || !strings.Contains(got.body, "web-2") || !strings.Contains(got.body, `"instanceCount":1`) {
		t.Errorf("one of two has ended: got %s", got.body)
	}
	w.must(http.StatusPreconditionFailed, "GET", web, "", "If-Match", `"7"`)
	if got := w.must(http.StatusOK, "GET", "/v1/export", "").body; strings.Contains(got, "web-1") || !strings.Contains(got, "web-2") {
		t.Errorf("one of two has ended: got the export %s", got)
	}

	w.end("web-2")
	w.must(http.StatusNotFound, "GET", web, "")
	w.must(http.StatusOK, "PUT", web, `{}`)
	if got := w.must(http.StatusOK, "GET", web, ""); !strings.Contains(got.body, `"instanceCount":0,"instances":[]`) {
		t.Errorf("all have ended, and the service is defined: got %s", got.body)
	}
	got = w.must(http.StatusOK, "POST", "/v1/import?dryRun=true", `{"format":1,"instances":[{"namespace":"default","service":"web","id":"web-2","addresses":["192.0.2.7"]}]}`)
	if !strings.Contains(got.body, `"instances":{"created":1,"changed":0,"unchanged":0`) {
		t.Errorf("what has ended is created anew: got %s", got.body)
	}
}
