package test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// client is one that changes objects of its own, one request after the other, and keeps
// account of what it was told: so it is known what must be there whenever the server dies.
type client struct {
	endpoint
	id     string
	random *rand.Rand
	leases []int // seconds, one of which an instance gets

	known   records // as was acknowledged
	pending *wish   // that was not answered

	acknowledged, refused int
	highest               uint64 // revision that it was told
	addresses             int    // that it has used
}

// wish is a request, and what it makes of the client's objects.
type wish struct {
	method, path, body string
	status             int     // 0 where it is to be refused, by any status of 400 to 499
	after              records // that are known if it is granted
	touched            []name  // by each operation of a batch, or by the request
}

func (w *wish) String() string { return w.method + " " + w.path + " " + shortened(w.body) }

func newClient(n int, leases ...int) *client {
	return &client{
		id:     fmt.Sprintf("c%d", n),
		random: rand.New(rand.NewPCG(seed, uint64(n))),
		leases: leases,
		known:  records{},
	}
}

// owns reports whether an object is one of the client's: it alone changes it.
func (c *client) owns(n name) bool {
	of := n.id
	if of == "" {
		of = n.service
	}
	return strings.HasPrefix(of, c.id+"-")
}

// run makes changes until the context ends or a request fails, which is then pending.
func (c *client) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.fulfil(c.wish()); err != nil {
			return err
		}
	}
	return nil
}

// fulfil makes a request and takes down what it is answered.
func (c *client) fulfil(w *wish) error {
	status, answer, err := c.do(w.method, w.path, w.body)
	switch {
	case w.status != 0 && status == w.status: // even if the rest of the answer was cut off
		c.acknowledge(w, answer)
	case err != nil:
		c.pending = w
		return err
	case w.status == 0 && status >= 400 && status < 500:
		c.refused++
		return nil
	default:
		return fmt.Errorf("%s: got %d, want %d: %s", w, status, w.status, answer)
	}
	return err
}

func (c *client) acknowledge(w *wish, answer string) {
	var told struct {
		Revision uint64
		Results  []struct{ Revision uint64 }
	}
	_ = json.Unmarshal([]byte(answer), &told) // it may have been cut off
	c.known = w.after
	c.acknowledged++
	c.highest = max(c.highest, told.Revision)
	for i, n := range w.touched {
		is, ok := c.known[n]
		if !ok || n.id == "" {
			continue
		}
		is.revision = told.Revision
		if len(told.Results) > 0 {
			is.revision = told.Results[i].Revision
		}
		c.known[n] = is
	}
}

// settle compares what a server has of the client's with what it must have, and goes on from
// there. What was pending is there wholly or not at all.
func (c *client) settle(all records) (granted bool, wrong string) {
	mine := records{}
	for n, is := range all {
		if c.owns(n) {
			mine[n] = is
		}
	}
	wrong = mine.differ(c.known)
	if wrong != "" && c.pending != nil {
		if otherwise := mine.differ(c.pending.after); otherwise == "" {
			granted, wrong = true, ""
		} else {
			wrong += fmt.Sprintf("; and with the request that was not answered, %s: %s", c.pending, otherwise)
		}
	}
	c.known, c.pending = mine, nil
	return granted, wrong
}

// services are those that the client puts instances in: two of its own, and those of all.
func (c *client) services() []string {
	return []string{c.id + "-a", c.id + "-b", "shared-a", "shared-b"}
}

func (c *client) anyOf(all []string) string { return all[c.random.IntN(len(all))] }

// wish thinks of something to do.
func (c *client) wish() *wish {
	w := &wish{after: maps.Clone(c.known)}
	switch c.random.IntN(16) {
	case 0, 1, 2, 3:
		n := name{c.anyOf(c.services()), c.anyID()}
		return c.one(w, n, c.register(w, n))
	case 4, 5:
		if n, ok := c.anyKnown(w); ok {
			return c.one(w, n, c.setStatus(w, n))
		}
	case 6, 7:
		if n, ok := c.anyKnown(w); ok {
			return c.one(w, n, c.deregister(w, n))
		}
	case 8, 9:
		return c.define(w)
	case 10:
		return c.undefine(w)
	case 11:
		w.method, w.path = http.MethodPut, instancePath(c.anyOf(c.services()), c.anyID())
		w.body = `{"addresses":["192.0.2.7","0.0.0.0"],"leaseSeconds":0}`
		return w
	case 12:
		c.batch(w)
		w.body = strings.TrimSuffix(w.body, "]}") + "," +
			encode(operation("deregister", c.id+"-a", c.id+"-there-is-none", nil)) + "]}"
		w.status, w.after, w.touched = 0, c.known, nil
		return w
	}
	return c.batch(w)
}

func (c *client) anyID() string { return fmt.Sprintf("%s-%d", c.id, c.random.IntN(30)) }

// anyKnown is an instance that is there after what the wish wants already.
func (c *client) anyKnown(w *wish) (name, bool) {
	var all []name
	for n := range w.after {
		if n.id != "" {
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return name{}, false
	}
	slices.SortFunc(all, func(a, b name) int { return strings.Compare(a.service+" "+a.id, b.service+" "+b.id) })
	return all[c.random.IntN(len(all))], true
}

// one makes an operation of a batch a request of its own.
func (c *client) one(w *wish, n name, operation object) *wish {
	w.method, w.path, w.status = http.MethodPut, instancePath(n.service, n.id), http.StatusOK
	switch operation["op"] {
	case "register":
		w.body = encode(operation["instance"])
		if _, known := c.known[n]; !known {
			w.status = http.StatusCreated
		}
	case "status":
		w.path += "/status"
		w.body = encode(object{"status": operation["status"]})
	case "deregister":
		w.method = http.MethodDelete
	}
	return w
}

func (c *client) batch(w *wish) *wish {
	var operations []object
	for range 1 + c.random.IntN(40) {
		n, known := c.anyKnown(w)
		switch c.random.IntN(8) {
		case 0:
			if known {
				operations = append(operations, c.setStatus(w, n))
				continue
			}
		case 1, 2:
			if known {
				operations = append(operations, c.deregister(w, n))
				continue
			}
		case 3:
			if known {
				w.touched = append(w.touched, n)
				operations = append(operations, operation("heartbeat", n.service, n.id, nil))
				continue
			}
		}
		n = name{c.anyOf(c.services()), c.anyID()}
		operations = append(operations, c.register(w, n))
	}
	w.method, w.path, w.status = http.MethodPost, "/v1/batch", http.StatusOK
	w.body = encode(object{"operations": operations})
	return w
}

func (c *client) register(w *wish, n name) object {
	c.addresses++
	instance := object{
		"addresses":    []string{c.address(c.addresses), fmt.Sprintf("2001:db8::%s:%x", c.id, c.addresses)},
		"ports":        []object{{"name": "http", "protocol": "tcp", "port": 1 + c.random.IntN(65535)}},
		"hostname":     n.id,
		"weight":       c.random.IntN(65536),
		"priority":     c.random.IntN(65536),
		"zone":         "eu-west-1a",
		"metadata":     object{"version": fmt.Sprint(c.addresses), "text": strings.Repeat("x", c.random.IntN(200))},
		"leaseSeconds": c.leases[c.random.IntN(len(c.leases))],
		"status":       "up",
	}
	w.after[n] = record{said: encode(instance)}
	w.touched = append(w.touched, n)
	return operation("register", n.service, n.id, object{"instance": instance})
}

// address is one that no other client uses.
func (c *client) address(n int) string {
	var of int
	_, _ = fmt.Sscanf(c.id, "c%d", &of)
	return fmt.Sprintf("10.%d.%d.%d", of, n>>8&0xff, n&0xff)
}

func (c *client) setStatus(w *wish, n name) object {
	status := c.anyOf([]string{"up", "draining", "down"})
	var said object
	_ = json.Unmarshal([]byte(w.after[n].said), &said) // encode made it
	said["status"] = status
	w.after[n] = record{said: encode(said)}
	w.touched = append(w.touched, n)
	return operation("status", n.service, n.id, object{"status": status})
}

func (c *client) deregister(w *wish, n name) object {
	delete(w.after, n)
	w.touched = append(w.touched, n)
	return operation("deregister", n.service, n.id, nil)
}

// define gives one of the client's own services a definition.
func (c *client) define(w *wish) *wish {
	n := name{c.anyOf(c.services()[:2]), ""}
	c.addresses++
	definition := object{
		"type":            "headless",
		"ports":           []object{{"name": "http", "protocol": "tcp", "port": 80}},
		"publishNotReady": c.random.IntN(2) == 0,
		"metadata":        object{"version": fmt.Sprint(c.addresses)},
	}
	switch c.random.IntN(3) {
	case 0:
		definition["type"], definition["clusterIPs"] = "clusterIP", []string{c.address(c.addresses)}
	case 1:
		definition["type"], definition["externalName"] = "externalName", "www.example.net"
	}
	w.method, w.path, w.body, w.status = http.MethodPut, servicePath(n.service), encode(definition), http.StatusOK
	if !c.has(n.service) {
		w.status = http.StatusCreated
	}
	w.after[n] = record{said: encode(definition)}
	return w
}

// undefine takes one of the client's own services away, with its instances.
func (c *client) undefine(w *wish) *wish {
	service := c.anyOf(c.services()[:2])
	w.method, w.path, w.status = http.MethodDelete, servicePath(service), http.StatusOK
	if !c.has(service) {
		w.status = http.StatusNotFound
	}
	maps.DeleteFunc(w.after, func(n name, _ record) bool { return n.service == service })
	return w
}

// has reports whether one of the client's own services is there.
func (c *client) has(service string) bool {
	for n := range c.known {
		if n.service == service {
			return true
		}
	}
	return false
}
