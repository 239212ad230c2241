package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coredns-registry/registry/service"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// described returns the document, loaded and found valid.
var described = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		panic(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		panic(err)
	}
	return doc
})

// route returns what the document has of a request, with the names in its path; nil
// where it has nothing.
func route(request *http.Request) (*routers.Route, map[string]string) {
	path, ok := split(request.URL.EscapedPath())
	for r := range resources {
		if !ok || !path.match(patterns[r]) {
			continue
		}
		item := described().Paths.Value(resources[r].path)
		if item == nil || item.GetOperation(request.Method) == nil {
			return nil, nil
		}
		id := path.id()
		return &routers.Route{
			Spec: described(), Path: resources[r].path, PathItem: item,
			Method: request.Method, Operation: item.GetOperation(request.Method),
		}, map[string]string{"namespace": id.Namespace, "service": id.Name.Service, "id": id.ID}
	}
	return nil, nil
}

// documented fails the test unless the document has the answer: its status, its type,
// every field. What no route is for needs no entry.
func documented(t *testing.T, request *http.Request, response *http.Response, body []byte) {
	t.Helper()
	if response.StatusCode == http.StatusMethodNotAllowed || request.Method == http.MethodHead {
		return
	}
	route, parameters := route(request)
	if route == nil {
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s is not in the document, and was answered with %d", request.Method, request.URL, response.StatusCode)
		}
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("%s %s: the document has no such answer: %v\n%s", request.Method, request.URL, err, body)
	}
}

// requestAllowed reports whether the document allows the body of a request.
func requestAllowed(t *testing.T, method, path, body string) bool {
	t.Helper()
	request, err := http.NewRequest(method, "http://registry"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	route, parameters := route(request)
	err = openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{ExcludeReadOnlyValidations: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	return err == nil
}

func init() {
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
}

func TestDocumentIsServed(t *testing.T) {
	w := start(t)
	got := w.must(http.StatusOK, "GET", "/openapi.json", "")
	if got.body != string(document) || got.get(t, "openapi") != "3.1.0" {
		t.Errorf("got %.100s", got.body)
	}
}

func TestDocumentHasEveryRouteAndNoOther(t *testing.T) {
	doc := described()
	var routes, written []string
	for _, r := range resources {
		for _, m := range r.methods {
			routes = append(routes, m.name+" "+r.path)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			written = append(written, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(written)
	if !slices.Equal(routes, written) {
		t.Errorf("the document has\n%s\nthe routing table\n%s", strings.Join(written, "\n"), strings.Join(routes, "\n"))
	}
}

// What a method takes, and how it may be refused, is told of each.
func TestDocumentHasWhatEveryRouteTakes(t *testing.T) {
	owned := []string{"PUT instance", "DELETE instance", "PUT heartbeat", "PUT status", "POST heartbeats", "POST batch", "POST import"}
	for _, r := range resources {
		for _, m := range r.methods {
			o := described().Paths.Value(r.path).GetOperation(m.name)
			want := "[map[] map[token:[]] map[certificate:[]]]" // none is needed where none is asked for
			if m.needs == nothing {
				want = "[]"
			}
			if got := "nothing"; o.Security == nil || fmt.Sprint(*o.Security) != want {
				if o.Security != nil {
					got = fmt.Sprint(*o.Security)
				}
				t.Errorf("%s takes %s, want %s", m.route, got, want)
			}
			for code, want := range map[string]bool{
				"401": m.needs != nothing,
				"403": true, // for a page from elsewhere too
				"409": slices.Contains(owned, m.route),
				"429": m.needs != nothing,
			} {
				if got := o.Responses.Value(code) != nil; got != want {
					t.Errorf("%s is answered with %s: %v, want %v", m.route, code, got, want)
				}
			}
		}
	}
	for name, is := range map[string]string{"token": "http bearer", "certificate": "mutualTLS "} {
		s := described().Components.SecuritySchemes[name].Value
		if got := s.Type + " " + s.Scheme; got != is {
			t.Errorf("%s is %s, want %s", name, got, is)
		}
	}
}

func TestDocumentHasEveryFieldOfARequestAndNoOther(t *testing.T) {
	for schema, fields := range map[string]fields{
		"InstanceSpec": instanceFields,
		"ServiceSpec":  definitionFields,
		"Port":         portFields,
		"Status":       statusFields,
		"Batch":        batchFields,
		"Operation":    operationFields,
		"Heartbeats":   heartbeatsFields,
		"Identity":     identityFields,

		"Import":           importFields,
		"ImportedService":  importedServiceFields,
		"ImportedInstance": importedInstanceFields,
	} {
		doc := described()
		var read, ignored []string
		for name, property := range doc.Components.Schemas[schema].Value.Properties {
			if property.Value.ReadOnly {
				ignored = append(ignored, name)
			} else {
				read = append(read, name)
			}
		}
		if !sameElements(read, fields.read) || !sameElements(ignored, fields.ignored) {
			t.Errorf("%s has %v and ignores %v, the decoder has %v and ignores %v", schema, read, ignored, fields.read, fields.ignored)
		}
	}
}

func sameElements(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// Every answer of every test is held against its schema, so that no field is missing in
// the document. This is the other direction.
func TestDocumentHasNoFieldThatIsNeverAnswered(t *testing.T) {
	w := start(t)
	full := `{"addresses":["192.0.2.7"],"ports":[{"name":"http","port":80}],"hostname":"a","weight":1,"zone":"z"}`
	define := func(name, body string) string {
		return w.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/"+name, body).body
	}
	member := func(body string, path ...string) string {
		v, err := json.Marshal(answer{body: body}.get(t, path...))
		if err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	element := func(body, list string, i int) string {
		v, err := json.Marshal(answer{body: body}.get(t, list).([]any)[i])
		if err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	w.memory.failing, w.memory.evictions = true, Evictions{Held: 1, HeldServices: 1, Services: []HeldService{{Name: service.Name{Namespace: "default", Service: "web"}, Held: 1}}}
	troubled := w.must(http.StatusOK, "GET", "/v1/status", "").body
	other := start(t, newGate(t, "ci write:*/*").guards)
	for _, put := range []struct{ path, body string }{
		{"c", `{"type":"clusterIP","clusterIPs":["192.0.2.1"]}`}, {"e", `{"type":"externalName","externalName":"example.org"}`}, {"c/instances/1", full},
	} {
		other.must(http.StatusCreated, "PUT", "/v1/namespaces/default/services/"+put.path, put.body, as("ci")...)
	}
	exported := other.must(http.StatusOK, "GET", "/v1/export", "", as("ci")...).body
	imported := w.must(http.StatusOK, "POST", "/v1/import?dryRun=true", exported).body
	for schema, bodies := range map[string][]string{
		"Instance": {w.must(http.StatusCreated, "PUT", web1, full).body},
		"Port":     {`{"name":"http","protocol":"tcp","port":80}`},
		"Service":  {define("c", `{"type":"clusterIP","clusterIPs":["192.0.2.1"]}`), define("e", `{"type":"externalName","externalName":"example.org"}`)},
		"ServiceWithInstances": {
			w.must(http.StatusOK, "GET", "/v1/namespaces/default/services/c", "").body,
			w.must(http.StatusOK, "GET", "/v1/namespaces/default/services/e", "").body,
		},
		"NamespaceList":    {w.must(http.StatusOK, "GET", "/v1/namespaces", "").body, `{"continue":""}`},
		"ServiceList":      {w.must(http.StatusOK, "GET", "/v1/services?limit=1", "").body},
		"Explanation":      {w.must(http.StatusOK, "GET", "/v1/explain?name=a", "").body},
		"ServerStatus":     {troubled},
		"Evictions":        {member(troubled, "evictions")},
		"HeldService":      {`{"namespace":"default","service":"web","held":1}`},
		"Counts":           {member(troubled, "counts")},
		"Export":           {exported},
		"ExportedService":  {element(exported, "services", 0), element(exported, "services", 1)},
		"ExportedInstance": {element(exported, "instances", 0)},
		"ImportResult":     {imported},
		"Tally":            {member(imported, "services")},
		"Problem":          {w.must(http.StatusUnprocessableEntity, "GET", "/v1/explain", "").body},
		"HeartbeatsResult": {w.must(http.StatusOK, "POST", "/v1/heartbeats", `{"instances":[]}`).body, `{"moreUnknown":1}`},
		"Deregistered":     {w.must(http.StatusOK, "DELETE", web1, "").body},
		"Deleted":          {w.must(http.StatusOK, "DELETE", "/v1/namespaces/default/services/c", "").body},
		"BatchResult":      {w.must(http.StatusOK, "POST", "/v1/batch", `{"operations":[{"op":"register","namespace":"a","service":"b","id":"c","instance":`+oneOf4+`}]}`).body},
	} {
		doc := described()
		answered := map[string]bool{}
		for _, body := range bodies {
			var object map[string]any
			if err := json.Unmarshal([]byte(body), &object); err != nil {
				t.Fatal(err)
			}
			for name := range object {
				answered[name] = true
			}
		}
		written := slices.Sorted(maps.Keys(doc.Components.Schemas[schema].Value.Properties))
		if got := slices.Sorted(maps.Keys(answered)); !slices.Equal(got, written) {
			t.Errorf("%s is answered with %v, the document has %v", schema, got, written)
		}
	}
}

func TestDocumentHasTheLimitsOfTheDecoder(t *testing.T) {
	w := start(t)
	const batch = "/v1/batch"
	operation := func(s string) string { return `{"operations":[{"namespace":"a","service":"b","id":"c",` + s + `}]}` }
	for _, c := range []struct{ what, method, path, body string }{
		{"the least there can be", "PUT", web1, oneOf4},
		{"all there can be", "PUT", web1, `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","protocol":"sctp","port":65535}],
			"hostname":"a","weight":65535,"priority":65535,"zone":"z","metadata":{"a":"b"},"leaseSeconds":0,"status":"down"}`},
		{"what was answered", "PUT", web1, `{"addresses":["192.0.2.7"],"revision":"x","names":null,"id":7,"expiresAt":{}}`},
		{"no address", "PUT", web1, `{"addresses":[]}`},
		{"no addresses", "PUT", web1, `{}`},
		{"an unknown field", "PUT", web1, `{"addresses":["192.0.2.7"],"adresses":1}`},
		{"a weight out of range", "PUT", web1, `{"addresses":["192.0.2.7"],"weight":65536}`},
		{"a port out of range", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":0}]}`},
		{"a port without its number", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"name":"a"}]}`},
		{"a port name with an underscore", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":1,"name":"_a"}]}`},
		{"null", "PUT", web1, `{"addresses":["192.0.2.7"],"zone":null}`},
		{"a lease below zero", "PUT", web1, `{"addresses":["192.0.2.7"],"leaseSeconds":-1}`},
		{"an unknown status", "PUT", web1, `{"addresses":["192.0.2.7"],"status":"UP"}`},
		{"a long zone", "PUT", web1, `{"addresses":["192.0.2.7"],"zone":"` + strings.Repeat("z", 64) + `"}`},
		{"a key with =", "PUT", web1, `{"addresses":["192.0.2.7"],"metadata":{"a=b":""}}`},
		{"an empty key", "PUT", web1, `{"addresses":["192.0.2.7"],"metadata":{"":""}}`},
		{"a number as value", "PUT", web1, `{"addresses":["192.0.2.7"],"metadata":{"a":1}}`},
		{"an empty definition", "PUT", web, `{}`},
		{"64 ports", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":1}` + strings.Repeat(`,{"port":1}`, 63) + `]}`},
		{"65 ports", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":1}` + strings.Repeat(`,{"port":1}`, 64) + `]}`},
		{"65 ports of a service", "PUT", web, `{"ports":[{"port":1}` + strings.Repeat(`,{"port":1}`, 64) + `]}`},
		{"an unknown type", "PUT", web, `{"type":"ClusterIP"}`},
		{"status", "PUT", web1 + "/status", `{"status":"draining"}`},
		{"no status", "PUT", web1 + "/status", `{}`},
		{"an empty batch", "POST", batch, `{"operations":[]}`},
		{"a register", "POST", batch, operation(`"op":"register","instance":` + oneOf4)},
		{"a register without an instance", "POST", batch, operation(`"op":"register"`)},
		{"a heartbeat", "POST", batch, operation(`"op":"heartbeat"`)},
		{"a heartbeat with an instance", "POST", batch, operation(`"op":"heartbeat","instance":` + oneOf4)},
		{"a status without one", "POST", batch, operation(`"op":"status"`)},
		{"a register with a status", "POST", batch, operation(`"op":"register","status":"up","instance":` + oneOf4)},
		{"an unknown operation", "POST", batch, operation(`"op":"define"`)},
		{"an operation without names", "POST", batch, `{"operations":[{"op":"heartbeat"}]}`},
		{"heartbeats", "POST", "/v1/heartbeats", `{"instances":[{"namespace":"A","service":"","id":"/"}]}`},
		{"the least import", "POST", "/v1/import", `{"format":1}`},
		{"an import of all there can be", "POST", "/v1/import?dryRun=false", `{"format":1,"revision":7,"services":[{"namespace":"a","service":"b","type":"headless",
			"ports":[],"publishNotReady":true,"metadata":{},"revision":1,"defined":true,"instanceCount":7}],"instances":[{"namespace":"a","service":"b","id":"c",
			"addresses":["192.0.2.7"],"ports":[],"hostname":"a","weight":1,"priority":1,"zone":"z","metadata":{"a":"b"},"leaseSeconds":0,"status":"down",
			"revision":7,"registeredAt":"x","expiresAt":null,"names":[]}]}`},
		{"an import of no format", "POST", "/v1/import", `{}`},
		{"an import of the format of today", "POST", "/v1/import", `{"format":2,"instances":[{"namespace":"a","service":"b","id":"c","addresses":["192.0.2.7"],"owner":"ci"}]}`},
		{"an import of another format", "POST", "/v1/import", `{"format":3}`},
		{"an owner that is too long", "POST", "/v1/import", `{"format":2,"instances":[{"namespace":"a","service":"b","id":"c","addresses":["192.0.2.7"],"owner":"` +
			strings.Repeat("o", service.MaxOwnerBytes+1) + `"}]}`},
		{"an import of services that are none", "POST", "/v1/import", `{"format":1,"services":{}}`},
		{"an imported service without a name", "POST", "/v1/import", `{"format":1,"services":[{"namespace":"a"}]}`},
		{"an imported service with instances", "POST", "/v1/import", `{"format":1,"services":[{"namespace":"a","service":"b","instances":[]}]}`},
		{"an imported instance without an id", "POST", "/v1/import", `{"format":1,"instances":[{"namespace":"a","service":"b","addresses":["192.0.2.7"]}]}`},
		{"an imported instance without an address", "POST", "/v1/import", `{"format":1,"instances":[{"namespace":"a","service":"b","id":"c"}]}`},
		{"an unknown field of an import", "POST", "/v1/import", `{"format":1,"x":1}`},
		{"a heartbeat without id", "POST", "/v1/heartbeats", `{"instances":[{"namespace":"a","service":"b"}]}`},
	} {
		w.do("PUT", web1, oneOf4) // for those that need one
		w.do("PUT", "/v1/namespaces/a/services/b/instances/c", oneOf4)
		got := w.do(c.method, c.path, c.body)
		if written := requestAllowed(t, c.method, c.path, c.body); written != (got.code < 300) {
			t.Errorf("%s: the document allows it: %t, but it was answered with %d %s", c.what, written, got.code, got.body)
		}
	}
}

// event fails the test unless the line of a stream is one that the document has.
func documentedEvent(t *testing.T, line string) {
	t.Helper()
	doc := described()
	var v any
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := doc.Components.Schemas["Event"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("the document has no such event: %v\n%s", err, line)
	}
}
