package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/service"
)

// populate registers an instance in each of these services, in namespaces a to c.
func populate(w *world) {
	w.t.Helper()
	for _, name := range []string{"a/api", "a/db", "a/web", "b/api", "b/db", "c/db", "c/web"} {
		namespace, svc, _ := strings.Cut(name, "/")
		for n, status := range []string{"up", "draining"} {
			w.must(http.StatusCreated, "PUT", fmt.Sprintf("/v1/namespaces/%s/services/%s/instances/%s-%d", namespace, svc, svc, n),
				`{"addresses":["192.0.2.7"],"status":"`+status+`"}`, as("root")...)
		}
	}
}

// shown lists all there is, so many items a page, and returns the items and the tokens in
// between as they are meant.
func (w *world) shown(path string, limit int, who string) (items, tokens []string) {
	w.t.Helper()
	for next := ""; ; {
		got := w.must(http.StatusOK, "GET", fmt.Sprintf("%s?limit=%d&continue=%s", path, limit, url.QueryEscape(next)), "", as(who)...)
		var page struct {
			Items    []map[string]any
			Continue string
		}
		if err := json.Unmarshal([]byte(got.body), &page); err != nil {
			w.t.Fatal(err)
		}
		if len(page.Items) > limit || page.Continue != "" && len(page.Items) < limit {
			w.t.Errorf("%s: a page of %d has %s", path, limit, got.body)
		}
		for _, i := range page.Items {
			if i["service"] != nil {
				items = append(items, fmt.Sprintf("%v/%v", i["namespace"], i["service"]))
			} else {
				items = append(items, fmt.Sprintf("%v %v/%v/%v/%v/%v", i["namespace"], i["services"], i["instances"], i["up"], i["draining"], i["down"]))
			}
		}
		if page.Continue == "" {
			return items, tokens
		}
		next = page.Continue
		token, err := base64.RawURLEncoding.DecodeString(next)
		if err != nil {
			w.t.Fatal(err)
		}
		tokens = append(tokens, string(token))
	}
}

func TestListsHaveWhatMayBeRead(t *testing.T) {
	d := newGate(t, "root admin", "web read:*/web", "b write:b/*", "mix read:a/web read:b/api", "none read:x/y", "all read:*/*")
	w := start(t, d.guards)
	populate(w)
	for _, c := range []struct{ who, path, want string }{
		{"root", "/v1/services", "a/api a/db a/web b/api b/db c/db c/web"},
		{"all", "/v1/services", "a/api a/db a/web b/api b/db c/db c/web"},
		{"web", "/v1/services", "a/web c/web"},
		{"b", "/v1/services", "b/api b/db"},
		{"mix", "/v1/services", "a/web b/api"},
		{"none", "/v1/services", ""},
		{"web", "/v1/namespaces/a/services", "a/web"},
		{"web", "/v1/namespaces/b/services", ""},
		{"mix", "/v1/namespaces/a/services", "a/web"},
		{"mix", "/v1/namespaces/c/services", ""},
		{"mix", "/v1/namespaces/none/services", ""},
		{"root", "/v1/namespaces", "a 3/6/3/3/0,b 2/4/2/2/0,c 2/4/2/2/0"},
		{"all", "/v1/namespaces", "a 3/6/3/3/0,b 2/4/2/2/0,c 2/4/2/2/0"},
		{"web", "/v1/namespaces", "a 1/2/1/1/0,c 1/2/1/1/0"},
		{"b", "/v1/namespaces", "b 2/4/2/2/0"},
		{"mix", "/v1/namespaces", "a 1/2/1/1/0,b 1/2/1/1/0"},
		{"none", "/v1/namespaces", ""},
	} {
		separator := " "
		if c.path == "/v1/namespaces" {
			separator = ","
		}
		for _, limit := range []int{1, 2, 1000} {
			items, tokens := w.shown(c.path, limit, c.who)
			if got := strings.Join(items, separator); got != c.want {
				t.Errorf("%s as %s, %d a page: got %s, want %s", c.path, c.who, limit, got, c.want)
			}
			for _, token := range tokens { // they have the name of what is on the page, and of nothing else
				if !slices.ContainsFunc(items, func(item string) bool { return item == token || strings.HasPrefix(item, token+" ") }) {
					t.Errorf("%s as %s: a token has %s", c.path, c.who, token)
				}
			}
			// A last page says so, whatever follows that may not be read.
			if want := max(0, (len(items)-1)/limit); len(tokens) != want {
				t.Errorf("%s as %s, %d a page: %d pages follow, want %d", c.path, c.who, limit, len(tokens), want)
			}
		}
	}
	// A token made by hand names a place, there or not, and shows nothing of it.
	for _, at := range []string{"a/api", "a/apj"} {
		got := w.must(http.StatusOK, "GET", "/v1/services?limit=1&continue="+base64.RawURLEncoding.EncodeToString([]byte(at)), "", as("web")...)
		if !strings.Contains(got.body, `"service":"web"`) || strings.Contains(got.body, "api") {
			t.Errorf("from %s on: got %s", at, got.body)
		}
	}
}

func TestAnExportHasWhatMayBeRead(t *testing.T) {
	d := newGate(t, "root admin", "web read:*/web")
	w := start(t, d.guards)
	populate(w)
	w.must(http.StatusOK, "PUT", "/v1/namespaces/a/services/web", `{}`, as("root")...)
	w.must(http.StatusOK, "PUT", "/v1/namespaces/a/services/db", `{}`, as("root")...)
	for who, want := range map[string]int{"root": 7*2 + 2, "web": 2*2 + 1} {
		got := w.must(http.StatusOK, "GET", "/v1/export", "", as(who)...)
		if n := strings.Count(got.body, `"namespace"`); n != want {
			t.Errorf("as %s: got %d objects, want %d\n%s", who, n, want, got.body)
		}
		if who == "web" && (strings.Contains(got.body, `"db`) || strings.Contains(got.body, `"api`)) {
			t.Errorf("as %s: got\n%s", who, got.body)
		}
		if !strings.Contains(got.body, `"owner":"root"`) {
			t.Errorf("as %s: nobody owns\n%s", who, got.body)
		}
	}
}

func TestAWatcherIsToldOfWhatItMayRead(t *testing.T) {
	d := newGate(t, "root admin", "web read:*/web")
	inBubble(t, func(w *world) {
		put := func(code int, path, body string) {
			t.Helper()
			w.must(code, "PUT", "/v1/namespaces/"+path, body, as("root")...)
		}
		put(201, "a/services/db/instances/1", oneOf4)  // 101
		put(201, "a/services/web/instances/1", oneOf4) // 102
		put(201, "b/services/db", `{}`)                // 103
		live := w.watch("", as("web")...)
		live.hears("the state", "103 put instance a/web/1 more", "103 synced")
		events := w.watch("?since=100", append(as("web"), "Accept", "text/event-stream")...)
		for _, want := range []string{"id: 102", `data: {"revision":102,`, "", "id: 103", `data: {"revision":103,"type":"synced"}`, ""} {
			if got := events.line(); !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("an event stream: got %s, want %s", got, want)
			}
		}
		resumed := w.watch("?since=101", as("web")...)
		resumed.hears("what was missed", "102 put instance a/web/1", "103 synced")
		elsewhere := w.watch("?namespace=b", as("web")...)
		elsewhere.hears("nothing there may be read, yet", "103 synced")

		put(200, "a/services/db/instances/1", `{"addresses":["192.0.2.8"]}`) // 104
		w.must(http.StatusOK, "DELETE", "/v1/namespaces/a/services/db", "", as("root")...)
		for _, l := range []*listener{live, resumed, elsewhere} {
			l.silent()
		}
		put(201, "b/services/web/instances/1", oneOf4) // 106
		for _, l := range []*listener{live, resumed, elsewhere} {
			l.hears("what may be read", "106 put instance b/web/1")
		}
		// The last of a revision that is told is the last of those that may be.
		w.must(http.StatusOK, "POST", "/v1/batch", `{"operations":[
			{"op":"register","namespace":"a","service":"web","id":"2","instance":`+oneOf4+`},
			{"op":"register","namespace":"a","service":"web","id":"3","instance":`+oneOf4+`},
			{"op":"register","namespace":"a","service":"db","id":"9","instance":`+oneOf4+`}]}`, as("root")...)
		live.hears("a batch", "107 put instance a/web/2 more", "107 put instance a/web/3")
		w.must(http.StatusOK, "DELETE", "/v1/namespaces/a/services/web", "", as("root")...)
		live.hears("its end", "108 delete instance a/web/1 more", "108 delete instance a/web/2 more", "108 delete instance a/web/3 more", "108 delete service a/web")
	}, d.guards)
}

func TestAWatchOfWhatMayNotBeReadIsRefused(t *testing.T) {
	d := newGate(t, "root admin", "one read:a/web", "web read:*/web", "a read:a/*")
	w := start(t, d.guards)
	populate(w)
	for query, may := range map[string]string{
		"":                                    "root one web a",
		"?namespace=a":                        "root one web a",
		"?namespace=b":                        "root web", // there is no web in it, and there could be
		"?namespace=none":                     "root web",
		"?namespace=a&service=web":            "root one web a",
		"?namespace=a&service=db":             "root a",
		"?namespace=a&service=none":           "root a",
		"?namespace=b&service=web":            "root web",
		"?namespace=b&service=db":             "root",
		"?namespace=b&service=db&x=a":         "root",
		"?service=web":                        "",
		"?namespace=*":                        "",
		"?namespace=a&service=*":              "",
		"?namespace=%2A&service=web":          "",
		"?namespace=b&namespace=a":            "root web", // the first counts
		"?namespace=b&since=1":                "root web",
		"?namespace=b&service=db&since=99999": "root",
	} {
		for _, who := range []string{"root", "one", "web", "a"} {
			got := w.do("HEAD", "/v1/watch"+query, "", as(who)...)
			may, wrong := slices.Contains(strings.Fields(may), who), may == ""
			refused := got.code == http.StatusForbidden
			if wrong && got.code != http.StatusUnprocessableEntity || !wrong && refused == may {
				t.Errorf("watch%s as %s: got %d", query, who, got.code)
			}
		}
	}
}

func TestAStreamEndsWithTheRightToIt(t *testing.T) {
	begun := []string{"root admin", "web read:default/web"}
	for _, c := range []struct {
		what  string
		lines []string
		goes  bool
	}{
		{"other lines", append([]string{"new read:*/*"}, begun...), true},
		{"revoked", []string{"root admin"}, false},
		{"other grants", []string{"root admin", "web read:default/api"}, false},
		{"fewer grants", []string{"root admin", "web read:default/none"}, false},
		{"more grants", []string{"root admin", "web write:default/web"}, false},
	} {
		for _, after := range []string{"a change", "a change elsewhere", "nothing"} {
			d := newGate(t, begun...)
			inBubble(t, func(w *world) {
				w.must(http.StatusCreated, "PUT", web1, oneOf4, as("root")...)
				l := w.watch("?since=101", as("web")...)
				l.hears("what is there", "101 synced")
				d.change(c.lines...)
				want := "102 put instance default/web/web-1"
				switch after {
				case "a change":
					w.must(http.StatusOK, "PUT", web1, `{"addresses":["192.0.2.8"]}`, as("root")...)
				case "a change elsewhere":
					w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/secret", `{}`, as("root")...)
					want = ""
				case "nothing":
					want = ""
				}
				began := time.Now()
				if !c.goes {
					want = "[EOF]" // the end of a stream that is whole, and nothing before it
				}
				if got := l.next(); got != want {
					t.Errorf("%s, then %s: got %q, want %q", c.what, after, got, want)
				}
				if took := time.Since(began); took > keepAliveEvery {
					t.Errorf("%s, then %s: it took %s", c.what, after, took)
				}
				synctest.Wait()
			}, d.guards)
		}
	}
}

// A stream that is cut off in the middle of the state has told nothing after the grant went.
func TestAStreamEndsInTheMiddleOfTheState(t *testing.T) {
	d := newGate(t, "root admin", "web read:default/web")
	inBubble(t, func(w *world) {
		var changes []service.Change
		for n := range 3000 {
			changes = append(changes, service.Change{Op: service.Register,
				ID:       service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: fmt.Sprintf("%04d", n)},
				Instance: &service.Instance{Addresses: []addr{one}}})
		}
		if _, _, err := w.memory.Apply(anyone, changes, time.Now()); err != nil {
			t.Fatal(err)
		}
		l := w.watch("", as("web")...)
		synctest.Wait() // a pipe holds nothing: the server waits with its first piece
		d.change("root admin")
		lines, last := 0, ""
		for ; !strings.HasPrefix(last, "["); lines++ {
			last = l.line()
		}
		if last != "[EOF]" || lines > 3*fullStream/150 {
			t.Errorf("%d lines came, and then %s", lines, last)
		}
	}, d.guards)
}
