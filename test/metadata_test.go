package test

import (
	"net/http"
	"testing"

	"github.com/miekg/dns"
)

func TestMetadataInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t, `
.:{$DNS} {
    bind 127.0.0.1
    metadata
    registry cluster.local in-addr.arpa {
        listen {$ENDPOINT}
    }
    log . "name={name} zone={/registry/zone} namespace={/registry/namespace} service={/registry/service} host={/registry/host} port={/registry/port} protocol={/registry/protocol};"
}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"]}`)
	asker := dial(t, "udp", s.dns)
	for _, tt := range []struct{ name, want string }{
		{under("web"), "zone=cluster.local. namespace=default service=web host=- port=- protocol=-;"},
		{under("web-1.web"), "zone=cluster.local. namespace=default service=web host=web-1 port=- protocol=-;"},
		{under("_http._tcp.web"), "zone=cluster.local. namespace=default service=web host=- port=http protocol=tcp;"},
		{under("nobody"), "zone=cluster.local. namespace=default service=nobody host=- port=- protocol=-;"},
		{"7.2.0.192.in-addr.arpa.", "zone=in-addr.arpa. namespace=- service=- host=- port=- protocol=-;"},
		{"www.example.net.", "zone=- namespace=- service=- host=- port=- protocol=-;"},
	} {
		asker.must(t, tt.name, dns.TypeA)
		s.log.wait(t, 0, "name="+tt.name+" "+tt.want)
	}
}
