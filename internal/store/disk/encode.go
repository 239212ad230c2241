package disk

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// The numbers of the fields, as FORMAT.md has them.
const (
	revisionField = 1 // of both messages

	registeredSecondsField = 2
	registeredNanosField   = 3
	addressField           = 4
	portField              = 5
	hostnameField          = 6
	weightField            = 7
	priorityField          = 8
	zoneField              = 9
	metadataField          = 10
	leaseField             = 11
	statusField            = 12
	ownerField             = 13

	typeField            = 2
	clusterIPField       = 3
	externalNameField    = 4
	definitionPortField  = 5
	publishNotReadyField = 6
	definitionPairField  = 7
	portNameField        = 1
	portProtocolField    = 2
	portNumberField      = 3
	pairKeyField         = 1
	pairValueField       = 2
)

// protocols in the order of their numbers.
var protocols = []service.Protocol{"", service.TCP, service.UDP, service.SCTP}

// object writes a record's value. It fails where an object, or its name, is what the format
// cannot keep.
func (m *message) object(o *store.Object) error {
	var err error
	instance := false
	switch {
	case o.Instance != nil && o.Definition == nil:
		instance = true
		err = m.instance(o)
	case o.Definition != nil && o.Instance == nil:
		err = m.definition(o)
	default:
		err = errors.New("it is neither an instance nor a definition")
	}
	if err == nil && !nameable(o.ID, instance) {
		err = errors.New("it has no name that can be kept")
	}
	if err != nil {
		return fmt.Errorf("%q: %w", o.ID, err)
	}
	return nil
}

// nameable reports whether that can be the key of an instance, or of a definition.
func nameable(id service.ID, instance bool) bool {
	return id.Namespace != "" && id.Service != "" && (id.ID != "") == instance &&
		strings.IndexByte(id.Namespace, 0)&strings.IndexByte(id.Service, 0)&strings.IndexByte(id.ID, 0) == -1
}

func (m *message) instance(o *store.Object) error {
	i := o.Instance
	m.number(revisionField, o.Revision)
	m.number(registeredSecondsField, protowire.EncodeZigZag(o.RegisteredAt.Unix()))
	m.number(registeredNanosField, uint64(o.RegisteredAt.Nanosecond()))
	err := errors.Join(
		m.addresses(addressField, i.Addresses),
		m.ports(portField, i.Ports))
	m.text(hostnameField, i.Hostname)
	if i.Weight != nil {
		m.present(weightField, uint64(*i.Weight))
	}
	m.number(priorityField, uint64(i.Priority))
	m.text(zoneField, i.Zone)
	m.pairs(metadataField, i.Metadata)
	if i.Lease.Given {
		m.present(leaseField, uint64(i.Lease.Seconds))
	} else if i.Lease.Seconds != 0 {
		err = errors.Join(err, errors.New("it has a lease that is not given"))
	}
	if i.Status > service.Down {
		err = errors.Join(err, fmt.Errorf("status %d is not known", i.Status))
	}
	m.number(statusField, uint64(i.Status))
	if n := len(i.Owner); n > service.MaxOwnerBytes {
		err = errors.Join(err, fmt.Errorf("its owner has %d bytes: at most %d can be kept", n, service.MaxOwnerBytes))
	}
	m.text(ownerField, i.Owner)
	return err
}

func (m *message) definition(o *store.Object) error {
	d := o.Definition
	m.number(revisionField, o.Revision)
	m.number(typeField, uint64(d.Type))
	err := m.addresses(clusterIPField, d.ClusterIPs)
	m.text(externalNameField, d.ExternalName)
	err = errors.Join(err, m.ports(definitionPortField, d.Ports))
	if d.PublishNotReady {
		m.number(publishNotReadyField, 1)
	}
	m.pairs(definitionPairField, d.Metadata)
	if d.Type > service.ExternalName {
		err = errors.Join(err, fmt.Errorf("type %d is not known", d.Type))
	}
	if !o.RegisteredAt.IsZero() {
		err = errors.Join(err, errors.New("a definition is not registered at any time"))
	}
	return err
}

func (m *message) addresses(field protowire.Number, addrs []netip.Addr) error {
	for _, a := range addrs {
		if !a.IsValid() || a.Zone() != "" {
			return fmt.Errorf("address %s cannot be kept", a)
		}
		if a.Is4() {
			is := a.As4()
			m.element(field, is[:])
		} else {
			is := a.As16()
			m.element(field, is[:])
		}
	}
	return nil
}

func (m *message) ports(field protowire.Number, ports []service.Port) error {
	for _, p := range ports {
		protocol := slices.Index(protocols, p.Protocol)
		if protocol < 0 {
			return fmt.Errorf("protocol %q is not known", p.Protocol)
		}
		port := make(message, 0, 96)
		port.text(portNameField, p.Name)
		port.number(portProtocolField, uint64(protocol))
		port.number(portNumberField, uint64(p.Number))
		m.element(field, port)
	}
	return nil
}

func (m *message) pairs(field protowire.Number, metadata service.Metadata) {
	for _, p := range metadata {
		pair := make(message, 0, 288)
		pair.text(pairKeyField, p.Key)
		pair.text(pairValueField, p.Value)
		m.element(field, pair)
	}
}
