package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
)

// everything fills a registry with something of every kind, so many times.
func everything(w *world, times int) {
	w.t.Helper()
	for n := range times {
		ns := fmt.Sprintf("/v1/namespaces/ns-%d/services/", n)
		for _, put := range []struct{ path, body string }{
			{"vip", `{"type":"clusterIP","clusterIPs":["192.0.2.1","2001:db8::1"],"ports":[{"name":"http","port":80},{"protocol":"udp","port":53}]}`},
			{"out", `{"type":"externalName","externalName":"example.org.","metadata":{"a":"=\u2028"}}`},
			{"web", `{"publishNotReady":true}`},
			{"web/instances/web-1", oneOf4},
			{"web/instances/all", `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","port":80}],"hostname":"www","weight":0,"priority":7,"zone":"z","metadata":{"k":"v"},"leaseSeconds":60,"status":"draining"}`},
			{"lone/instances/a:b_c", `{"addresses":["192.0.2.8"],"leaseSeconds":0,"status":"down"}`},
		} {
			w.must(http.StatusCreated, "PUT", ns+put.path, put.body)
		}
	}
}

var revisions = regexp.MustCompile(`"revision":\d+`)

// export returns the export, without revisions.
func (w *world) export() string {
	w.t.Helper()
	return revisions.ReplaceAllString(w.must(http.StatusOK, "GET", "/v1/export", "").body, `"revision":0`)
}

func TestAnExportHasAllThatWasSaid(t *testing.T) {
	w := start(t)
	if got, want := w.export(), "{\"format\":2,\"revision\":0,\"services\":[\n],\"instances\":[\n]}\n"; got != want {
		t.Errorf("of nothing: got\n%s\nwant\n%s", got, want)
	}
	everything(w, 1)
	want := `{"format":2,"revision":0,"services":[
{"namespace":"ns-0","service":"out","type":"externalName","externalName":"example.org.","ports":[],"publishNotReady":false,"metadata":{"a":"=` + "\u2028" + `"},"revision":0},
{"namespace":"ns-0","service":"vip","type":"clusterIP","clusterIPs":["192.0.2.1","2001:db8::1"],"ports":[{"name":"http","protocol":"tcp","port":80},{"protocol":"udp","port":53}],"publishNotReady":false,"metadata":{},"revision":0},
{"namespace":"ns-0","service":"web","type":"headless","ports":[],"publishNotReady":true,"metadata":{},"revision":0}
],"instances":[
{"namespace":"ns-0","service":"lone","id":"a:b_c","addresses":["192.0.2.8"],"ports":[],"priority":0,"metadata":{},"leaseSeconds":0,"status":"down","revision":0},
{"namespace":"ns-0","service":"web","id":"all","addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","protocol":"tcp","port":80}],"hostname":"www","weight":0,"priority":7,"zone":"z","metadata":{"k":"v"},"leaseSeconds":60,"status":"draining","revision":0},
{"namespace":"ns-0","service":"web","id":"web-1","addresses":["192.0.2.7"],"ports":[],"hostname":"web-1","priority":0,"metadata":{},"leaseSeconds":30,"status":"up","revision":0}
]}
`
	if got := w.export(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got := w.must(http.StatusOK, "GET", "/v1/export", "")
	if revision := fmt.Sprint(got.get(t, "revision")); revision != fmt.Sprint(w.memory.State().Revision) {
		t.Errorf("got the revision %s", revision)
	}
	if name := got.header.Get("Content-Disposition"); name != `attachment; filename="registry.json"` {
		t.Errorf("got the name %s", name)
	}
	if head := w.must(http.StatusOK, "HEAD", "/v1/export", ""); head.body != "" || head.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: got %+v", head)
	}
}

func TestAnExportImportedIsExportedTheSame(t *testing.T) {
	for _, times := range []int{0, 1, 100} { // the last is larger than what is written at once
		from, to := start(t), start(t)
		everything(from, times)
		exported := from.export()
		if times == 100 && len(exported) < 3*fullStream {
			t.Fatalf("%d bytes are no test", len(exported))
		}
		got := to.must(http.StatusOK, "POST", "/v1/import", exported)
		want := fmt.Sprintf(`{"dryRun":false,"revision":%d,"services":{"created":%d,"changed":0,"unchanged":0},"instances":{"created":%[2]d,"changed":0,"unchanged":0}}`,
			firstRevision+min(times, 1), 3*times)
		if got.body != want {
			t.Errorf("got %s, want %s", got.body, want)
		}
		if got := to.export(); got != exported {
			t.Errorf("%d times: got\n%.2000s\nwant\n%.2000s", times, got, exported)
		}
	}
}
