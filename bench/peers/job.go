package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// A job is what the connections of a load do over and over.
type job struct {
	name string
	// requests are the next of a connection: the n-th time, a number that no other has.
	requests func(w world, random *rand.Rand, n int) []request
	counts   int // instances for each request whose time is taken: the first
}

var jobs = []job{
	{"heartbeat", heartbeat, 1},
	{"register", register, 1},
	{"batch", batch, mostOperations},
	{"churn", churn, 1},
}

// heartbeat renews the lease of an instance.
func heartbeat(w world, random *rand.Rand, _ int) []request {
	return []request{{http.MethodPut, w.any(random).path() + "/heartbeat", "", http.StatusNoContent}}
}

// newcomer is an instance that is not in the world, of a service that is not either: ten of
// them share one.
func newcomer(w world, n int) instanceAt {
	const each = 10
	return instanceAt{serviceAt{world{0, each}, w.services + n/each}, n % each}
}

// register makes an instance known.
func register(w world, _ *rand.Rand, n int) []request {
	i := newcomer(w, n)
	return []request{{http.MethodPut, i.path(), i.body(), http.StatusCreated}}
}

// batch makes a thousand instances known at once.
func batch(w world, _ *rand.Rand, n int) []request {
	operations := make([]string, mostOperations)
	for k := range operations {
		operations[k] = newcomer(w, n*mostOperations+k).operation()
	}
	return []request{{http.MethodPost, "/v1/batch", `{"operations":[` + strings.Join(operations, ",") + "]}", http.StatusOK}}
}

// churn makes one more instance of a service known, and takes it away again: the table
// stays as large as it is.
func churn(w world, random *rand.Rand, n int) []request {
	i := w.any(random)
	path := fmt.Sprintf("/v1/namespaces/%s/services/%s/instances/extra-%d", i.namespace(), i.name(), n)
	return []request{{http.MethodPut, path, i.body(), http.StatusCreated}, {http.MethodDelete, path, "", http.StatusOK}}
}

// any is an instance by chance.
func (w world) any(random *rand.Rand) instanceAt {
	return instanceAt{serviceAt{w, random.IntN(w.services)}, random.IntN(w.each)}
}
