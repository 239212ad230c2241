package httpapi

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/go-json-experiment/json/jsontext"
)

// Answers are written by hand, not by reflection: they are most of what a registration
// costs. Each of these appends to b what its name says and returns it.

// instance appends an instance as it is answered. The view is its service's; it may be
// nil for one that is gone, and then no names lead to the instance.
func (s *Server) instance(b []byte, view *table.View, i *table.Instance) []byte {
	b = append(next(b), '{')
	b = identity(b, i.ID())
	said := i.Said()
	b = instanceMembers(b, &said)
	b = unsigned(member(b, "revision"), i.Revision)
	b = moment(member(b, "registeredAt"), i.RegisteredAt())
	b = moment(member(b, "expiresAt"), s.registry.ExpiresAt(i.Lease()))
	b = append(member(b, "names"), '[')
	if view != nil {
		for _, name := range s.registry.Names(view, i) {
			b = text(next(b), name)
		}
	}
	return append(b, "]}"...)
}

// identity appends the members that say which instance it is.
func identity(b []byte, id service.ID) []byte {
	b = nameMembers(b, id.Name)
	return text(member(b, "id"), id.ID)
}

func nameMembers(b []byte, name service.Name) []byte {
	b = text(member(b, "namespace"), name.Namespace)
	return text(member(b, "service"), name.Service)
}

// instanceMembers appends what a client has said of an instance. What has no value is
// left out, if it could not be sent back so.
func instanceMembers(b []byte, i *service.Instance) []byte {
	b = addresses(member(b, "addresses"), i.Addresses)
	b = ports(member(b, "ports"), i.Ports)
	if i.Hostname != "" {
		b = text(member(b, "hostname"), i.Hostname)
	}
	if i.Weight != nil {
		b = number(member(b, "weight"), int64(*i.Weight))
	}
	b = number(member(b, "priority"), int64(i.Priority))
	if i.Zone != "" {
		b = text(member(b, "zone"), i.Zone)
	}
	b = metadata(member(b, "metadata"), i.Metadata)
	if i.Lease.Given {
		b = number(member(b, "leaseSeconds"), int64(i.Lease.Seconds))
	}
	if i.Status != service.Unset {
		b = text(member(b, "status"), i.Status.String())
	}
	return b
}

// serviceMembers appends a service as it is answered, with so many instances but without
// them.
func serviceMembers(b []byte, view *table.View, instances int) []byte {
	b = nameMembers(b, view.Name)
	b = boolean(member(b, "defined"), view.Definition != nil)
	if view.Definition != nil {
		b = definitionMembers(b, view.Definition)
	} else {
		b = definitionMembers(b, &service.Definition{})
	}
	b = unsigned(member(b, "revision"), view.Revision)
	return number(member(b, "instanceCount"), int64(instances))
}

func definitionMembers(b []byte, d *service.Definition) []byte {
	b = text(member(b, "type"), d.Type.String())
	if len(d.ClusterIPs) > 0 {
		b = addresses(member(b, "clusterIPs"), d.ClusterIPs)
	}
	if d.ExternalName != "" {
		b = text(member(b, "externalName"), d.ExternalName)
	}
	b = ports(member(b, "ports"), d.Ports)
	b = boolean(member(b, "publishNotReady"), d.PublishNotReady)
	return metadata(member(b, "metadata"), d.Metadata)
}

func addresses(b []byte, addrs []netip.Addr) []byte {
	b = append(b, '[')
	for _, addr := range addrs {
		b = addr.AppendTo(append(next(b), '"'))
		b = append(b, '"')
	}
	return append(b, ']')
}

func ports(b []byte, ports []service.Port) []byte {
	b = append(b, '[')
	for _, p := range ports {
		b = append(next(b), '{')
		if p.Name != "" {
			b = text(member(b, "name"), p.Name)
		}
		b = text(member(b, "protocol"), string(p.Protocol))
		b = number(member(b, "port"), int64(p.Number))
		b = append(b, '}')
	}
	return append(b, ']')
}

func metadata(b []byte, m service.Metadata) []byte {
	b = append(b, '{')
	for _, pair := range m {
		b = append(text(next(b), pair.Key), ':')
		b = text(b, pair.Value)
	}
	return append(b, '}')
}

func texts(b []byte, all []string) []byte {
	b = append(b, '[')
	for _, s := range all {
		b = text(next(b), s)
	}
	return append(b, ']')
}

// member appends the name of a member, after a comma if it is not the object's first.
// The name must need no escape.
func member(b []byte, name string) []byte {
	b = append(next(b), '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// next appends the comma before a value or a member, unless it is the first one. A value
// ends in none of these characters, save for an empty list or object, and that ends in
// its other bracket.
func next(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	switch b[len(b)-1] {
	case '{', '[', ':':
		return b
	}
	return append(b, ',')
}

// text appends a string. What is not UTF-8 in it, as a name in a path may be, becomes
// U+FFFD.
func text(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b, _ = jsontext.AppendQuote(b, s) // the error says that it has replaced something
			return b
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func number(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

func unsigned(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

func boolean(b []byte, v bool) []byte { return strconv.AppendBool(b, v) }

// moment appends a time, which is null when it is zero. It is cut off to milliseconds,
// so that a lease does not end before the time that is told.
func moment(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return t.UTC().AppendFormat(b, `"2006-01-02T15:04:05.000Z"`)
}

// momentAfter appends a time rounded up to the second: from then on, not before.
func momentAfter(b []byte, t time.Time) []byte {
	t = t.Add(time.Second - 1).Truncate(time.Second)
	return t.UTC().AppendFormat(b, `"2006-01-02T15:04:05Z"`)
}
