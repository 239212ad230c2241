package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// resource is one kind of path and what can be done with it.
type resource struct {
	path    string // {namespace}, {service} and {id} stand for any one segment
	methods []method
}

// method is one thing that can be done with a resource. GET stands for HEAD too.
type method struct {
	name  string
	route string // its label in metrics
	needs need
	serve func(*call)
}

// otherRoute is the label of all requests that no route is for.
const otherRoute = "other"

// resources are all there are. The document served as /openapi.json tells the same, and
// a test holds the two against each other.
var resources = []resource{
	{"/v1/namespaces/{namespace}/services/{service}/instances/{id}", []method{
		{http.MethodGet, "GET instance", read, getInstance},
		{http.MethodPut, "PUT instance", write, putInstance},
		{http.MethodDelete, "DELETE instance", write, deleteInstance},
	}},
	{"/v1/namespaces/{namespace}/services/{service}/instances/{id}/heartbeat", []method{
		{http.MethodPut, "PUT heartbeat", beat, putHeartbeat},
	}},
	{"/v1/namespaces/{namespace}/services/{service}/instances/{id}/status", []method{
		{http.MethodPut, "PUT status", write, putStatus},
	}},
	{"/v1/namespaces/{namespace}/services/{service}", []method{
		{http.MethodGet, "GET service", read, getService},
		{http.MethodPut, "PUT service", write, putService},
		{http.MethodDelete, "DELETE service", write, deleteService},
	}},
	{"/v1/namespaces/{namespace}/services", []method{
		{http.MethodGet, "GET services of namespace", readSome, listServices},
	}},
	{"/v1/namespaces", []method{{http.MethodGet, "GET namespaces", readSome, listNamespaces}}},
	{"/v1/services", []method{{http.MethodGet, "GET services", readSome, listServices}}},
	{"/v1/heartbeats", []method{{http.MethodPost, "POST heartbeats", beatEach, postHeartbeats}}},
	{"/v1/batch", []method{{http.MethodPost, "POST batch", writeEach, postBatch}}},
	{"/v1/watch", []method{{http.MethodGet, watchRoute, readSome, watch}}},
	{"/v1/explain", []method{{http.MethodGet, "GET explain", readSome, explain}}},
	{"/v1/snapshot", []method{{http.MethodGet, "GET snapshot", admin, getSnapshot}}},
	{"/v1/export", []method{{http.MethodGet, "GET export", readSome, getExport}}},
	{"/v1/import", []method{{http.MethodPost, "POST import", writeEach, postImport}}},
	{"/v1/status", []method{{http.MethodGet, "GET status", nothing, getStatus}}},
	{"/openapi.json", []method{{http.MethodGet, "GET openapi", nothing, getOpenAPI}}},
}

// find returns the method that a request asks for. Where the path has resources but not
// that method, allowed says which it has.
func find(name string, path segments) (m *method, allowed string) {
	for r := range resources {
		if !path.match(patterns[r]) {
			continue
		}
		methods := resources[r].methods
		for i := range methods {
			if methods[i].name == name || name == http.MethodHead && methods[i].name == http.MethodGet {
				return &methods[i], ""
			}
		}
		return nil, allow(methods)
	}
	return nil, ""
}

func allow(methods []method) string {
	var names []string
	for _, m := range methods {
		names = append(names, m.name)
		if m.name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return strings.Join(names, ", ")
}

// maxSegments is how many the longest path has.
const maxSegments = 8

// segments are the parts of a path between its slashes, decoded.
type segments struct {
	n    int
	part [maxSegments]string
}

// patterns are the paths of the resources, split.
var patterns = func() []segments {
	var all []segments
	for _, r := range resources {
		s := segments{}
		for part := range strings.SplitSeq(r.path[1:], "/") {
			s.part[s.n] = part
			s.n++
		}
		all = append(all, s)
	}
	return all
}()

// split takes an escaped path apart as it is written. It reports false where no resource
// can be meant:
//
//	//  and a slash at the end     an empty segment
//	/./ /../ /%2e/                 another path in disguise
//	%2F                            a name with a slash in it, and none has
//
// Nothing is cleaned or redirected: whoever writes such a path, a proxy on the way may
// have read it differently from us, and that is how access rules are evaded.
func split(path string) (s segments, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	for more := ok; more; s.n++ {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if strings.IndexByte(part, '%') >= 0 {
			decoded, err := url.PathUnescape(part)
			if err != nil || strings.IndexByte(decoded, '/') >= 0 {
				return s, false
			}
			part = decoded
		}
		if s.n == maxSegments || part == "" || part == "." || part == ".." {
			return s, false
		}
		s.part[s.n] = part
	}
	return s, ok
}

func (s *segments) match(pattern segments) bool {
	return s.n == pattern.n && slices.EqualFunc(s.part[:s.n], pattern.part[:s.n], func(part, wanted string) bool {
		return wanted[0] == '{' || part == wanted
	})
}

// id returns the names in the path, by their places in every path that has them:
// /v1/namespaces/{namespace}/services/{service}/instances/{id}.
func (s *segments) id() service.ID {
	return service.ID{Name: service.Name{Namespace: s.part[2], Service: s.part[4]}, ID: s.part[6]}
}
