package kubernetes

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/test/clients/fakekube"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startAPI serves the world as a Kubernetes API does. It returns the URL.
func startAPI(t *testing.T) string {
	api := fakekube.API{
		Namespaces:     namespaces(),
		Services:       services(),
		EndpointSlices: endpointSlices(),
		Unknown: func(r *http.Request) {
			t.Errorf("the kubernetes plugin asks for %s %s, which the fake API does not have", r.Method, r.URL)
		},
	}
	server := httptest.NewServer(api.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections() // the watches would otherwise hold Close up
		server.Close()
	})
	return server.URL
}

func namespaces() (all []core.Namespace) {
	seen := map[string]bool{}
	for _, s := range world {
		if !seen[s.namespace] {
			seen[s.namespace] = true
			all = append(all, core.Namespace{ObjectMeta: named("", s.namespace)})
		}
	}
	return all
}

func services() (all []core.Service) {
	for _, s := range world {
		item := core.Service{ObjectMeta: named(s.namespace, s.name)}
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
		all = append(all, item)
	}
	return all
}

// endpointSlices has a slice for each instance and family: a slice holds addresses of one family, and all its
// endpoints have the same ports.
func endpointSlices() (all []discovery.EndpointSlice) {
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
					ObjectMeta:  named(s.namespace, fmt.Sprintf("%s-%d-%s", s.name, n, strings.ToLower(string(family)))),
					AddressType: family,
					Endpoints:   []discovery.Endpoint{endpoint},
				}
				item.Labels = map[string]string{discovery.LabelServiceName: s.name}
				for _, p := range s.portsOf(i) {
					name, protocol, number := p.name, core.Protocol(strings.ToUpper(p.protocol)), int32(p.number)
					item.Ports = append(item.Ports, discovery.EndpointPort{Name: &name, Protocol: &protocol, Port: &number})
				}
				all = append(all, item)
			}
		}
	}
	return all
}

func named(namespace, name string) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: namespace, Name: name}
}
