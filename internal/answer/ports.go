package answer

import (
	"slices"
	"strings"
	"unique"

	"github.com/coredns-registry/registry/service"
)

// ports are the named ports of a service, in order of their labels.
type ports struct {
	all       []namedPort
	protocols [len(protocols)]bool // whether a port has it
}

// namedPort is a port, with the instances that have it.
type namedPort struct {
	label   string       // like "_http._tcp"
	name    service.Port // as nameOf returns it
	members members
}

// portsIn returns the port as it is among those of an instance; empty if it is not.
func (p *namedPort) portsIn(ports []service.Port) []service.Port {
	for n := range ports {
		if ports[n].Protocol == p.name.Protocol && strings.EqualFold(ports[n].Name, p.name.Name) {
			return ports[n : n+1]
		}
	}
	return nil
}

var protocols = [...]service.Protocol{service.TCP, service.UDP, service.SCTP}

// find returns the port of that label.
func (p *ports) find(label string) (port namedPort, ok bool) {
	n, ok := slices.BinarySearchFunc(p.all, label, func(p namedPort, label string) int { return strings.Compare(p.label, label) })
	if !ok {
		return namedPort{}, false
	}
	return p.all[n], true
}

// hasProtocol reports whether a port has the protocol, which is written like "_tcp".
func (p *ports) hasProtocol(protocol string) bool {
	n := slices.Index(protocols[:], service.Protocol(protocol[1:]))
	return n >= 0 && p.protocols[n]
}

// lookupPort answers for the name of a port. If only the definition, or an instance that is not
// answered, names the port, it exists without records.
func (s *serviceRecords) lookupPort(label string, t *recordType) Answer {
	if t.port != nil {
		if set := s.find(label, t.qtype); set != nil && set.served.Load() == 0 {
			return found(set)
		}
	}
	port, ok := s.ports().find(label)
	switch {
	case !ok:
		return Answer{}
	case t.port == nil:
		return found(nil)
	}
	return found(s.get(port.label, t.qtype, func(randomStart bool) recordSource { return t.port(s, port, randomStart) }))
}

// ports returns the named ports of the definition and of all instances, answered or not.
func (s *serviceRecords) ports() *ports {
	return s.namedPorts.get(&s.building, func() *ports {
		numbersByPort := make(map[service.Port][]int32) // keys as nameOf returns them
		if def := s.view.Definition; def != nil {
			for n := range named(def.Ports) {
				numbersByPort[nameOf(def.Ports[n])] = nil
			}
		}
		for number, list := range s.view.Ports {
			for n := range named(list) {
				name := nameOf(list[n])
				numbersByPort[name] = append(numbersByPort[name], int32(number))
			}
		}
		p := &ports{all: make([]namedPort, 0, len(numbersByPort))}
		for name, numbers := range numbersByPort {
			port := namedPort{
				label:   unique.Make(portLabel(name)).Value(), // most services share a few
				name:    name,
				members: members{numbers: numbers},
			}
			if 2*len(numbers) > s.view.Len() {
				port.members = members{all: true} // the usual case: a list would save little
			}
			p.all = append(p.all, port)
			if n := slices.Index(protocols[:], name.Protocol); n >= 0 {
				p.protocols[n] = true
			}
		}
		slices.SortFunc(p.all, func(a, b namedPort) int { return strings.Compare(a.label, b.label) })
		return p
	})
}

// collectPortSRV collects the SRV records of a port.
func (s *serviceRecords) collectPortSRV(port namedPort, randomStart bool) *srvBuilder {
	if s.view.Type() == service.ClusterIP {
		b := s.newSRVBuilder(members{})
		b.addService(port.portsIn(s.view.Definition.Ports))
		return b
	}
	b := s.newSRVBuilder(members{all: true})
	b.forTransfer = false
	for i := range s.answered(port.members, randomStart) {
		b.beginInstance()
		for label := range i.Hosts {
			b.addInstance(label, i, port.portsIn(i.Ports))
			if b.full() {
				return b
			}
		}
	}
	return b
}

// named yields the indexes of the ports that have a name.
func named(ports []service.Port) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for n, p := range ports {
			if p.Name != "" && !yield(n) {
				return
			}
		}
	}
}

// nameOf returns a port's name in lower case and its protocol, without its number.
func nameOf(p service.Port) service.Port {
	return service.Port{Name: strings.ToLower(p.Name), Protocol: p.Protocol}
}

func portLabel(p service.Port) string {
	return "_" + strings.ToLower(p.Name) + "._" + string(p.Protocol)
}
