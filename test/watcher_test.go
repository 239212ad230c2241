package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// change is a line of a watch.
type change struct {
	Revision               uint64
	Type, Kind             string
	Namespace, Service, ID string
	Instance               *watched
	Definition             *watched
	More                   bool
}

// watched is what is compared of an instance, or of the definition of a service.
type watched struct {
	Addresses    []string
	Status       string
	Revision     uint64
	Type         string
	ExternalName string
}

func (c *change) String() string { return encode(c) }

// watcher follows the changes of a table.
type watcher struct {
	body   io.ReadCloser
	lines  *bufio.Reader
	events bool // server-sent events
	resume uint64
}

// watch begins to follow the changes since a revision, or with the present state where that
// is empty.
func (e *endpoint) watch(t testing.TB, since string, events bool) *watcher {
	t.Helper()
	w, err := e.follow(t.Context(), since, events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.body.Close() })
	return w
}

func (e *endpoint) follow(ctx context.Context, since string, events bool) (*watcher, error) {
	url := "http://" + e.address + "/v1/watch"
	if since != "" && !events {
		url += "?since=" + since
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if events {
		r.Header.Set("Accept", "text/event-stream")
		if since != "" {
			r.Header.Set("Last-Event-ID", since)
		}
	}
	client := http.Client{Transport: e.client.Transport} // without its timeout
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("watch since %q: %s", since, response.Status)
	}
	return &watcher{body: response.Body, lines: bufio.NewReader(response.Body), events: events}, nil
}

// next returns the next change. After it, resume is the revision to go on from, 0 where
// there is none yet.
func (w *watcher) next() (c change, err error) {
	id, data := uint64(0), ""
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil { // a line that has no end is none
			return c, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		switch {
		case !w.events && line == "", w.events && line == "" && data == "":
		case w.events && field == "id":
			if id, err = strconv.ParseUint(strings.TrimSpace(value), 10, 64); err != nil {
				return c, err
			}
		case w.events && field == "data":
			data = value
		case w.events && line != "":
			return c, fmt.Errorf("line %q", line)
		default:
			if !w.events {
				data = line
			}
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				return c, fmt.Errorf("%w in %s", err, data)
			}
			switch {
			case w.events && id != 0:
				w.resume = id
			case !w.events && !c.More:
				w.resume = c.Revision
			}
			return c, nil
		}
	}
}

// reading returns what the watcher is told, and reads it as it comes: who leaves it unread for
// long is cut off. The channel is closed when the watch ends.
func (w *watcher) reading() <-chan change {
	told := make(chan change, 10_000) // more than any test that uses it causes
	go func() {
		defer close(told)
		for {
			c, err := w.next()
			if err != nil {
				return // as it does at the end of the test, which closes the body
			}
			told <- c
		}
	}()
	return told
}

// mirror is a table as a watcher has been told of it, by kind and name.
type mirror map[string]watched

func key(kind, namespace, service, id string) string {
	return strings.Join([]string{kind, namespace, service, id}, " ")
}

func (m mirror) apply(c change) error {
	k := key(c.Kind, c.Namespace, c.Service, c.ID)
	switch {
	case c.Type == "synced":
	case c.Type == "delete":
		delete(m, k)
	case c.Type == "put" && c.Kind == "instance" && c.Instance != nil:
		m[k] = *c.Instance
	case c.Type == "put" && c.Kind == "service" && c.Definition != nil:
		m[k] = *c.Definition
	default:
		return fmt.Errorf("no change: %s", &c)
	}
	return nil
}

// mirrorOf is the table as the lists tell it.
func (e *endpoint) mirrorOf(t testing.TB) mirror {
	t.Helper()
	m := mirror{}
	token := ""
	for {
		var page struct {
			Items []struct {
				Namespace, Service string
			}
			Continue string
		}
		decode(t, e.must(t, http.StatusOK, http.MethodGet, "/v1/services?limit=3&continue="+token, ""), &page)
		for _, item := range page.Items {
			var s struct {
				Defined   bool
				Instances []struct {
					watched
					ID string
				}
				watched
			}
			decode(t, e.must(t, http.StatusOK, http.MethodGet, "/v1/namespaces/"+item.Namespace+"/services/"+item.Service, ""), &s)
			if s.Defined {
				s.watched.Revision = 0 // that of the service, which its definition has not
				m[key("service", item.Namespace, item.Service, "")] = s.watched
			}
			for _, i := range s.Instances {
				m[key("instance", item.Namespace, item.Service, i.ID)] = i.watched
			}
		}
		if token = page.Continue; token == "" {
			return m
		}
	}
}
