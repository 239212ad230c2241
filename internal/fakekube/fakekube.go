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
		"/api/v1/namespaces":                       a.namespaces(),
		"/api/v1/services":                         a.services(),
		"/apis/discovery.k8s.io/v1/endpointslices": a.endpointSlices(),
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

func (a *API) namespaces() collection {
	c := collection{group: "v1", kind: "Namespace"}
	for _, item := range a.Namespaces {
		item.TypeMeta, item.ResourceVersion = c.typeMeta(), revision
		c.items = append(c.items, item)
	}
	return c
}

func (a *API) services() collection {
	c := collection{group: "v1", kind: "Service"}
	for _, item := range a.Services {
		item.TypeMeta, item.ResourceVersion = c.typeMeta(), revision
		c.items = append(c.items, item)
	}
	return c
}

func (a *API) endpointSlices() collection {
	c := collection{group: "discovery.k8s.io/v1", kind: "EndpointSlice"}
	for _, item := range a.EndpointSlices {
		item.TypeMeta, item.ResourceVersion = c.typeMeta(), revision
		c.items = append(c.items, item)
	}
	return c
}

func (c collection) typeMeta() meta.TypeMeta {
	return meta.TypeMeta{Kind: c.kind, APIVersion: c.group}
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
