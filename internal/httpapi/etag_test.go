package httpapi

import (
	"net/http"
	"testing"
)

func TestObjectsCarryTheirRevision(t *testing.T) {
	w := start(t)
	if got := w.must(http.StatusCreated, "PUT", web1, oneOf4); got.header.Get("ETag") != `"101"` {
		t.Errorf("a new instance has the entity tag %s", got.header.Get("ETag"))
	}
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", oneOf4)
	for _, c := range []struct{ method, path, body, tag string }{
		{"GET", web1, "", `"101"`},
		{"HEAD", web1, "", `"101"`},
		{"PUT", web1, oneOf4, `"101"`},
		{"GET", web, "", `"102"`}, // of its last instance
		{"PUT", web, `{}`, `"103"`},
		{"PUT", web, `{}`, `"103"`},
		{"PUT", web1 + "/status", `{"status":"down"}`, `"104"`},
		{"GET", web, "", `"104"`},
		{"PUT", web1 + "/status", `{"status":"down"}`, `"104"`},
		{"DELETE", web1, "", ""},
		{"GET", "/v1/services", "", ""},
	} {
		if got := w.must(http.StatusOK, c.method, c.path, c.body); got.header.Get("ETag") != c.tag {
			t.Errorf("%s %s: got the entity tag %s, want %s", c.method, c.path, got.header.Get("ETag"), c.tag)
		}
	}
}

func TestConditionsAreHonoured(t *testing.T) {
	const ifMatch, ifNoneMatch = "If-Match", "If-None-Match"
	for _, c := range []struct {
		what    string
		headers []string
		get     int // of an object of revision 101
		write   int // the same
		create  int // of one that is not there
	}{
		{"no condition", nil, 200, 200, 201},
		{"its revision", []string{ifMatch, `"101"`}, 200, 200, 412},
		{"another revision", []string{ifMatch, `"100"`}, 412, 412, 412},
		{"its revision in a list", []string{ifMatch, `"7" , "101",W/"8"`}, 200, 200, 412},
		{"its revision in a second header", []string{ifMatch, `"7"`, ifMatch, `"101"`}, 200, 200, 412},
		{"a list with empty elements", []string{ifMatch, `, "101" ,,`}, 200, 200, 412},
		{"its revision, weakly", []string{ifMatch, `W/"101"`}, 412, 412, 412},
		{"its revision with a zero before it", []string{ifMatch, `"0101"`}, 412, 412, 412},
		{"what is no revision", []string{ifMatch, `"a,b"`}, 412, 412, 412},
		{"any", []string{ifMatch, "*"}, 200, 200, 412},
		{"any, with space", []string{ifMatch, " * "}, 200, 200, 412},
		{"no quotes", []string{ifMatch, "101"}, 400, 400, 400},
		{"half a quote", []string{ifMatch, `"101`}, 400, 400, 400},
		{"nothing", []string{ifMatch, ""}, 400, 400, 400},
		{"commas", []string{ifMatch, ",,"}, 400, 400, 400},
		{"a small w", []string{ifMatch, `w/"101"`}, 400, 400, 400},
		{"two without a comma", []string{ifMatch, `"101" "102"`}, 400, 400, 400},
		{"any and one", []string{ifMatch, `*, "101"`}, 400, 400, 400},
		{"none", []string{ifNoneMatch, "*"}, 304, 412, 201},
		{"not its revision", []string{ifNoneMatch, `"101"`}, 304, 400, 400},
		{"not its revision, weakly", []string{ifNoneMatch, `W/"101"`}, 304, 400, 400},
		{"not another revision", []string{ifNoneMatch, `"7"`}, 200, 400, 400},
		{"not what makes no sense", []string{ifNoneMatch, `x`}, 400, 400, 400},
		{"any and none", []string{ifMatch, "*", ifNoneMatch, "*"}, 304, 412, 412},
		{"another revision and none", []string{ifMatch, `"7"`, ifNoneMatch, "*"}, 412, 412, 412},
	} {
		w := start(t)
		w.must(http.StatusCreated, "PUT", web1, oneOf4)
		w.must(http.StatusCreated, "PUT", "/v1/namespaces/other/services/web/instances/a", oneOf4)
		exists := c.write
		check := func(want int, method, path, body string) {
			t.Helper()
			if got := w.do(method, path, body, c.headers...); got.code != want {
				t.Errorf("%s (%q): %s %s: got %d %s, want %d", c.what, c.headers, method, path, got.code, got.body, want)
			}
		}
		check(c.get, "GET", web1, "")
		check(c.get, "HEAD", web1, "")
		check(c.get, "GET", web, "")
		check(exists, "PUT", web1, oneOf4)
		check(exists, "PUT", web1+"/status", `{"status":"up"}`)
		beat := exists
		if beat == http.StatusOK {
			beat = http.StatusNoContent
		}
		check(beat, "PUT", web1+"/heartbeat", "")
		check(exists, "DELETE", web1, "")
		check(c.create, "PUT", "/v1/namespaces/new/services/web/instances/a", oneOf4)
		check(c.create, "PUT", "/v1/namespaces/new/services/api", `{}`)
		if c.get == http.StatusBadRequest {
			continue
		}
		check(http.StatusNotFound, "GET", "/v1/namespaces/none/services/web/instances/a", "")
	}
}

func TestAServiceIsWrittenUnderItsCondition(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	w.must(http.StatusPreconditionFailed, "PUT", web, `{}`, "If-None-Match", "*")
	w.must(http.StatusPreconditionFailed, "PUT", web, `{}`, "If-Match", `"100"`)
	w.must(http.StatusOK, "PUT", web, `{}`, "If-Match", `"101"`)
	w.must(http.StatusPreconditionFailed, "DELETE", web, "", "If-Match", `"101"`)
	w.must(http.StatusOK, "DELETE", web, "", "If-Match", `"102"`)
	got := w.must(http.StatusNotModified, "GET", "/v1/namespaces/other/services/web", "", "If-None-Match", put(w)).header
	if got.Get("ETag") == "" || got.Get("Content-Type") != "" {
		t.Errorf("304 has the header %v", got)
	}
}

// put defines a service and returns its entity tag.
func put(w *world) string {
	return w.must(http.StatusCreated, "PUT", "/v1/namespaces/other/services/web", `{}`).header.Get("ETag")
}
