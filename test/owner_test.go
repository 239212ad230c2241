package test

import (
	"net/http"
	"strings"
	"testing"
)

// What one credential has registered no other may touch, over restarts too; what was registered
// before there were credentials belongs to who takes it.
func TestInstancesBelongToWhoRegisteredThem(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	s := startGuarded(t, f, guarded("store disk {$FILES}/store"))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "ownerless"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "untouched"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	s.stop(t)

	root, a, b := newToken(), newToken(), newToken()
	f.setTokens(t, tokenLine("root", root, "admin"), tokenLine("a", a, "write:default/*"), tokenLine("b", b, "write:*/web", "write:*/alias"))
	corefile := guarded("store disk {$FILES}/store\ntokens {$FILES}/tokens")
	s = startGuarded(t, f, corefile)
	asA := s.as(t, a, nil)
	asA.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "a-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	asA.must(t, http.StatusOK, http.MethodPut, instancePath("web", "ownerless"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`) // the same, and now A's
	s.isOfA(t, a, b, root, "a-1")
	s.isOfA(t, a, b, root, "ownerless")
	s.as(t, root, nil).must(t, http.StatusOK, http.MethodPut, instancePath("web", "a-1"), `{"addresses":["192.0.2.9"],"leaseSeconds":0}`)
	s.isOfA(t, a, b, root, "a-1") // though an administrator has changed it

	s.kill(t)
	s = startGuarded(t, f, corefile)
	s.isOfA(t, a, b, root, "a-1")
	s.isOfA(t, a, b, root, "ownerless")
	asA, asB, asRoot := s.as(t, a, nil), s.as(t, b, nil), s.as(t, root, nil)
	asB.must(t, http.StatusOK, http.MethodPut, instancePath("web", "untouched"), `{"addresses":["192.0.2.8"],"leaseSeconds":0}`)
	asA.must(t, http.StatusConflict, http.MethodDelete, instancePath("web", "untouched"), "")

	// What is gone belongs to nobody.
	asA.must(t, http.StatusOK, http.MethodDelete, instancePath("web", "a-1"), "")
	asB.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "a-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	asA.must(t, http.StatusConflict, http.MethodPut, heartbeatPath("web", "a-1"), "")
	// An export and its import leave all as it was; only an administrator says whose it is.
	export := asRoot.must(t, http.StatusOK, http.MethodGet, "/v1/export", "")
	asRoot.must(t, http.StatusOK, http.MethodPost, "/v1/import", export)
	taken := strings.ReplaceAll(export, `"owner":"b"`, `"owner":"a"`)
	asA.must(t, http.StatusOK, http.MethodPost, "/v1/import", taken) // all is as it says but for the owner
	asA.must(t, http.StatusConflict, http.MethodPut, heartbeatPath("web", "a-1"), "")
	asA.must(t, http.StatusConflict, http.MethodPost, "/v1/import", strings.ReplaceAll(taken, "192.0.2.8", "192.0.2.9"))
	asRoot.must(t, http.StatusOK, http.MethodPost, "/v1/import", taken)
	asA.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", "a-1"), "")
	asB.must(t, http.StatusConflict, http.MethodPut, heartbeatPath("web", "a-1"), "")
	// Nobody takes another's name by writing it down.
	asB.must(t, http.StatusCreated, http.MethodPut, instancePath("alias", "b-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	asA.must(t, http.StatusBadRequest, http.MethodPut, instancePath("web", "new"), `{"addresses":["192.0.2.7"],"owner":"b"}`)
}

// isOfA holds an instance to be A's: B may do nothing to it, A and the administrator may.
func (s *server) isOfA(t *testing.T, a, b, root, id string) {
	t.Helper()
	asA, asB, asRoot := s.as(t, a, nil), s.as(t, b, nil), s.as(t, root, nil)
	before := asRoot.must(t, http.StatusOK, http.MethodGet, instancePath("web", id), "")
	batch := func(op string, more object) string {
		return encode(object{"operations": []object{
			operation("register", "web", "b-new", object{"instance": object{"addresses": []string{"192.0.2.7"}}}),
			operation(op, "web", id, more),
		}})
	}
	instance := object{"addresses": []string{"198.51.100.7"}, "leaseSeconds": 0}
	for _, w := range []write{
		{http.MethodPut, instancePath("web", id), encode(instance)},
		{http.MethodPut, instancePath("web", id), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`}, // as it may be already
		{http.MethodPut, heartbeatPath("web", id), ""},
		{http.MethodPut, instancePath("web", id) + "/status", `{"status":"down"}`},
		{http.MethodPut, instancePath("web", id) + "/status", `{"status":"up"}`},
		{http.MethodDelete, instancePath("web", id), ""},
		{http.MethodPost, "/v1/heartbeats", encode(object{"instances": []object{identity("web", id)}})},
		{http.MethodPost, "/v1/batch", batch("register", object{"instance": instance})},
		{http.MethodPost, "/v1/batch", batch("heartbeat", nil)},
		{http.MethodPost, "/v1/batch", batch("status", object{"status": "down"})},
		{http.MethodPost, "/v1/batch", batch("deregister", nil)},
		{http.MethodPost, "/v1/import", encode(object{"format": 1, "services": []object{}, "instances": []object{merged(identity("web", id), instance)}})},
	} {
		if _, err := asB.wants(http.StatusConflict, w.method, w.path, w.body); err != nil {
			t.Errorf("what is A's, by B: %v", err)
		}
	}
	if after := asRoot.must(t, http.StatusOK, http.MethodGet, instancePath("web", id), ""); after != before {
		t.Errorf("what is A's was %s, and is %s", before, after)
	}
	asRoot.must(t, http.StatusNotFound, http.MethodGet, instancePath("web", "b-new"), "") // no half of a batch
	for _, e := range []*endpoint{asA, asRoot} {
		e.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", id), "")
		e.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", encode(object{"instances": []object{identity("web", id)}}))
		e.must(t, http.StatusOK, http.MethodPut, instancePath("web", id)+"/status", `{"status":"draining"}`)
		e.must(t, http.StatusOK, http.MethodPost, "/v1/batch", encode(object{"operations": []object{operation("status", "web", id, object{"status": "up"})}}))
	}
}

func merged(all ...object) object {
	into := object{}
	for _, o := range all {
		for k, v := range o {
			into[k] = v
		}
	}
	return into
}
