// Package fakekube is as much of the Kubernetes API as CoreDNS's kubernetes plugin asks
// for: a list and a watch of each of three kinds of objects, which never change. It is for
// tests and measurements that hold our answers against those of that plugin.
package fakekube

import (
	"encoding/json"
	"net/http"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// API holds the objects. Their kind and their resource version need not be set.
type API struct {
	Namespaces     []core.Namespace
	Services       []core.Service
	EndpointSlices []discovery.EndpointSlice
	Unknown        func(*http.Request) // told of requests that it does not have, unless it is nil
}

// revision is the resourceVersion of everything: the objects do not change.
const revision = "1"

// Handler serves the objects as they are now. It always answers in JSON: client-go
// prefers protobuf, but goes by the Content-Type of the answer.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, c := range map[string]collection{
		"/api/v1/namespaces":                       newCollection("v1", "Namespace", a.Namespaces),
		"/api/v1/services":                         newCollection("v1", "Service", a.Services),
		"/apis/discovery.k8s.io/v1/endpointslices": newCollection("discovery.k8s.io/v1", "EndpointSlice", a.EndpointSlices),
	} {
		mux.HandleFunc("GET "+path, c.serve)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if a.Unknown != nil {
			a.Unknown(r)
		}
		http.NotFound(w, r)
	})
	return mux
}

// A collection is one kind of the objects that the Kubernetes API has.
type collection struct {
	group string // its path, which is also its apiVersion
	kind  string
	items []any
}

// newCollection returns copies of items as the API shows them.
func newCollection[T any, P interface {
	*T
	meta.Object
	runtime.Object
}](group, kind string, items []T) collection {
	c := collection{group: group, kind: kind}
	for _, item := range items {
		p := P(&item)
		p.SetResourceVersion(revision)
		p.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(group, kind))
		c.items = append(c.items, p)
	}
	return c
}

func (c collection) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.FormValue("watch") == "" {
		json.NewEncoder(w).Encode(map[string]any{
			"kind": c.kind + "List", "apiVersion": c.group, "metadata": meta.ListMeta{ResourceVersion: revision}, "items": c.items,
		})
		return
	}
	// A client may ask for the objects as the first events of its watch, and then wants to be told where they end
	// (https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists).
	if r.FormValue("sendInitialEvents") == "true" {
		events := json.NewEncoder(w)
		for _, item := range c.items {
			events.Encode(map[string]any{"type": "ADDED", "object": item})
		}
		events.Encode(map[string]any{"type": "BOOKMARK", "object": map[string]any{
			"kind": c.kind, "apiVersion": c.group, "metadata": meta.ObjectMeta{
				ResourceVersion: revision, Annotations: map[string]string{meta.InitialEventsAnnotationKey: "true"},
			},
		}})
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}
