package disk

import (
	"bytes"
	"fmt"

	"github.com/coredns-registry/registry/service"
)

// appendKey adds NAMESPACE 0 SERVICE for a definition and NAMESPACE 0 SERVICE 0 ID for
// an instance. No name has a zero byte, so no two objects share a key; and a service's own
// stands before those of its instances.
func appendKey(b []byte, id service.ID) []byte {
	b = append(b, id.Namespace...)
	b = append(b, 0)
	b = append(b, id.Service...)
	if id.ID != "" {
		b = append(b, 0)
		b = append(b, id.ID...)
	}
	return b
}

// id reads a key. Records come in the order of their keys, so the name of a service is
// kept once for all its instances.
func (d *decoder) id(key []byte) (service.ID, error) {
	namespace, rest, ok := bytes.Cut(key, zero)
	name, id, instance := bytes.Cut(rest, zero)
	if !ok || len(namespace) == 0 || len(name) == 0 || instance == (len(id) == 0) || bytes.IndexByte(id, 0) >= 0 {
		return service.ID{}, fmt.Errorf("%q is no key", key)
	}
	if d.name.Namespace != string(namespace) {
		d.name.Namespace = string(namespace)
	}
	if d.name.Service != string(name) {
		d.name.Service = string(name)
	}
	return service.ID{Name: d.name, ID: string(id)}, nil
}

var zero = []byte{0}
