package httpapi

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

func TestEveryFaultOfABodyIsToldAtOnce(t *testing.T) {
	w := start(t)
	w.must(http.StatusCreated, "PUT", web1, oneOf4)
	const bad, refused = http.StatusBadRequest, http.StatusUnprocessableEntity
	for _, c := range []struct {
		what, method, path, body string
		code                     int
		fields                   []string
	}{
		{"nothing in it", "PUT", web1, `{}`, refused, []string{"addresses"}},
		{"no address", "PUT", web1, `{"addresses":[]}`, refused, []string{"addresses"}},
		{"a string that is no address", "PUT", web1, `{"addresses":["192.0.2.7","web-1"]}`, refused, []string{"addresses[1]"}},
		{"addresses that are not allowed", "PUT", web1, `{"addresses":["0.0.0.0","::ffff:192.0.2.1","ff02::1","fe80::1%eth0","192.0.2.7","192.0.2.7"]}`, refused,
			[]string{"addresses[0]", "addresses[1]", "addresses[2]", "addresses[3]", "addresses[5]"}},
		{"an address too many, and one that is none", "PUT", web1, `{"addresses":["x",` + manyAddresses(16) + `]}`, refused, []string{"addresses", "addresses[0]"}},
		{"an address too many", "PUT", web1, `{"addresses":[` + manyAddresses(17) + `]}`, refused, []string{"addresses"}},
		{"a value of every field out of range", "PUT", web1,
			`{"addresses":["192.0.2"],"ports":[{"port":70000},{"port":0,"protocol":"TCP"},{"port":1,"name":"_x"},{}],"hostname":"a.b","weight":65536,
			"priority":-1,"zone":"` + strings.Repeat("z", 64) + `","metadata":{"a=b":""},"leaseSeconds":-5,"status":"UP"}`, refused,
			[]string{"addresses[0]", "hostname", "leaseSeconds", "metadata.a=b", "ports[0].port", "ports[1].port", "ports[1].protocol",
				"ports[2].name", "ports[3].port", "priority", "status", "weight", "zone"}},
		{"a wrong type in every field", "PUT", web1,
			`{"addresses":"192.0.2.7","ports":{},"hostname":1,"weight":"1","priority":true,"zone":[],"metadata":[],"leaseSeconds":{},"status":0}`, bad,
			[]string{"addresses", "hostname", "leaseSeconds", "metadata", "ports", "priority", "status", "weight", "zone"}},
		{"null in every field is nothing in it", "PUT", web1,
			`{"addresses":null,"ports":null,"hostname":null,"weight":null,"priority":null,"zone":null,"metadata":null,"leaseSeconds":null,"status":null}`, refused,
			[]string{"addresses"}},
		{"null for a field and a value for the same", "PUT", web1, `{"addresses":["192.0.2.7"],"zone":null,"zone":"a","weight":1,"weight":null,"metadata":{"a":null,"a":"b"}}`, bad,
			[]string{"metadata.a", "weight", "zone"}},
		{"null in the place of an element", "PUT", web1, `{"addresses":["192.0.2.7",null],"ports":[null,{"port":null}]}`, bad,
			[]string{"addresses[1]", "ports[0]", "ports[1].port"}},
		{"wrong types deeper down", "PUT", web1,
			`{"addresses":[1,null,"192.0.2.7"],"ports":[1,{"port":"80","name":1,"protocol":2},[],{"port":1.5}],"metadata":{"a":1,"b":{},"c":"d"}}`, bad,
			[]string{"addresses[0]", "addresses[1]", "metadata.a", "metadata.b", "ports[0]", "ports[1].name", "ports[1].port",
				"ports[1].protocol", "ports[2]", "ports[3].port"}},
		{"faults of form and of value together", "PUT", web1, `{"adresses":["192.0.2.7"],"weight":70000,"zone":7,"ports":[{"port":80,"nam":"http"}],"hostname":"-"}`, bad,
			[]string{"addresses", "adresses", "hostname", "ports[0].nam", "weight", "zone"}},
		{"a name in the path that cannot be, and a fault of form", "PUT", "/v1/namespaces/Default/services/web/instances/a%20b", `{"addresses":["192.0.2.7"],"x":1}`, bad,
			[]string{"id", "namespace", "x"}},
		{"names in the path that cannot be", "PUT", "/v1/namespaces/Default/services/_web/instances/a%20b", oneOf4, refused, []string{"id", "namespace", "service"}},
		{"repeated fields", "PUT", web1, `{"addresses":["192.0.2.7"],"addresses":[],"id":1,"id":1,"ports":[{"port":1,"port":1}],"metadata":{"a":"","b":"","a":"","\u0061":""}}`, bad,
			[]string{"addresses", "id", "metadata.a", "ports[0].port"}},
		{"a repeated field in a value that is ignored", "PUT", web1, `{"addresses":["192.0.2.7"],"names":{"a":{"b":1,"b":2}}}`, bad, []string{"names"}},
		{"repeated fields of every object there is", "POST", "/v1/batch", `{"operations":[{"op":"register","op":"register","namespace":"a","service":"b","id":"c","id":"c",
			"instance":{"addresses":["192.0.2.7"],"status":null,"status":"up"}}],"operations":[]}`, bad, []string{"operations", "operations[0].id", "operations[0].instance.status", "operations[0].op"}},
		{"a repeated field of a heartbeat", "POST", "/v1/heartbeats", `{"instances":[{"namespace":"a","service":"b","id":"c","id":"c"}],"instances":null}`, bad, []string{"instances", "instances[0].id"}},
		{"a repeated status", "PUT", web1 + "/status", `{"status":"up","status":"up"}`, bad, []string{"status"}},
		{"one field, written in two ways", "PUT", web1, `{"addresses":["192.0.2.7"],"zone":"","\u007aone":""}`, bad, []string{"zone"}},
		{"a name that stands twice for a protocol", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"name":"a","port":1},{"name":"A","port":2},{"name":"a","port":1,"protocol":"udp"}]}`, refused,
			[]string{"ports[1].name"}},
		{"numbers that are not whole", "PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":80.5},{"port":1e-1}],"weight":1.5e0,"priority":-0.1,"leaseSeconds":3e-99999999999999999999}`, bad,
			[]string{"leaseSeconds", "ports[0].port", "ports[1].port", "priority", "weight"}},
		{"numbers that are too large for anything", "PUT", web1, `{"addresses":["192.0.2.7"],"weight":1e9999999999999999999999,"priority":-1e18,"leaseSeconds":99999999999999999999}`, refused,
			[]string{"leaseSeconds", "priority", "weight"}},
		{"a list", "PUT", web1, `[]`, bad, []string{""}},
		{"a string", "PUT", web1, `"x"`, bad, []string{""}},

		{"an unknown status", "PUT", web1 + "/status", `{"status":"Up"}`, refused, []string{"status"}},
		{"no status", "PUT", web1 + "/status", `{}`, refused, []string{"status"}},
		{"a status that is no string", "PUT", web1 + "/status", `{"status":false,"x":1}`, bad, []string{"status", "x"}},
		{"a status that is null", "PUT", web1 + "/status", `{"status":null}`, refused, []string{"status"}},
		{"a body that is null", "PUT", web1 + "/status", `null`, bad, []string{""}},

		{"an unknown type", "PUT", web, `{"type":"ClusterIP","clusterIPs":["192.0.2.1"]}`, refused, []string{"type"}},
		{"a type that is no string", "PUT", web, `{"type":1,"externalName":"example.org"}`, bad, []string{"type"}},
		{"a cluster IP too little", "PUT", web, `{"type":"clusterIP"}`, refused, []string{"clusterIPs"}},
		{"a cluster IP too much", "PUT", web, `{"clusterIPs":["192.0.2.1"]}`, refused, []string{"clusterIPs"}},
		{"an external name that is none", "PUT", web, `{"type":"externalName","externalName":"a..b"}`, refused, []string{"externalName"}},
		{"a definition with all wrong", "PUT", web, `{"type":"x","clusterIPs":["x"],"externalName":3,"ports":[{"port":0}],"publishNotReady":"yes","metadata":{"":""},"y":0}`, bad,
			[]string{"clusterIPs[0]", "externalName", "metadata.", "ports[0].port", "publishNotReady", "type", "y"}},

		{"a batch of nothing", "POST", "/v1/batch", `{"operations":[]}`, refused, []string{"operations"}},
		{"a batch without operations", "POST", "/v1/batch", `{}`, refused, []string{"operations"}},
		{"a batch whose operations are null", "POST", "/v1/batch", `{"operations":null}`, refused, []string{"operations"}},
		{"operations whose fields are null", "POST", "/v1/batch", `{"operations":[{"op":null,"namespace":null,"service":null,"id":null,"instance":null,"status":null},
			{"op":"register","namespace":"a","service":"b","id":"c","instance":null},{"op":"status","namespace":"a","service":"b","id":"c","status":null},null]}`, bad, []string{
			"operations[0].id", "operations[0].namespace", "operations[0].op", "operations[0].service", "operations[1].instance", "operations[2].status", "operations[3]"}},
		{"a batch of an object", "POST", "/v1/batch", `{"operations":{}}`, bad, []string{"operations"}},
		{"a batch of too much", "POST", "/v1/batch", `{"operations":[` + strings.Repeat(`{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"},`, 1000) + `{}]}`, refused,
			[]string{"operations"}},
		{"a batch of many faults", "POST", "/v1/batch", `{"operations":[
			{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"},
			{"op":"heartbeat","namespace":"Default","service":"web","id":"web-1"},
			{"op":"register","namespace":"default","service":"web","id":"a b","instance":{"addresses":["x"],"ports":[{"port":70000}],"hostname":"-"}},
			{"op":"register","namespace":"default","service":"web","id":"web-1"},
			{"op":"register","namespace":"default","service":"web","id":"web-1","status":"up","instance":{}},
			{"op":"status","namespace":"default","service":"web","id":"web-1"},
			{"op":"status","namespace":"default","service":"web","id":"web-1","status":"x"},
			{"op":"deregister","namespace":"default","service":"web","id":"web-1","instance":{"addresses":["192.0.2.7"]},"status":"up"},
			{"op":"define","namespace":"default","service":"","id":""},
			{}]}`, refused, []string{
			"operations[1].namespace",
			"operations[2].id", "operations[2].instance.addresses[0]", "operations[2].instance.hostname", "operations[2].instance.ports[0].port",
			"operations[3].instance", "operations[4].instance.addresses", "operations[4].status", "operations[5].status", "operations[6].status",
			"operations[7].instance", "operations[7].status", "operations[8].id", "operations[8].op", "operations[8].service",
			"operations[9].id", "operations[9].namespace", "operations[9].op", "operations[9].service"}},
		{"a batch of wrong types", "POST", "/v1/batch", `{"operations":[1,{"op":1,"namespace":1,"service":"web","id":"a"},{"op":"register","namespace":"a","service":"web","id":"a","instance":[]},
			{"op":"register","namespace":"a","service":"web","id":"","x":1,"instance":{"x":1,"metadata":{"k":1}}}]}`, bad, []string{
			"operations[0]", "operations[1].namespace", "operations[1].op", "operations[2].instance",
			"operations[3].id", "operations[3].instance.addresses", "operations[3].instance.metadata.k", "operations[3].instance.x", "operations[3].x"}},
		{"a batch on what is not there", "POST", "/v1/batch", `{"operations":[
			{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"},
			{"op":"heartbeat","namespace":"default","service":"web","id":"web-2"},
			{"op":"deregister","namespace":"default","service":"web","id":"web-3"}]}`, refused, []string{"operations[1]", "operations[2]"}},

		{"heartbeats of what cannot be read", "POST", "/v1/heartbeats", `{"instances":[{},{"namespace":"a","service":1,"id":"b"},"a",{"namespace":"a","service":"b","id":"c","x":1}]}`, bad,
			[]string{"instances[0].id", "instances[0].namespace", "instances[0].service", "instances[1].service", "instances[2]", "instances[3].x"}},
		{"heartbeats whose fields are null", "POST", "/v1/heartbeats", `{"instances":[{"namespace":null,"service":"b","id":null}]}`, refused,
			[]string{"instances[0].id", "instances[0].namespace"}},
		{"heartbeats without instances", "POST", "/v1/heartbeats", `{}`, refused, []string{"instances"}},
	} {
		got := w.do(c.method, c.path, c.body)
		if got.code != c.code || !slices.Equal(got.fields(t), c.fields) {
			t.Errorf("%s: got %d %v, want %d %v\n%s", c.what, got.code, got.fields(t), c.code, c.fields, got.body)
		}
	}
	if got := w.must(http.StatusOK, "GET", web1, "").get(t, "revision").(json.Number); got != "101" {
		t.Errorf("a body with faults has changed something: revision %s, want 101", got)
	}
}

// Encoders write a number that came through floating point with a fraction, and null for what
// has no value.
func TestNullIsAnAbsentFieldAndAWholeNumberAnInteger(t *testing.T) {
	w := start(t)
	type request struct{ method, path, body string }
	for _, c := range []struct {
		what      string
		sent, has request
	}{
		{"an instance with nulls",
			request{"PUT", web1, `{"addresses":["192.0.2.7"],"ports":null,"hostname":null,"weight":null,"priority":null,"zone":null,"metadata":null,"leaseSeconds":null,"status":null,
				"namespace":null,"service":null,"id":null,"revision":null,"registeredAt":null,"expiresAt":null,"names":null}`},
			request{"PUT", web1, oneOf4}},
		{"nulls deeper down",
			request{"PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"name":null,"protocol":null,"port":80}],"metadata":{"a":null,"b":"c"}}`},
			request{"PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":80}],"metadata":{"b":"c"}}`}},
		{"whole numbers in every form",
			request{"PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":8080.0},{"port":8.08e+3},{"port":808000E-2},{"port":65535.000e0}],"weight":-0.0e9,"priority":1e2,"leaseSeconds":0.03e3}`},
			request{"PUT", web1, `{"addresses":["192.0.2.7"],"ports":[{"port":8080},{"port":8080},{"port":8080},{"port":65535}],"weight":0,"priority":100,"leaseSeconds":30}`}},
		{"a definition with nulls",
			request{"PUT", web, `{"type":null,"clusterIPs":null,"externalName":null,"ports":null,"publishNotReady":null,"metadata":null}`},
			request{"PUT", web, `{}`}},
		{"operations with nulls",
			request{"POST", "/v1/batch", `{"operations":[{"op":"heartbeat","namespace":"default","service":"web","id":"web-1","instance":null,"status":null},
				{"op":"register","namespace":"default","service":"web","id":"web-1","instance":` + oneOf4 + `,"status":null}]}`},
			request{"POST", "/v1/batch", `{"operations":[{"op":"heartbeat","namespace":"default","service":"web","id":"web-1"},
				{"op":"register","namespace":"default","service":"web","id":"web-1","instance":` + oneOf4 + `}]}`}},
		{"an import with nulls",
			request{"POST", "/v1/import", `{"format":2.0,"revision":null,"services":null,"instances":[{"namespace":"default","service":"web","id":"web-1","addresses":["192.0.2.7"],"owner":null,"weight":7.0}]}`},
			request{"POST", "/v1/import", `{"format":2,"instances":[{"namespace":"default","service":"web","id":"web-1","addresses":["192.0.2.7"],"weight":7}]}`}},
	} {
		if !requestAllowed(t, c.sent.method, c.sent.path, c.sent.body) {
			t.Errorf("%s: the document does not allow %s", c.what, c.sent.body)
		}
		if got := w.do(c.sent.method, c.sent.path, c.sent.body); got.code >= 300 {
			t.Errorf("%s: got %d %s", c.what, got.code, got.body)
		}
		revision := w.memory.State().Revision
		if got := w.do(c.has.method, c.has.path, c.has.body); got.code >= 300 || w.memory.State().Revision != revision {
			t.Errorf("%s: without them it is something else: %d %s", c.what, got.code, got.body)
		}
	}
}

// FuzzWholeNumber holds what is read of a number against arbitrary precision.
func FuzzWholeNumber(f *testing.F) {
	for _, seed := range []string{"0", "-0", "8080", "8080.0", "1e3", "1E+3", "80.80e2", "100e-2", "0.001e3", "1e-1", "0.5", "-0.0e-7", "1e18", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", "922337203685477580.7e1", "1e400", "0e99999999999999999999", "1e99999999999999999999", "1e-99999999999999999999", "0.10e1", "00", "1.", ".5", "+1", "1e", "0x10", "1_0", "Inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		if !json.Valid([]byte(number)) || strings.Trim(number, "-0123456789.eE+") != "" {
			return
		}
		n, whole, fits := wholeNumber([]byte(number))
		if _, exponent, _ := strings.Cut(strings.ToLower(number), "e"); len(strings.TrimLeft(exponent, "+-0")) > 3 {
			return // more than the twin has the time for
		}
		twin, ok := new(big.Rat).SetString(number)
		if !ok {
			t.Fatalf("%q is no number to the twin", number)
		}
		if whole != twin.IsInt() || whole && fits != twin.Num().IsInt64() || whole && fits && n != twin.Num().Int64() {
			t.Errorf("%s: got %d, whole %t, fits %t; it is %s", number, n, whole, fits, twin)
		}
	})
}

func manyAddresses(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"192.0.2.%d"`, i))
	}
	return strings.Join(all, ",")
}

func TestWhatIsNoJSONIsToldByItsByteOffset(t *testing.T) {
	w := start(t)
	for _, c := range []struct {
		what, body string
		offset     int
	}{
		{"an empty body", "", 0},
		{"only space", " \n ", 3},
		{"no JSON", "addresses=192.0.2.7", 0},
		{"something after it", `{"addresses":["192.0.2.7"]} x`, 28},
		{"a second value after it", `{"addresses":["192.0.2.7"]}{}`, 27},
		{"cut off", `{"addresses":["192.0.2.7"`, 25},
		{"cut off after faults", `{"x":1,"y":2,`, 13},
		{"a comma too much", `{"addresses":["192.0.2.7",]}`, 25},
		{"a comma too little", `{"addresses":["192.0.2.7"] "ports":[]}`, 27},
		{"a key that is no string", `{1:2}`, 1},
		{"single quotes", `{'addresses':[]}`, 1},
		{"a byte order mark", "\ufeff{}", 0},
		{"UTF-16", "{\x00}\x00", 1},
		{"not UTF-8 in a value", "{\"zone\":\"\xff\"}", 9},
		{"not UTF-8 in a key", "{\"\xff\":1}", 2},
		{"not UTF-8 in what is unknown", "{\"x\":\"\xc0\x80\"}", 6},
		{"a surrogate in UTF-8", "{\"zone\":\"\xed\xa0\x80\"}", 9},
		{"not UTF-8 in what is ignored", "{\"names\":[\"\xff\"]}", 11},
		{"half of a surrogate pair", `{"zone":"\ud800"}`, 9},
		{"a control character in a string", "{\"zone\":\"\n\"}", 9},
		{"a number with a leading zero", `{"weight":01}`, 11},
		{"NaN", `{"weight":NaN}`, 10},
		{"the wrong bracket", `{"addresses":["192.0.2.7"}`, 25},
		{"nesting without an end", strings.Repeat(`{"a":`, 10_001), -1},
		{"lists without an end", `{"names":` + strings.Repeat(`[`, 20_000), -1},
	} {
		got := w.do("PUT", web1, c.body)
		if got.code != http.StatusBadRequest || !slices.Equal(got.fields(t), []string{""}) {
			t.Errorf("%s: got %d %s, want 400 and one error", c.what, got.code, got.body)
		}
		if want := fmt.Sprintf("byte offset %d:", c.offset); c.offset >= 0 && !strings.Contains(got.body, want) {
			t.Errorf("%s: got %s, want %q in it", c.what, got.body, want)
		}
	}
}

func TestMoreFaultsThanAnyoneReadsAreCounted(t *testing.T) {
	w := start(t)
	body := `{"operations":[{` + strings.Repeat(`"":0,`, maxFaults+5) + `"x":1}]}`
	got := w.must(http.StatusBadRequest, "POST", "/v1/batch", body)
	fields := got.fields(t)
	if len(fields) != maxFaults+1 || !strings.Contains(got.body, "has 10 faults more") { // 6 fields, the op and its three names
		t.Errorf("got %d faults, and %s", len(fields), got.body[len(got.body)-200:])
	}
}

func TestWhatIsAnsweredMayComeBack(t *testing.T) {
	w := start(t)
	full := `{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","port":80},{"port":53,"protocol":"udp"}],"weight":0,"priority":1,
		"zone":"a/b","metadata":{"b":"é\"\\\u0001","a":"c"},"leaseSeconds":60,"status":"draining"}`
	put := w.must(http.StatusCreated, "PUT", web1, full)
	got := w.must(http.StatusOK, "GET", web1, "")
	if got.body != put.body {
		t.Errorf("PUT answered %s, GET %s", put.body, got.body)
	}
	again := w.must(http.StatusOK, "PUT", web1, got.body)
	if got.get(t, "revision") != again.get(t, "revision") {
		t.Errorf("the same body again: got %s, after %s", again.body, got.body)
	}

	for _, definition := range []string{`{}`, `{"type":"clusterIP","clusterIPs":["192.0.2.1"],"ports":[{"port":1}],"publishNotReady":true,"metadata":{"a":"b"}}`,
		`{"type":"externalName","externalName":"example.org."}`} {
		put := w.must(http.StatusOK, "PUT", web, definition)
		got := w.must(http.StatusOK, "GET", web, "")
		again := w.must(http.StatusOK, "PUT", web, got.body)
		if put.body != again.body {
			t.Errorf("PUT answered %s, and when what GET answered came back %s", put.body, again.body)
		}
	}
}

func TestAnInstanceIsAnsweredWithItsFields(t *testing.T) {
	w := start(t, func(o *Options) {})
	w.must(http.StatusCreated, "PUT", web1, `{"addresses":["2001:DB8::7"],"ports":[{"name":"http","port":80}],"leaseSeconds":0}`)
	got := w.must(http.StatusOK, "GET", web1, "")
	registered := got.get(t, "registeredAt").(string)
	want := `{"namespace":"default","service":"web","id":"web-1","addresses":["2001:db8::7"],"ports":[{"name":"http","protocol":"tcp","port":80}],
		"hostname":"web-1","priority":0,"metadata":{},"leaseSeconds":0,"status":"up","revision":101,"registeredAt":"` + registered + `","expiresAt":null,
		"names":["web-1.web.default.svc.cluster.local."]}`
	if got.body != compact(t, want) {
		t.Errorf("got  %s\nwant %s", got.body, compact(t, want))
	}
	w.must(http.StatusCreated, "PUT", web+"/instances/_x", `{"addresses":["192.0.2.7"]}`)
	got = w.must(http.StatusOK, "GET", web+"/instances/_x", "")
	if got.get(t, "hostname") != nil || got.get(t, "leaseSeconds").(json.Number) != "30" || got.get(t, "expiresAt") == nil {
		t.Errorf("without hostname and lease: got %s", got.body)
	}
}

// What a decoded instance is encoded as decodes to the same.
func FuzzDecodeInstance(f *testing.F) {
	for _, seed := range []string{
		`{}`, oneOf4, `[`, `null`, "{\"zone\":\"\xff\"}", `{"addresses":["fe80::1%a"],"zone":"\ud83d\ude00"}`,
		`{"addresses":["192.0.2.7","2001:db8::7"],"ports":[{"name":"http","protocol":"tcp","port":8080},{"port":1}],"hostname":"web-1","weight":10,
		"priority":0,"zone":"eu-west-1a","metadata":{"version":"1.4.2","":""},"leaseSeconds":30,"status":"up","names":[{"a":1}],"revision":7}`,
		`{"addresses":[1],"addresses":[],"ports":[[]],"metadata":{"a":"","a":""},"x":{"y":[{}]},"weight":1e3,"leaseSeconds":-1}`,
		`{"addresses":null,"ports":[{"name":null,"port":8080.0}],"metadata":{"a":null},"weight":1e3,"leaseSeconds":300e-1}`,
		`{"weight":65535,"priority":-0,"leaseSeconds":2147483647,"metadata":{"\"\\\/\b\f\n\r\t\u0000":"\u007f"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var w walker
		w.reset(body)
		first := w.instance()
		w.end()
		checkFaults(t, &w, body)
		if len(w.faults) > 0 {
			return
		}
		encoded := append(instanceMembers([]byte{'{'}, first), '}')
		w.reset(encoded)
		second := w.instance()
		w.end()
		if len(w.faults) > 0 || !first.Equal(second) {
			t.Fatalf("%s decodes to\n%+v, which is encoded as\n%s, which decodes to\n%+v with %v", body, first, encoded, second, w.faults)
		}
	})
}

// A batch without faults has an operation of each that the standard library sees in it.
func FuzzDecodeBatch(f *testing.F) {
	for _, seed := range []string{
		`{"operations":[]}`, `{"operations":[{}]}`, `{"operations":[1,null,{"op":"x"}]}`, `{"operations":{"a":[]}}`,
		`{"operations":[{"op":"register","namespace":"a","service":"b","id":"c","instance":` + oneOf4 + `},
		{"op":"deregister","namespace":"a","service":"b","id":"c"},{"op":"heartbeat","namespace":"a","service":"b","id":"c"},
		{"op":"status","namespace":"a","service":"b","id":"c","status":"down"}]}`,
		`{"operations":[{"op":"register","instance":null},{"op":"status","status":"u"},{"op":"heartbeat","instance":{"ports":[{"port":0}]}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var w walker
		w.reset(body)
		changes := w.batch((*service.Change).Check)
		w.end()
		checkFaults(t, &w, body)
		if len(w.faults) > 0 {
			return
		}
		var twin struct {
			Operations []struct{ Op, Namespace, Service, ID, Status string }
		}
		if err := json.Unmarshal(body, &twin); err != nil || len(twin.Operations) != len(changes) {
			t.Fatalf("%s: got %d changes, the standard library %d (%v)", body, len(changes), len(twin.Operations), err)
		}
		for i, c := range changes {
			o := twin.Operations[i]
			if got := []string{c.Op.String(), c.ID.Namespace, c.ID.Name.Service, c.ID.ID, c.Status.String()}; !slices.Equal(got, []string{o.Op, o.Namespace, o.Service, o.ID, o.Status}) {
				t.Errorf("%s: operation %d: got %q, the standard library %+v", body, i, got, o)
			}
			if (c.Op == service.Register) != (c.Instance != nil) || (c.Op == service.SetStatus) != (c.Status != service.Unset) {
				t.Errorf("%s: operation %d is %+v", body, i, c)
			}
		}
	})
}

// checkFaults holds the walk against the standard library, which takes what we take and
// more: repeated and unknown fields, and what is not UTF-8.
func checkFaults(t *testing.T, w *walker, body []byte) {
	t.Helper()
	if !w.broken && !json.Valid(body) {
		t.Fatalf("%q is no JSON, but was read", body)
	}
	if w.broken && (len(w.faults) != 1 || !w.malformed) || w.malformed && len(w.faults) == 0 {
		t.Fatalf("%q: broken %t, malformed %t: %v", body, w.broken, w.malformed, w.faults)
	}
	if len(w.path) != 0 {
		t.Fatalf("%q: the walk ended at %s", body, w.path)
	}
	c := call{Server: New(nil, Options{}), w: discard{http.Header{}}}
	c.fail(http.StatusBadRequest, "fuzzed", w.faults...)
	if !json.Valid(c.out) {
		t.Fatalf("%q: the problem is no JSON: %s", body, c.out)
	}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func TestEncodedTextIsWhatTheStandardLibraryReads(t *testing.T) {
	for _, s := range []string{"", "a", `"\`, "\x00\x1f\x7f", "é", "\u2028", "\U0001f600", "<&>", strings.Repeat("x", 300)} {
		var got string
		if err := json.Unmarshal(text(nil, s), &got); err != nil || got != s {
			t.Errorf("%q: got %s, which reads as %q (%v)", s, text(nil, s), got, err)
		}
	}
	if got := string(text(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("what is not UTF-8: got %s", got)
	}
	if !reflect.DeepEqual(texts(nil, nil), []byte("[]")) {
		t.Error("no texts are not []")
	}
}
