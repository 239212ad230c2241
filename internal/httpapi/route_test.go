package httpapi

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPathsAreTakenAsWritten(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	for _, c := range []struct {
		what, path string
		code       int
	}{
		{"an instance", web1, 200},
		{"one with an escape that none needs", "/v1/namespaces/default/services/web/instances/web%2d1", 200},
		{"an escape in a fixed part", "/v1/n%61mespaces/default/services/web/instances/web-1", 200},
		{"a query", web1 + "?a=../..", 200},
		{"the whole URL", "http://registry.example.org" + web1, 200},
		{"a slash at the end", web1 + "/", 404},
		{"a slash at the end of a list", "/v1/namespaces/", 404},
		{"a slash at the beginning", "/" + web1, 404},
		{"two slashes in the middle", "/v1//namespaces", 404},
		{"an empty name", "/v1/namespaces//services/web", 404},
		{"..", "/v1/x/../namespaces", 404},
		{".", "/v1/./namespaces", 404},
		{".. as an id", web + "/instances/..", 404},
		{".. as an id, escaped", web + "/instances/%2e%2E", 404},
		{". as an id, half escaped", web + "/instances/%2e", 404},
		{".. at the end", "/v1/namespaces/default/..", 404},
		{"an encoded slash", web + "/instances%2Fweb-1", 404},
		{"an encoded slash in a name", web + "/instances/a%2fb", 404},
		{"an escape escaped", web + "/instances/web%252d1", 404},
		{"capital letters", strings.ToUpper(web1), 404},
		{"names that cannot be", "/v1/namespaces/Default/services/web/instances/web-1", 404},
		{"a namespace that cannot be", "/v1/namespaces/_/services", 404},
		{"an id with a space", web + "/instances/a%20b", 404},
		{"an id that is not UTF-8", web + "/instances/%ff", 404},
		{"an id with a zero in it", web + "/instances/%00", 404},
		{"the root", "/", 404},
		{"nothing", "http://registry.example.org", 404},
		{"another version", "/v2/namespaces", 404},
		{"more parts than any path has", strings.Repeat("/a", 50), 404},
	} {
		got := w.raw("GET " + c.path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got.code != c.code || got.header.Get("Location") != "" {
			t.Errorf("%s: GET %s: got %d %s, want %d", c.what, c.path, got.code, got.body, c.code)
		}
		if got.code == http.StatusNotFound {
			got.fields(t)
		}
	}
	if got := w.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); got.code != http.StatusNotFound {
		t.Errorf("OPTIONS *: got %d, want 404", got.code)
	}
	// What a PUT names may be new, so that what is wrong with the name is the answer.
	for path, field := range map[string]string{
		"/v1/namespaces/default/services/web/instances/a%20b": "id",
		"/v1/namespaces/default/services/web/instances/%ff":   "id",
		"/v1/namespaces/default/services/Web/instances/a":     "service",
		"/v1/namespaces/-/services/web":                       "namespace",
	} {
		body := oneOf4
		if field == "namespace" {
			body = `{}`
		}
		got := w.must(http.StatusUnprocessableEntity, "PUT", path, body)
		if fields := got.fields(t); len(fields) != 1 || fields[0] != field {
			t.Errorf("PUT %s: got %v, want %s", path, fields, field)
		}
	}
}

func TestAMethodThatAPathHasNotIsToldWhichItHas(t *testing.T) {
	w := start(t)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", web1, "GET, HEAD, PUT, DELETE"},
		{"PATCH", web, "GET, HEAD, PUT, DELETE"},
		{"OPTIONS", web, "GET, HEAD, PUT, DELETE"},
		{"TRACE", web, "GET, HEAD, PUT, DELETE"},
		{"get", web, "GET, HEAD, PUT, DELETE"},
		{"POST", web1 + "/heartbeat", "PUT"},
		{"GET", web1 + "/status", "PUT"},
		{"HEAD", "/v1/batch", "POST"},
		{"GET", "/v1/heartbeats", "POST"},
		{"DELETE", "/v1/namespaces", "GET, HEAD"},
		{"PUT", "/v1/status", "GET, HEAD"},
		{"POST", "/v1/watch", "GET, HEAD"},
	} {
		got := w.must(http.StatusMethodNotAllowed, c.method, c.path, "")
		if got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: allowed is %q, want %q", c.method, c.path, got.header.Get("Allow"), c.allow)
		}
	}
}

func TestHEADIsThereWhereverGETIs(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	for _, path := range []string{web1, web, "/v1/services", "/v1/namespaces", "/v1/namespaces/default/services", "/v1/status", "/openapi.json",
		"/v1/explain?name=a", "/v1/watch", web + "/instances/none"} {
		head := w.do("HEAD", path, "")
		if path == "/v1/watch" {
			if head.code != http.StatusOK || head.header.Get("Content-Type") != "application/x-ndjson" {
				t.Errorf("HEAD %s: got %+v", path, head)
			}
			continue
		}
		get := w.do("GET", path, "")
		if head.code != get.code || head.body != "" {
			t.Errorf("HEAD %s: got %d %q, want %d", path, head.code, head.body, get.code)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Etag"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("HEAD %s: %s is %q, for GET it is %q", path, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
}

func TestEveryRequestIsObservedOnceWithItsRoute(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	w := start(t, func(o *Options) {
		o.Observe = func(route string, code int, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen[route+" "+http.StatusText(code)]++
			if took < 0 {
				t.Errorf("%s took %s", route, took)
			}
		}
	})
	w.do("PUT", web1, oneOf4)
	w.do("PUT", web1, oneOf4)
	w.do("PUT", web1, `{}`)
	w.do("HEAD", web1, "")
	w.do("GET", "/v1/"+strings.Repeat("x", 1000), "")
	w.do("DELETE", "/v1/status", "")
	w.do("HEAD", "/v1/watch", "")
	w.stop()
	want := map[string]int{
		"PUT instance Created":              1,
		"PUT instance OK":                   1,
		"PUT instance Unprocessable Entity": 1,
		"GET instance OK":                   1,
		"other Not Found":                   1,
		"other Method Not Allowed":          1,
		"GET watch OK":                      1,
	}
	for key, n := range want {
		if seen[key] != n {
			t.Errorf("%s: seen %d times, want %d", key, seen[key], n)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}
