package test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/internal/testkit/testca"
)

// ask is a request of one route, and how it is answered by what the caller is allowed in
// the namespace that it is about.
type ask struct {
	method, pattern string // as the OpenAPI document has it
	id, query, body string
	want            [5]int
}

// The columns of want.
const (
	stranger  = iota // nobody knows them
	reader           // read:NAMESPACE/web
	elsewhere        // write:NAMESPACE/other
	writer           // write:NAMESPACE/web
	ruler            // admin
)

const aService, anInstance = "/v1/namespaces/{namespace}/services/{service}", "/v1/namespaces/{namespace}/services/{service}/instances/{id}"

// asks are made in this order by each caller, in a namespace of its own in which web-1 of
// the service web belongs to somebody else.
var asks = []ask{
	{"GET", "/v1/status", "", "", ``, [5]int{200, 200, 200, 200, 200}},
	{"GET", "/openapi.json", "", "", ``, [5]int{200, 200, 200, 200, 200}},
	{"GET", "/v1/nothing", "", "", ``, [5]int{404, 404, 404, 404, 404}},
	{"PATCH", anInstance, "web-1", "", ``, [5]int{405, 405, 405, 405, 405}},
	{"GET", anInstance, "web-1", "", ``, [5]int{401, 200, 403, 200, 200}},
	{"HEAD", anInstance, "web-1", "", ``, [5]int{401, 200, 403, 200, 200}},
	{"GET", anInstance, "none", "", ``, [5]int{401, 404, 403, 404, 404}},
	{"PUT", anInstance, "mine", "", `{"addresses":["192.0.2.7"]}`, [5]int{401, 403, 403, 201, 201}},
	{"PUT", anInstance, "mine", "", `{"addresses":["192.0.2.8"]}`, [5]int{401, 403, 403, 200, 200}},
	{"PUT", anInstance, "mine", "", `no JSON`, [5]int{401, 403, 403, 400, 400}},
	{"PUT", anInstance, "web-1", "", `{"addresses":["192.0.2.7"]}`, [5]int{401, 403, 403, 409, 200}},
	{"PUT", anInstance + "/heartbeat", "mine", "", ``, [5]int{401, 403, 403, 204, 204}},
	{"PUT", anInstance + "/heartbeat", "web-1", "", ``, [5]int{401, 403, 403, 409, 204}},
	{"PUT", anInstance + "/status", "mine", "", `{"status":"draining"}`, [5]int{401, 403, 403, 200, 200}},
	{"POST", "/v1/heartbeats", "", "", `{"instances":[{"namespace":"{namespace}","service":"web","id":"mine"}]}`, [5]int{401, 403, 403, 200, 200}},
	{"POST", "/v1/batch", "", "", `{"operations":[{"op":"register","namespace":"{namespace}","service":"web","id":"b","instance":{"addresses":["192.0.2.7"]}}]}`, [5]int{401, 403, 403, 200, 200}},
	{"POST", "/v1/batch", "", "", `{"operations":[{"op":"heartbeat","namespace":"{namespace}","service":"web","id":"mine"},{"op":"heartbeat","namespace":"foreign","service":"web","id":"web-1"}]}`, [5]int{401, 403, 403, 403, 200}},
	{"DELETE", anInstance, "mine", "", ``, [5]int{401, 403, 403, 200, 200}},
	{"GET", aService, "", "", ``, [5]int{401, 200, 403, 200, 200}},
	{"PUT", aService, "", "", `{"type":"headless"}`, [5]int{401, 403, 403, 200, 200}},
	{"GET", "/v1/namespaces/{namespace}/services", "", "", ``, [5]int{401, 200, 200, 200, 200}},
	{"GET", "/v1/namespaces", "", "", ``, [5]int{401, 200, 200, 200, 200}},
	{"GET", "/v1/services", "", "", ``, [5]int{401, 200, 200, 200, 200}},
	{"GET", "/v1/watch", "", "", ``, [5]int{401, 200, 200, 200, 200}},
	{"GET", "/v1/watch", "", "namespace={namespace}&service=web", ``, [5]int{401, 200, 403, 200, 200}},
	{"GET", "/v1/watch", "", "namespace=foreign", ``, [5]int{401, 403, 403, 403, 200}},
	{"GET", "/v1/explain", "", "name=web.{namespace}.svc.cluster.local&type=A", ``, [5]int{401, 200, 403, 200, 200}},
	{"GET", "/v1/explain", "", "name=web-1.web.{namespace}.svc.cluster.local&type=TXT", ``, [5]int{401, 200, 403, 200, 200}},
	{"GET", "/v1/export", "", "", ``, [5]int{401, 200, 200, 200, 200}},
	{"GET", "/v1/snapshot", "", "", ``, [5]int{401, 403, 403, 403, 200}},
	{"POST", "/v1/import", "", "", `{"format":1,"services":[],"instances":[{"namespace":"{namespace}","service":"web","id":"i","addresses":["192.0.2.7"]}]}`, [5]int{401, 403, 403, 200, 200}},
	{"POST", "/v1/import", "", "dryRun=true", `{"format":1,"services":[],"instances":[{"namespace":"foreign","service":"web","id":"i","addresses":["192.0.2.7"]}]}`, [5]int{401, 403, 403, 403, 200}},
	{"DELETE", aService, "", "", ``, [5]int{401, 403, 403, 200, 200}},
	{"DELETE", aService, "", "", ``, [5]int{401, 403, 403, 404, 404}},
}

// of fills in a namespace.
func (a *ask) of(namespace string) (path, body string) {
	path = strings.NewReplacer("{namespace}", namespace, "{service}", "web", "{id}", a.id).Replace(a.pattern)
	fill := strings.NewReplacer("{namespace}", namespace)
	if a.query != "" {
		path += "?" + fill.Replace(a.query)
	}
	return path, fill.Replace(a.body)
}

// party is somebody who asks, in a namespace of that name.
type party struct {
	name string
	*endpoint
	column  int
	unknown int // the status that stands for 401
}

func TestEveryRouteTakesItsGrant(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		name := "tokens"
		if secure {
			name = "TLS, CLIENT_CA and tokens"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			tokens := make([]string, 5)
			for n := range tokens {
				tokens[n] = newToken()
			}
			lines := []string{
				tokenLine("root", tokens[ruler], "admin"),
				tokenLine("reader", tokens[reader], "read:reader/web"),
				tokenLine("elsewhere", tokens[elsewhere], "write:elsewhere/other"),
				tokenLine("writer", tokens[writer], "write:writer/web"),
			}
			corefile, parties, shutOut := "tokens {$FILES}/tokens", []party(nil), []party(nil)
			servers, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "others")
			if secure {
				corefile += "\ntls {$FILES}/cert.pem {$FILES}/key.pem {$FILES}/clients.pem"
				lines = append(lines, "spiffe://example.org/writer cert write:cert-writer/web\n", "spiffe://example.org/reader cert read:cert-reader/web\n")
				f.put(t, servers.today(t))
				f.replace(t, "clients.pem", clients.PEM)
			}
			f.setTokens(t, lines...)
			s := startGuarded(t, f, guarded(corefile+"\nstore disk {$FILES}/store"))
			any := servers.trusting(clients.identified(t, "spiffe://example.org/any"))
			as := func(name, token string, column int) party {
				if !secure {
					return party{name, s.as(t, token, nil), column, http.StatusUnauthorized}
				}
				return party{name, s.as(t, token, any), column, http.StatusUnauthorized}
			}
			parties = []party{
				as("no-token", "", stranger),
				as("wrong-token", newToken(), stranger),
				as("almost-token", tokens[ruler][:len(tokens[ruler])-1], stranger),
				as("reader", tokens[reader], reader),
				as("elsewhere", tokens[elsewhere], elsewhere),
				as("writer", tokens[writer], writer),
				as("ruler", tokens[ruler], ruler),
			}
			if secure {
				with := func(name, token string, column, unknown int, p *pair) party {
					return party{name, s.as(t, token, servers.trusting(p)), column, unknown}
				}
				parties[0].unknown = http.StatusForbidden // who they are is known: nobody who may do anything
				certWriter := clients.identified(t, "spiffe://example.org/writer")
				parties = append(parties,
					with("cert-writer", "", writer, 0, certWriter),
					with("cert-reader", "", reader, 0, clients.identified(t, "spiffe://example.org/reader")),
					with("cert-wrong-token", newToken(), stranger, http.StatusUnauthorized, certWriter))
				shutOut = []party{
					with("no-certificate", tokens[ruler], 0, 0, nil),
					with("other-authority", tokens[ruler], 0, 0, others.identified(t, "spiffe://example.org/writer")),
					with("self-signed", tokens[ruler], 0, 0, (&authority{new(testca.Authority)}).identified(t, "spiffe://example.org/writer")),
					with("of-a-server", tokens[ruler], 0, 0, clients.today(t)),
				}
			}
			root := parties[6]
			if secure {
				root.must(t, http.StatusOK, http.MethodGet, "/v1/status", "")
			}
			for _, p := range append(parties, party{name: "foreign"}) {
				root.must(t, http.StatusCreated, http.MethodPut, "/v1/namespaces/"+p.name+"/services/web/instances/web-1", `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
			}
			routesAreAsked(t, root.endpoint)
			for _, p := range parties {
				t.Run(p.name, func(t *testing.T) {
					p.seesItsOwnOnly(t)
					for _, a := range asks {
						want := a.want[p.column]
						if want == http.StatusUnauthorized {
							want = p.unknown
						}
						path, body := a.of(p.name)
						if got, err := p.status(t.Context(), a.method, path, body); err != nil || got != want {
							t.Errorf("%s %s %s: got %d, %v, want %d", a.method, path, body, got, err, want)
						}
					}
				})
			}
			before := s.scrape(t).sum("coredns_registry_endpoint_requests_total")
			for _, p := range shutOut {
				t.Run(p.name, func(t *testing.T) {
					for _, a := range asks {
						path, body := a.of(p.name)
						if got, err := p.status(t.Context(), a.method, path, body); err == nil {
							t.Errorf("%s %s: got %d, want no answer at all", a.method, path, got)
						}
					}
				})
			}
			if after := s.scrape(t).sum("coredns_registry_endpoint_requests_total"); after != before {
				t.Errorf("%.0f requests of clients that TLS is to keep out have been served", after-before)
			}
		})
	}
}

// status makes a request and returns its status alone: some answers have no end.
func (e *endpoint) status(ctx context.Context, method, path, body string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+e.address+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	response, err := e.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if !strings.HasPrefix(path, "/v1/watch") {
		_, err = io.Copy(io.Discard, response.Body)
	}
	return response.StatusCode, err
}

// routesAreAsked holds the asks to have every route of the OpenAPI document among them.
func routesAreAsked(t *testing.T, e *endpoint) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	decode(t, e.must(t, http.StatusOK, http.MethodGet, "/openapi.json", ""), &document)
	asked := map[string]bool{}
	for _, a := range asks {
		asked[strings.ToLower(a.method)+" "+a.pattern] = true
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if method != "parameters" && !asked[method+" "+path] {
				t.Errorf("nobody asks %s %s", method, path)
			}
		}
	}
}

// seesItsOwnOnly looks through everything that shows the table for what is not the party's to
// see, which is any other namespace.
func (p *party) seesItsOwnOnly(t *testing.T) {
	t.Helper()
	if p.column == stranger || p.column == ruler {
		return
	}
	var all strings.Builder
	for _, path := range []string{"/v1/namespaces", "/v1/services", "/v1/namespaces/foreign/services", "/v1/export"} {
		all.WriteString(p.must(t, http.StatusOK, http.MethodGet, path, ""))
	}
	w := p.watch(t, "", false)
	for {
		c, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Type == "synced" {
			break
		}
		all.WriteString(c.String())
	}
	sees := all.String()
	for _, name := range []string{"foreign", "ruler", "no-token"} {
		if strings.Contains(sees, name) {
			t.Errorf("%s sees what is in %s: %s", p.name, name, sees)
		}
	}
	if got, want := strings.Contains(sees, "web-1"), p.column != elsewhere; got != want {
		t.Errorf("%s sees web-1: %t, want %t: %s", p.name, got, want, sees)
	}
	for _, path := range []string{"/v1/namespaces/foreign/services/web", "/v1/namespaces/foreign/services/none", "/v1/explain?name=web.foreign.svc.cluster.local&type=A"} {
		if got, err := p.status(t.Context(), http.MethodGet, path, ""); err != nil || got != http.StatusForbidden {
			t.Errorf("GET %s: got %d, %v, want 403 whether or not it is there", path, got, err)
		}
	}
}
