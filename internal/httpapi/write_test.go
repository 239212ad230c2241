package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The life of an instance, a request a row.
func TestTheLifeOfAnInstance(t *testing.T) {
	w := start(t)
	none := web + "/instances/none"
	for _, c := range []struct {
		what, method, path, body string
		code                     int
		member, value            string // of the answer, if it has one to be looked at
	}{
		{"nothing is there", "GET", web1, "", 404, "", ""},
		{"nor its service", "GET", web, "", 404, "", ""},
		{"a heartbeat says so", "PUT", web1 + "/heartbeat", "", 404, "", ""},
		{"it registers", "PUT", web1, oneOf4, 201, "revision", "101"},
		{"it does so again", "PUT", web1, oneOf4, 200, "revision", "101"},
		{"it is there", "GET", web1, "", 200, "status", "up"},
		{"so is its service", "GET", web, "", 200, "instanceCount", "1"},
		{"it sends a heartbeat", "PUT", web1 + "/heartbeat", "", 204, "", ""},
		{"it has another port", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":80}]}`, 200, "revision", "102"},
		{"an operator drains it", "PUT", web1 + "/status", `{"status":"draining"}`, 200, "revision", "103"},
		{"that is told", "GET", web1, "", 200, "status", "draining"},
		{"it registers and is drained still", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":80}]}`, 200, "status", "draining"},
		{"its service is defined", "PUT", web, `{"publishNotReady":true}`, 200, "defined", "true"},
		{"again", "PUT", web, `{"publishNotReady":true}`, 200, "revision", "104"},
		{"it goes", "DELETE", web1, "", 200, "revision", "105"},
		{"it is gone", "DELETE", web1, "", 404, "", ""},
		{"its service is defined still", "GET", web, "", 200, "instanceCount", "0"},
		{"the service goes", "DELETE", web, "", 200, "revision", "106"},
		{"it is gone too", "DELETE", web, "", 404, "", ""},
		{"no status of what is not there", "PUT", none + "/status", `{"status":"up"}`, 404, "", ""},
		{"nor of what cannot be", "PUT", web + "/instances/a%20b/status", `{"status":"up"}`, 404, "", ""},
		{"even if it is wrong", "PUT", web + "/instances/a%20b/status", `{`, 404, "", ""},
		{"what cannot be goes not", "DELETE", "/v1/namespaces/A/services/web/instances/a", "", 404, "", ""},
		{"nor does its service", "DELETE", "/v1/namespaces/A/services/web", "", 404, "", ""},
		{"and it sends no heartbeats", "PUT", "/v1/namespaces/A/services/web/instances/a/heartbeat", "", 404, "", ""},
		{"a service is defined anew", "PUT", web, `{}`, 201, "instanceCount", "0"},
	} {
		got := w.do(c.method, c.path, c.body)
		if got.code != c.code {
			t.Errorf("%s: got %d %s, want %d", c.what, got.code, got.body, c.code)
		}
		if c.member == "" {
			continue
		}
		value, _ := json.Marshal(got.get(t, c.member))
		if strings.Trim(string(value), `"`) != c.value {
			t.Errorf("%s: %s is %s, want %s", c.what, c.member, value, c.value)
		}
	}
}

func TestNoCacheHoldsWhatMayStop(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	before := time.Now()
	got := w.must(http.StatusOK, "DELETE", web1, "").get(t, "safeToStopAt").(string)
	at, err := time.Parse(time.RFC3339, got)
	if err != nil || at.Before(before.Add(5*time.Second)) || at.After(time.Now().Add(6*time.Second)) || strings.Contains(got, ".") {
		t.Errorf("at %s it was told to be safe from %s on (%v)", before, got, err)
	}
	if got := string(momentAfter(nil, time.Unix(7, 0))); got != `"1970-01-01T00:00:07Z"` {
		t.Errorf("a whole second is rounded up to %s", got)
	}
	if got := string(momentAfter(nil, time.Unix(7, 1))); got != `"1970-01-01T00:00:08Z"` {
		t.Errorf("a little more is rounded up to %s", got)
	}
}

func TestHeartbeatsTellWhoMustRegisterAgain(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	got := w.must(http.StatusOK, "POST", "/v1/heartbeats", `{"instances":[
		{"namespace":"default","service":"web","id":"web-1"},
		{"namespace":"default","service":"web","id":"web-2"},
		{"namespace":"Default","service":"","id":"/\u0000"},
		{"namespace":"default","service":"web","id":"web-1"}]}`)
	want := `{"unknown":[{"namespace":"default","service":"web","id":"web-2"},{"namespace":"Default","service":"","id":"/\u0000"}],"renewed":2}`
	if got.body != want || w.memory.renewals.Load() != 2 {
		t.Errorf("got %s and %d renewals, want %s", got.body, w.memory.renewals.Load(), want)
	}
}

func TestABatchIsAnsweredAsItsOperationsAlone(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	const id = `"namespace":"default","service":"web","id":`
	got := w.must(http.StatusOK, "POST", "/v1/batch", `{"operations":[
		{"op":"register",`+id+`"web-2","instance":`+oneOf4+`},
		{"op":"register",`+id+`"web-1","instance":`+oneOf4+`},
		{"op":"heartbeat",`+id+`"web-1"},
		{"op":"status",`+id+`"web-1","status":"down"},
		{"instance":{"namespace":7,"addresses":["192.0.2.8"]},"id":"web-3","service":"api","namespace":"default","op":"register"},
		{"op":"deregister",`+id+`"web-2"}]}`)
	results := got.get(t, "results").([]any)
	last := results[len(results)-1].(map[string]any)
	safe, _ := last["safeToStopAt"].(string)
	want := `{"revision":102,"results":[{"status":201,"revision":102},{"status":200,"revision":101},{"status":204,"revision":101},
		{"status":200,"revision":102},{"status":201,"revision":102},{"status":200,"revision":102,"safeToStopAt":"` + safe + `"}]}`
	if got.body != compact(t, want) || safe == "" {
		t.Errorf("got  %s\nwant %s", got.body, compact(t, want))
	}
	// All or none.
	w.must(http.StatusUnprocessableEntity, "POST", "/v1/batch", `{"operations":[{"op":"deregister",`+id+`"web-1"},{"op":"deregister",`+id+`"web-2"}]}`)
	w.must(http.StatusOK, "GET", web1, "")
}
