package test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// step is a change, and which of an instance's two addresses is answered after it: none is 0.
type step struct {
	what     string
	status   int
	method   string
	path     string // below the instance's own
	body     string
	answered int
}

// steps is what happens to an instance again and again. %[1]s and %[2]s are its addresses.
var steps = []step{
	{"a registration", 201, http.MethodPut, "", `{"addresses":[%[1]q]}`, 1},
	{"a registration in its place", 200, http.MethodPut, "", `{"addresses":[%[2]q]}`, 2},
	{"draining", 200, http.MethodPut, "/status", `{"status":"draining"}`, 0},
	{"up again", 200, http.MethodPut, "/status", `{"status":"up"}`, 2},
	{"a deregistration", 200, http.MethodDelete, "", "", 0},
	{"a batch that registers", 200, http.MethodPost, "/v1/batch",
		`{"operations":[{"op":"register","namespace":"default","service":%[3]q,"id":%[4]q,"instance":{"addresses":[%[1]q]}}]}`, 1},
	{"a batch that deregisters", 200, http.MethodPost, "/v1/batch",
		`{"operations":[{"op":"deregister","namespace":"default","service":%[3]q,"id":%[4]q}]}`, 0},
}

func TestAcknowledgedIsAnsweredNext(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        lease 1h
    }
    errors
    ready {$READY}
}
cluster.local:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        lease 1h
    }
    cache 3600
    errors
}`)
	const clients, rounds = 8, 60 / slowness
	trials := make([]int, clients)
	var all sync.WaitGroup
	for n := range clients {
		service := "shared"
		if n%2 == 1 {
			service = fmt.Sprintf("own-%d", n)
		}
		c := changer{
			server:    s,
			service:   service,
			id:        fmt.Sprintf("web-%d", n),
			addresses: [2]string{fmt.Sprintf("192.0.2.%d", n+1), fmt.Sprintf("198.51.100.%d", n+1)},
			askers:    []*resolver{dial(t, "udp", s.dns), dial(t, "udp", s.dns2)},
		}
		all.Go(func() {
			for range rounds {
				for _, step := range steps {
					if err := c.try(step); err != nil {
						t.Errorf("after %s of %s.%s: %v", step.what, c.id, c.service, err)
						return
					}
					trials[n] += 2 * len(c.askers)
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range trials {
		sum += n
	}
	t.Logf("%d trials", sum)
}

// changer changes one instance and asks for it at once.
type changer struct {
	*server
	service, id string
	addresses   [2]string
	askers      []*resolver
}

func (c *changer) try(s step) error {
	path := instancePath(c.service, c.id) + s.path
	if s.method == http.MethodPost {
		path = s.path
	}
	body := s.body
	if body != "" { // every row takes what it needs of these
		body = fmt.Sprintf(body+"%.0[1]s%.0[2]s%.0[3]s%.0[4]s", c.addresses[0], c.addresses[1], c.service, c.id)
	}
	if _, err := c.endpoint.wants(s.status, s.method, path, body); err != nil {
		return err
	}
	for n, asker := range c.askers {
		for _, name := range []string{under(c.service), under(c.id + "." + c.service)} {
			got, err := asker.ask(name, dns.TypeA)
			if err != nil {
				return err
			}
			for i, address := range c.addresses {
				if has(got.Answer, address) != (s.answered == i+1) {
					return fmt.Errorf("server %d, %s: address %s is wrong, want number %d of %q\n%s", n, name, address, s.answered, c.addresses, got.Msg)
				}
			}
		}
	}
	return nil
}
