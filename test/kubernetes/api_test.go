package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A collection is one kind of the objects that the Kubernetes API has.
type collection struct {
	group string // its path, which is also its apiVersion in front of the last slash
	kind  string
	items []any
}

// startAPI serves the world as a Kubernetes API does: as much of it as the kubernetes plugin asks for, which is
// a list and a watch of each of three collections. It returns the URL. It always answers in JSON: client-go
// prefers protobuf, but goes by the Content-Type of the answer.
func startAPI(t *testing.T) string {
	mux := http.NewServeMux()
	for path, c := range map[string]collection{
		"/api/v1/namespaces":                       namespaces(),
		"/api/v1/services":                         services(),
		"/apis/discovery.k8s.io/v1/endpointslices": endpointSlices(),
	} {
		mux.HandleFunc("GET "+path, c.serve)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the kubernetes plugin asks for %s %s, which the fake API does not have", r.Method, r.URL)
		http.NotFound(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections() // the watches would otherwise hold Close up
		server.Close()
	})
	return server.URL
}

// revision is the resourceVersion of everything: the world does not change.
const revision = "1"

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

func namespaces() collection {
	c := collection{group: "v1", kind: "Namespace"}
	seen := map[string]bool{}
	for _, s := range world {
		if !seen[s.namespace] {
			seen[s.namespace] = true
			c.items = append(c.items, core.Namespace{TypeMeta: c.typeMeta(), ObjectMeta: named("", s.namespace)})
		}
	}
	return c
}

func services() collection {
	c := collection{group: "v1", kind: "Service"}
	for _, s := range world {
		item := core.Service{TypeMeta: c.typeMeta(), ObjectMeta: named(s.namespace, s.name)}
		switch {
		case s.externalName != "":
			item.Spec.Type = core.ServiceTypeExternalName
			item.Spec.ExternalName = s.externalName
		case s.headless():
			item.Spec.Type = core.ServiceTypeClusterIP
			item.Spec.ClusterIPs = []string{core.ClusterIPNone}
		default:
			item.Spec.Type = core.ServiceTypeClusterIP
			item.Spec.ClusterIPs = s.clusterIPs
		}
		for _, p := range s.ports {
			item.Spec.Ports = append(item.Spec.Ports, core.ServicePort{
				Name: p.name, Protocol: core.Protocol(strings.ToUpper(p.protocol)), Port: int32(p.number),
			})
		}
		c.items = append(c.items, item)
	}
	return c
}

// endpointSlices has a slice for each instance and family: a slice holds addresses of one family, and all its
// endpoints have the same ports.
func endpointSlices() collection {
	c := collection{group: "discovery.k8s.io/v1", kind: "EndpointSlice"}
	for _, s := range world {
		for n, i := range s.instances {
			families := map[discovery.AddressType][]string{}
			for _, address := range i.addresses {
				if strings.Contains(address, ":") {
					families[discovery.AddressTypeIPv6] = append(families[discovery.AddressTypeIPv6], address)
				} else {
					families[discovery.AddressTypeIPv4] = append(families[discovery.AddressTypeIPv4], address)
				}
			}
			for family, addresses := range families {
				ready := s.up(i)
				endpoint := discovery.Endpoint{Addresses: addresses, Conditions: discovery.EndpointConditions{Ready: &ready}}
				if i.hostname != "" {
					endpoint.Hostname = &i.hostname
				}
				item := discovery.EndpointSlice{
					TypeMeta:    c.typeMeta(),
					ObjectMeta:  named(s.namespace, fmt.Sprintf("%s-%d-%s", s.name, n, strings.ToLower(string(family)))),
					AddressType: family,
					Endpoints:   []discovery.Endpoint{endpoint},
				}
				item.Labels = map[string]string{discovery.LabelServiceName: s.name}
				for _, p := range s.portsOf(i) {
					name, protocol, number := p.name, core.Protocol(strings.ToUpper(p.protocol)), int32(p.number)
					item.Ports = append(item.Ports, discovery.EndpointPort{Name: &name, Protocol: &protocol, Port: &number})
				}
				c.items = append(c.items, item)
			}
		}
	}
	return c
}

func (c collection) typeMeta() meta.TypeMeta {
	return meta.TypeMeta{Kind: c.kind, APIVersion: c.group}
}

func named(namespace, name string) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: revision}
}
