package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// name is that of an object in the namespace default: an instance, or with no id the
// definition of a service.
type name struct{ service, id string }

// record is such an object.
type record struct {
	said     string // what a client says of it, as JSON in a certain order
	revision uint64 // 0 where it is not known
}

// records are a table, or a part of one.
type records map[name]record

// differ says where two tables are not the same; empty where they are.
func (r records) differ(other records) string {
	for name, is := range r {
		was, ok := other[name]
		switch {
		case !ok:
			return fmt.Sprintf("%v is there: %s", name, is.said)
		case was.said != is.said:
			return fmt.Sprintf("%v is %s, not %s", name, is.said, was.said)
		case was.revision != 0 && is.revision != 0 && was.revision != is.revision:
			return fmt.Sprintf("%v is of revision %d, not %d", name, is.revision, was.revision)
		}
	}
	for name, was := range other {
		if _, ok := r[name]; !ok {
			return fmt.Sprintf("%v is missing: %s", name, was.said)
		}
	}
	return ""
}

// canonical is an object as it is compared, without what only the server says of it.
func canonical(o object) string {
	o = maps.Clone(o)
	for _, of := range []string{"namespace", "service", "id", "revision", "registeredAt", "expiresAt", "names", "defined", "instanceCount", "instances"} {
		delete(o, of)
	}
	return encode(o)
}

// served is the table as the endpoint tells it, with the ends of the leases that are not
// of static instances.
func (e *endpoint) served(t testing.TB) (records, map[name]time.Time) {
	t.Helper()
	all, ends := records{}, map[name]time.Time{}
	token := ""
	for {
		var page struct {
			Items    []struct{ Namespace, Service string }
			Continue string
		}
		decode(t, e.must(t, http.StatusOK, http.MethodGet, "/v1/services?limit=100&continue="+token, ""), &page)
		for _, item := range page.Items {
			answer := e.must(t, http.StatusOK, http.MethodGet, servicePath(item.Service), "")
			var is struct {
				Defined   bool
				Instances []json.RawMessage
			}
			decode(t, answer, &is)
			if is.Defined { // its revision is that of the service, which its definition has not
				all[name{item.Service, ""}] = record{said: canonicalOf(t, answer)}
			}
			for _, text := range is.Instances {
				var i struct {
					ID        string
					Revision  uint64
					ExpiresAt *time.Time
				}
				decode(t, string(text), &i)
				all[name{item.Service, i.ID}] = record{canonicalOf(t, string(text)), i.Revision}
				if i.ExpiresAt != nil {
					ends[name{item.Service, i.ID}] = *i.ExpiresAt
				}
			}
		}
		if token = page.Continue; token == "" {
			return all, ends
		}
	}
}

func canonicalOf(t testing.TB, text string) string {
	t.Helper()
	var o object
	decode(t, text, &o)
	return canonical(o)
}

// parsed is what is asked of an object.
type parsed struct {
	Addresses, ClusterIPs      []string
	Status, Type, ExternalName string
	PublishNotReady            bool
	LeaseSeconds               int
}

func (r record) parsed() (p parsed) {
	if err := json.Unmarshal([]byte(r.said), &p); err != nil {
		panic(err) // encode made it
	}
	return p
}
