package httpapi

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestListsAreInOrderAndInPages(t *testing.T) {
	w := start(t)
	var namespaces, services, ofB []string
	for _, ns := range []string{"b-c", "b", "a", "b0", "c"} {
		namespaces = append(namespaces, ns)
		for _, svc := range []string{"web-2", "web", "web0", "api"} {
			w.must(http.StatusCreated, "PUT", "/v1/namespaces/"+ns+"/services/"+svc+"/instances/1", oneOf4)
			services = append(services, ns+" "+svc)
			if ns == "b" {
				ofB = append(ofB, ns+" "+svc)
			}
		}
	}
	slices.Sort(namespaces)
	byName := func(a, b string) int { return slices.Compare(strings.Fields(a), strings.Fields(b)) }
	slices.SortFunc(services, byName)
	slices.SortFunc(ofB, byName)
	for path, want := range map[string][]string{
		"/v1/namespaces":               namespaces,
		"/v1/namespaces/b/services":    ofB,
		"/v1/namespaces/none/services": nil,
		"/v1/services":                 services,
	} {
		for _, limit := range []int{0, 1, 2, 3, len(want) - 1, len(want), len(want) + 1, 1000} {
			if got := pages(w, path, limit); !slices.Equal(got, want) {
				t.Errorf("GET %s in pages of %d: got %q, want %q", path, limit, got, want)
			}
		}
	}
}

// pages reads a list in pages of that many items, all at once where limit is not above 0.
func pages(w *world, path string, limit int) (names []string) {
	w.t.Helper()
	token := ""
	for {
		url := path + "?continue=" + token
		if limit > 0 {
			url += fmt.Sprintf("&limit=%d", limit)
		}
		got := w.must(http.StatusOK, "GET", url, "")
		items := got.get(w.t, "items").([]any)
		if limit > 0 && len(items) > limit {
			w.t.Errorf("GET %s: got %d items", url, len(items))
		}
		for _, item := range items {
			o := item.(map[string]any)
			name := o["namespace"].(string)
			if svc, ok := o["service"]; ok {
				name += " " + svc.(string)
			}
			names = append(names, name)
		}
		next, more := got.get(w.t).(map[string]any)["continue"]
		if !more {
			return names
		}
		if token = next.(string); len(items) == 0 {
			w.t.Fatalf("GET %s: a page of nothing is followed by another", url)
		}
	}
}

func TestALongListIsCutWithoutBeingAsked(t *testing.T) {
	w := start(t)
	for batch := range 2 {
		var operations []string
		for i := range 600 {
			operations = append(operations, fmt.Sprintf(`{"op":"register","namespace":"n%d-%d","service":"web","id":"a","instance":%s}`, batch, i, oneOf4))
		}
		w.must(http.StatusOK, "POST", "/v1/batch", `{"operations":[`+strings.Join(operations, ",")+`]}`)
	}
	for _, path := range []string{"/v1/namespaces", "/v1/services"} {
		first := w.must(http.StatusOK, "GET", path, "").get(t, "items").([]any)
		if all := pages(w, path, 0); len(first) != 1000 || len(all) != 1200 {
			t.Errorf("GET %s: the first page has %d items, all have %d", path, len(first), len(all))
		}
	}
}

func TestAPageThatCannotBeIsRefused(t *testing.T) {
	w := start(t)
	token := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		query string
		code  int
		field string
	}{
		{"limit=0", 422, "limit"},
		{"limit=-1", 422, "limit"},
		{"limit=1001", 422, "limit"},
		{"limit=99999999999999999999", 422, "limit"},
		{"limit=ten", 400, "limit"},
		{"limit=1.5", 400, "limit"},
		{"continue=%21", 400, "continue"},
		{"continue=" + token([]byte("a/b/c")), 400, "continue"},
		{"continue=" + token([]byte("\x00")), 400, "continue"},
		{"continue=" + token([]byte("A/b")), 400, "continue"},
	} {
		for _, path := range []string{"/v1/namespaces", "/v1/namespaces/a/services", "/v1/services"} {
			got := w.must(c.code, "GET", path+"?"+c.query, "")
			if fields := got.fields(t); len(fields) != 1 || fields[0] != c.field {
				t.Errorf("GET %s?%s: got %v, want %s", path, c.query, fields, c.field)
			}
		}
	}
	w.must(http.StatusBadRequest, "GET", "/v1/namespaces/a/services?continue="+token([]byte("b/c")), "")
	w.must(http.StatusBadRequest, "GET", "/v1/namespaces?continue="+token([]byte("b/c")), "")
	w.must(http.StatusBadRequest, "GET", "/v1/services?continue="+token([]byte("b")), "")
	w.must(http.StatusBadRequest, "GET", "/v1/services?limit=%zz", "")
	w.must(http.StatusOK, "GET", "/v1/services?limit=1&limit=0&other=x", "")
}

func TestListsTellHowMuchThereIs(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, `{"addresses":["192.0.2.7"],"status":"draining"}`)
	w.must(http.StatusCreated, "PUT", web+"/instances/web-2", oneOf4)
	w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/api", `{"type":"externalName","externalName":"example.org"}`)
	for path, want := range map[string]string{
		"/v1/namespaces": `{"items":[{"namespace":"default","services":2,"instances":2,"up":1,"draining":1,"down":0}]}`,
		"/v1/services": `{"items":[
			{"namespace":"default","service":"api","defined":true,"type":"externalName","externalName":"example.org","ports":[],"publishNotReady":false,"metadata":{},"revision":103,"instanceCount":0},
			{"namespace":"default","service":"web","defined":false,"type":"headless","ports":[],"publishNotReady":false,"metadata":{},"revision":102,"instanceCount":2}]}`,
	} {
		if got := w.must(http.StatusOK, "GET", path, "").body; got != compact(t, want) {
			t.Errorf("GET %s: got\n%s\nwant\n%s", path, got, compact(t, want))
		}
	}
	got := w.must(http.StatusOK, "GET", "/v1/status", "")
	want := `{"ready":true,"revision":103,"version":"v0.0.1","store":"memory","counts":{"namespaces":1,"services":2,"instances":2,"up":1,"draining":1,"down":0,"leased":0},"evictions":{"held":0,"percent":0,"floor":0,"spanSeconds":0,"since":null}}`
	if got.body != want {
		t.Errorf("GET /v1/status: got %s, want %s", got.body, want)
	}
	instances := w.must(http.StatusOK, "GET", web, "").get(t, "instances").([]any)
	var ids []string
	for _, i := range instances {
		ids = append(ids, i.(map[string]any)["id"].(string))
	}
	if !slices.Equal(ids, []string{"web-1", "web-2"}) {
		t.Errorf("the service has the instances %v", ids)
	}
}

func TestExplanationsAreAsked(t *testing.T) {
	w := start(t)
	var name string
	var qtype uint16
	w.memory.explained = func(n string, q uint16) Explanation {
		name, qtype = n, q
		return Explanation{
			Zone: "cluster.local.", Outcome: "found", Rcode: "NOERROR", Answer: []string{"a. 5 IN A 192.0.2.7"},
			Instances: []ExplainedInstance{{Answered: true, Reason: "is up"}},
		}
	}
	w.memory.explained("", 0)
	for _, c := range []struct {
		query string
		name  string
		qtype uint16
	}{
		{"name=web.default.svc.cluster.local", "web.default.svc.cluster.local.", 1},
		{"name=Web.example.org.&type=srv", "Web.example.org.", 33},
		{"name=.&type=TYPE65280", ".", 65280},
		{"name=a&type=&x=y", "a.", 1},
	} {
		name, qtype = "", 0
		w.client.CloseIdleConnections()
		got := w.raw("GET /v1/explain?" + c.query + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got.code != http.StatusOK || name != c.name || qtype != c.qtype {
			t.Errorf("%s: got %d, asked for %s %d, want %s %d", c.query, got.code, name, qtype, c.name, c.qtype)
		}
		if got.get(t, "answer").([]any)[0] != "a. 5 IN A 192.0.2.7" || len(got.get(t, "authority").([]any)) != 0 {
			t.Errorf("%s: got %s", c.query, got.body)
		}
	}
	for query, fields := range map[string][]string{
		"":                                {"name"},
		"name=":                           {"name"},
		"name=a..b":                       {"name"},
		"name=a&type=B":                   {"type"},
		"name=a&type=TYPE65536":           {"type"},
		"type=1":                          {"name", "type"},
		"name=" + fmt.Sprintf("%064d", 1): {"name"},
	} {
		if got := w.must(http.StatusUnprocessableEntity, "GET", "/v1/explain?"+query, "").fields(t); !slices.Equal(got, fields) {
			t.Errorf("%s: got %v, want %v", query, got, fields)
		}
	}
	w.must(http.StatusBadRequest, "GET", "/v1/explain?name=%z", "")
}
