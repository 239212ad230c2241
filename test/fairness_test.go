package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A client with many connections, on each of which it sends one large batch after the other,
// makes a single registration of another wait for a few of them, not for all. Revisions are
// what is counted, of which each batch has one: they tell who went before whom, however slow
// the machine is.
func TestBulkClientDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	const connections = 16
	f := newFiles(t)
	bulk, single := newToken(), newToken()
	f.setTokens(t, tokenLine("bulk", bulk, "write:*/*"), tokenLine("single", single, "write:*/*"))
	s := startGuarded(t, f, guarded("store disk {$FILES}/store\ntokens {$FILES}/tokens"))

	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	var mu sync.Mutex
	var bulkWaited []uint64 // revisions between two answers on one connection; guarded by mu
	asBulk := s.as(t, bulk, nil)
	for c := range connections {
		var batches [2]string
		for n := range batches {
			var operations []object
			for i := range mostOperations {
				operations = append(operations, operation("register", fmt.Sprint("bulk-", c), fmt.Sprint(i), object{
					"instance": object{"addresses": []string{"192.0.2.7"}, "weight": n}}))
			}
			batches[n] = encode(object{"operations": operations})
		}
		sending.Go(func() {
			var before uint64
			for n := 0; ctx.Err() == nil; n++ {
				revision, err := asBulk.revisionOf(http.StatusOK, http.MethodPost, "/v1/batch", batches[n%2])
				if err != nil {
					t.Error(err)
					return
				}
				if before > 0 {
					mu.Lock()
					bulkWaited = append(bulkWaited, revision-before)
					mu.Unlock()
				}
				before = revision
			}
		})
	}
	soon(t, "the bulk client has all its connections busy", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(bulkWaited) >= 2*connections
	})
	asSingle, waited := s.as(t, single, nil), []uint64(nil)
	var longest time.Duration
	for n := range 30 / slowness {
		before, began := asSingle.revision(t), time.Now()
		revision, err := asSingle.revisionOf(http.StatusCreated, http.MethodPut, instancePath("single", fmt.Sprint(n)), `{"addresses":["192.0.2.8"]}`)
		if err != nil {
			t.Fatal(err)
		}
		waited = append(waited, revision-before)
		longest = max(longest, time.Since(began))
	}
	cancel()
	sending.Wait()
	slices.Sort(waited)
	slices.Sort(bulkWaited)
	t.Logf("single registrations came %v revisions later, at most %s; the bulk client's batches %d in the median", waited, longest, bulkWaited[len(bulkWaited)/2])
	// The group that is being kept, the one that it goes with, and what came to be between the
	// two requests. The middle is what is judged: a machine may halt a client at any time.
	const most = 4
	if got := waited[len(waited)/2]; got > most {
		t.Errorf("half of the single registrations waited for %d batches or more, want at most %d of the %d that wait", got, most, connections)
	}
	if got := bulkWaited[len(bulkWaited)/2]; got < connections/2 {
		t.Errorf("the bulk client's own batches waited for %d others, want %d: it was no flood", got, connections/2)
	}
}

// revisionOf makes a request and returns the revision in its answer.
func (e *endpoint) revisionOf(status int, method, path, body string) (uint64, error) {
	answer, err := e.wants(status, method, path, body)
	if err != nil {
		return 0, err
	}
	var told struct{ Revision uint64 }
	err = json.Unmarshal([]byte(answer), &told)
	return told.Revision, err
}
