package testkit

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// Anyone is who changes the table where no credential is asked for.
var Anyone = service.Caller{Admin: true}

// ID returns the id of an instance, or of a service where instance is empty.
func ID(namespace, name, instance string) service.ID {
	return service.ID{Name: service.Name{Namespace: namespace, Service: name}, ID: instance}
}

// Register returns a registration with the default lease.
func Register(namespace, name, instance, addr string) service.Change {
	return service.Change{
		Op:       service.Register,
		ID:       ID(namespace, name, instance),
		Instance: &service.Instance{Addresses: []netip.Addr{netip.MustParseAddr(addr)}},
	}
}

// WithLease gives a registration another lease.
func WithLease(c service.Change, seconds int32) service.Change {
	c.Instance.Lease = service.LeaseOf(seconds)
	return c
}

// Changes reads changes, one a line:
//
//	prod/web/web-1 192.0.2.7 2001:db8::7 http:8080/tcp lease=30 status=down weight=10 host=h key=value
//	service prod/web clusterIP 10.0.0.1 http:80/tcp
//	draining prod/web/web-1
//	renew prod/web/web-1
//	- prod/web/web-1
//	- prod/web/
//
// An instance is static unless it has a lease.
func Changes(t testing.TB, text string) (changes []service.Change) {
	t.Helper()
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		switch op := fields[0]; op {
		case "service":
			changes = append(changes, parseDefinition(t, fields[1:]))
		case "-", "draining", "renew":
			c := service.Change{Op: service.Deregister, ID: parseID(t, fields[1])}
			switch {
			case op == "draining":
				c.Op, c.Status = service.SetStatus, service.Draining
			case op == "renew":
				c.Op = service.Renew
			case c.ID.ID == "":
				c.Op = service.Undefine
			}
			changes = append(changes, c)
		default:
			changes = append(changes, parseRegistration(t, fields))
		}
	}
	return changes
}

func parseID(t testing.TB, text string) service.ID {
	t.Helper()
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		t.Fatalf("id %q: want namespace/service/instance", text)
	}
	return ID(parts[0], parts[1], parts[2])
}

func parseRegistration(t testing.TB, fields []string) service.Change {
	t.Helper()
	i := &service.Instance{Lease: service.LeaseOf(0)}
	for _, f := range fields[1:] {
		key, value, pair := strings.Cut(f, "=")
		addr, err := netip.ParseAddr(f)
		switch {
		case err == nil:
			i.Addresses = append(i.Addresses, addr)
		case !pair:
			i.Ports = append(i.Ports, parsePort(t, f))
		case key == "lease":
			i.Lease = service.LeaseOf(int32(parseNumber(t, value)))
		case key == "status":
			i.Status, _ = service.ParseStatus(value)
		case key == "host":
			i.Hostname = value
		case key == "weight":
			weight := uint16(parseNumber(t, value))
			i.Weight = &weight
		case key == "priority":
			i.Priority = uint16(parseNumber(t, value))
		default:
			i.Metadata = append(i.Metadata, service.Pair{Key: key, Value: value})
		}
	}
	i.Metadata.Sort()
	return service.Change{Op: service.Register, ID: parseID(t, fields[0]), Instance: i}
}

func parseDefinition(t testing.TB, fields []string) service.Change {
	t.Helper()
	namespace, name, _ := strings.Cut(fields[0], "/")
	d := &service.Definition{}
	d.Type, _ = service.ParseType(fields[1])
	for _, f := range fields[2:] {
		addr, err := netip.ParseAddr(f)
		switch {
		case err == nil:
			d.ClusterIPs = append(d.ClusterIPs, addr)
		case f == "publishNotReady":
			d.PublishNotReady = true
		case strings.Contains(f, ":"):
			d.Ports = append(d.Ports, parsePort(t, f))
		default:
			d.ExternalName = f
		}
	}
	return service.Change{Op: service.Define, ID: ID(namespace, name, ""), Definition: d}
}

func parsePort(t testing.TB, text string) service.Port {
	t.Helper()
	name, rest, ok := strings.Cut(text, ":")
	n, protocol, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		t.Fatalf("port %q: want name:number/protocol", text)
	}
	return service.Port{Name: name, Number: uint16(parseNumber(t, n)), Protocol: service.Protocol(protocol)}
}

func parseNumber(t testing.TB, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatalf("number %q: %v", s, err)
	}
	return n
}
