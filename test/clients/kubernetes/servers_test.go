package kubernetes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"

	_ "github.com/coredns-registry/registry/plugin"
)

func init() {
	caddy.Quiet = true
	dnsserver.Quiet = true
	if !slices.Contains(dnsserver.Directives, "registry") {
		// As in plugin.cfg: before the plugins that may stand behind it.
		dnsserver.Directives = slices.Insert(dnsserver.Directives, slices.Index(dnsserver.Directives, "hosts"), "registry")
	}
}

// startKubernetes starts CoreDNS with the kubernetes plugin, which returns when that has read the world.
func startKubernetes(t *testing.T) (address string) {
	return start(t, fmt.Sprintf("kubernetes %s {\n endpoint %s\n ttl %d\n startup_timeout %s\n}", strings.Join(zones, " "), startAPI(t), ttl, patience))
}

// startRegistry starts CoreDNS with our plugin, and registers the world.
func startRegistry(t *testing.T) (address string) {
	endpoint := freeAddress(t)
	address = start(t, fmt.Sprintf("registry %s {\n listen %s\n ttl %ds\n}", strings.Join(zones, " "), endpoint, ttl))
	for _, s := range world {
		path := "http://" + endpoint + "/v1/namespaces/" + s.namespace + "/services/" + s.name
		if !s.undefined {
			put(t, path, definition(s))
		}
		for n, i := range s.instances {
			// An id with a colon is not a DNS label, so that it does not serve as the hostname.
			put(t, fmt.Sprintf("%s/instances/%s:%d", path, s.name, n), registration(s, i))
		}
	}
	return address
}

// start starts CoreDNS on a free port of 127.0.0.1, with a plugin and, behind it, the world outside.
func start(t *testing.T, plugin string) (address string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(file, []byte(outside), 0o600); err != nil {
		t.Fatal(err)
	}
	corefile := fmt.Sprintf(".:0 {\n bind 127.0.0.1\n %s\n file %s example.net\n"+
		" template ANY ANY broken.example {\n rcode SERVFAIL\n }\n}\n", plugin, file)
	instance, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		t.Fatalf("start CoreDNS: %v\n%s", err, corefile)
	}
	t.Cleanup(func() {
		for _, err := range instance.ShutdownCallbacks() {
			t.Errorf("shut CoreDNS down: %v", err)
		}
		if err := instance.Stop(); err != nil {
			t.Errorf("stop CoreDNS: %v", err)
		}
	})
	return instance.Servers()[0].Addr().String()
}

// freeAddress is one that nobody listens on, most likely not for the next moment either.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// object is one in JSON.
type object = map[string]any

func definition(s service) object {
	switch {
	case s.externalName != "":
		return object{"type": "externalName", "externalName": s.externalName}
	case s.headless():
		return object{"type": "headless", "ports": portObjects(s.ports), "publishNotReady": s.publishNotReady}
	}
	return object{"type": "clusterIP", "clusterIPs": s.clusterIPs, "ports": portObjects(s.ports)}
}

func registration(s service, i instance) object {
	status := "up"
	if i.down {
		status = "down"
	}
	o := object{"addresses": i.addresses, "ports": portObjects(s.portsOf(i)), "status": status, "leaseSeconds": 0}
	if i.hostname != "" {
		o["hostname"] = i.hostname
	}
	return o
}

func portObjects(ports []port) []object {
	all := []object{}
	for _, p := range ports {
		o := object{"protocol": p.protocol, "port": p.number}
		if p.name != "" {
			o["name"] = p.name
		}
		all = append(all, o)
	}
	return all
}

func put(t *testing.T, url string, body object) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		problem, _ := io.ReadAll(response.Body)
		t.Fatalf("PUT %s %s: got %s, want 201: %s", url, encoded, response.Status, problem)
	}
}
