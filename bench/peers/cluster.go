package main

import (
	"fmt"

	"github.com/coredns-registry/registry/test/clients/fakekube"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cluster is the world as a Kubernetes cluster has it: headless services.
func (w world) cluster() *fakekube.API {
	api := &fakekube.API{}
	for n := range min(namespaces, w.services) {
		api.Namespaces = append(api.Namespaces, core.Namespace{ObjectMeta: named("", fmt.Sprintf("namespace-%02d", n))})
	}
	for _, s := range w.all() {
		api.Services = append(api.Services, core.Service{
			ObjectMeta: named(s.namespace(), s.name()),
			Spec: core.ServiceSpec{
				Type:       core.ServiceTypeClusterIP,
				ClusterIPs: []string{core.ClusterIPNone},
				ClusterIP:  core.ClusterIPNone,
				Ports:      []core.ServicePort{{Name: "http", Protocol: core.ProtocolTCP, Port: port}},
			},
		})
		api.EndpointSlices = append(api.EndpointSlices, s.slice())
	}
	return api
}

func (s serviceAt) slice() discovery.EndpointSlice {
	name, protocol, number, ready := "http", core.ProtocolTCP, int32(port), true
	slice := discovery.EndpointSlice{
		ObjectMeta:  named(s.namespace(), s.name()+"-slice"),
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: &name, Protocol: &protocol, Port: &number}},
	}
	if s.six() {
		slice.AddressType = discovery.AddressTypeIPv6
	}
	slice.Labels = map[string]string{discovery.LabelServiceName: s.name()}
	for _, i := range s.instances() {
		hostname := i.id()
		slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{
			Addresses:  []string{i.address().String()},
			Hostname:   &hostname,
			Conditions: discovery.EndpointConditions{Ready: &ready},
		})
	}
	return slice
}

func named(namespace, name string) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: namespace, Name: name}
}
