package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// endpoint is a registration endpoint, seen by its clients.
type endpoint struct {
	address string // host:port
	client  *http.Client
}

func newEndpoint(address string) endpoint {
	return endpoint{address, &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
}

// do makes a request and returns what it was answered with.
func (e *endpoint) do(method, path, body string) (status int, answer string, err error) {
	r, err := http.NewRequest(method, "http://"+e.address+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	response, err := e.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

// wants makes a request and returns an error unless it is answered with that status.
func (e *endpoint) wants(status int, method, path, body string) (answer string, err error) {
	got, answer, err := e.do(method, path, body)
	if err == nil && got != status {
		err = fmt.Errorf("%s %s %s: got %d, want %d: %s", method, path, shortened(body), got, status, shortened(answer))
	}
	return answer, err
}

// must makes a request that the test cannot go on without.
func (e *endpoint) must(t testing.TB, status int, method, path, body string) (answer string) {
	t.Helper()
	answer, err := e.wants(status, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// revision is that of the table.
func (e *endpoint) revision(t testing.TB) uint64 {
	t.Helper()
	var status struct{ Revision uint64 }
	decode(t, e.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
	return status.Revision
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// object is one in JSON.
type object = map[string]any

func encode(o any) string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // the tests' own values can be encoded
	}
	return string(b)
}

// servicePath and instancePath are those of the namespace default.
func servicePath(service string) string { return "/v1/namespaces/default/services/" + service }

func instancePath(service, id string) string { return servicePath(service) + "/instances/" + id }

// identity is an instance of the namespace default, as lists of instances name it.
func identity(service, id string) object {
	return object{"namespace": "default", "service": service, "id": id}
}

// operation is one of a batch.
func operation(op, service, id string, more object) object {
	o := identity(service, id)
	o["op"] = op
	for k, v := range more {
		o[k] = v
	}
	return o
}

// mostOperations is how many a batch may have.
const mostOperations = 1000

// batch makes all the operations, in as few batches as possible.
func (e *endpoint) batch(t testing.TB, operations []object) {
	t.Helper()
	for len(operations) > 0 {
		n := min(len(operations), mostOperations)
		e.must(t, http.StatusOK, http.MethodPost, "/v1/batch", encode(object{"operations": operations[:n]}))
		operations = operations[n:]
	}
}

// getStatus is the status that a URL is answered with, 0 where nobody answers.
func getStatus(url string) int {
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}
