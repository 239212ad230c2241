package answer

import (
	"slices"
	"strings"
	"unique"

	"github.com/coredns-registry/registry/service"
)

// ports are the named ports of a service, in order of their labels.
type ports struct {
	all       []portMembers
	protocols [len(protocols)]bool // that some port is of
}

// portMembers are the instances that have a port, which is called as "_http._tcp" is.
type portMembers struct {
	label   string
	name    service.Port // without its number
	members members
}

// in returns the port among those of an instance; none where it has no such.
func (p *portMembers) in(ports []service.Port) []service.Port {
	for n := range ports {
		if ports[n].Protocol == p.name.Protocol && strings.EqualFold(ports[n].Name, p.name.Name) {
			return ports[n : n+1]
		}
	}
	return nil
}

var protocols = [...]service.Protocol{service.TCP, service.UDP, service.SCTP}

// find returns which instances have a port; false where there is no such port.
func (p *ports) find(label string) (of portMembers, ok bool) {
	n, ok := slices.BinarySearchFunc(p.all, label, func(p portMembers, label string) int { return strings.Compare(p.label, label) })
	if !ok {
		return portMembers{}, false
	}
	return p.all[n], true
}

// speak reports whether there is a port of that protocol, which is called as "_tcp" is.
func (p *ports) speak(protocol string) bool {
	n := slices.Index(protocols[:], service.Protocol(protocol[1:]))
	return n >= 0 && p.protocols[n]
}

// port answers for the name of a port. One that only the definition or an instance that is not
// answered names is there, without records.
func (s *sets) port(label string, t *recordType) Answer {
	if t.port != nil {
		if set := s.find(label, t.qtype); set != nil && set.answers.Load() == 0 {
			return found(set)
		}
	}
	of, ok := s.ports().find(label)
	switch {
	case !ok:
		return Answer{}
	case t.port == nil:
		return found(nil)
	}
	return found(s.get(of.label, t.qtype, func(anywhere bool) gathered { return t.port(s, of, anywhere) }))
}

// ports returns the named ports of the definition and of all instances, answered or not.
func (s *sets) ports() *ports {
	return s.named.get(&s.building, func() *ports {
		having := make(map[service.Port][]int32) // by name, in lower case, and protocol
		if def := s.view.Definition; def != nil {
			for n := range named(def.Ports) {
				having[nameOf(def.Ports[n])] = nil
			}
		}
		for number, list := range s.view.Ports {
			for n := range named(list) {
				name := nameOf(list[n])
				having[name] = append(having[name], int32(number))
			}
		}
		p := &ports{all: make([]portMembers, 0, len(having))}
		for name, numbers := range having {
			of := portMembers{
				label:   unique.Make(portLabel(name)).Value(), // most services have the same few
				name:    name,
				members: members{numbers: numbers},
			}
			if 2*len(numbers) > s.view.Len() {
				of.members = members{all: true} // as is the rule: a list would save little
			}
			p.all = append(p.all, of)
			if n := slices.Index(protocols[:], name.Protocol); n >= 0 {
				p.protocols[n] = true
			}
		}
		slices.SortFunc(p.all, func(a, b portMembers) int { return strings.Compare(a.label, b.label) })
		return p
	})
}

// portServices gathers the SRV records of a port.
func (s *sets) portServices(of portMembers, anywhere bool) *srvBuilder {
	if s.view.Type() == service.ClusterIP {
		b := s.newSRVBuilder(members{})
		b.addService(of.in(s.view.Definition.Ports))
		return b
	}
	b := s.newSRVBuilder(members{all: true})
	b.whole = false
	for i := range s.some(of.members, anywhere) {
		b.begin()
		for label := range i.Hosts {
			b.addInstance(label, i, of.in(i.Ports))
			if b.full() {
				return b
			}
		}
	}
	return b
}

// named yields the places of the ports that have a name.
func named(ports []service.Port) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for n, p := range ports {
			if p.Name != "" && !yield(n) {
				return
			}
		}
	}
}

// nameOf returns what a port is called by, without its number.
func nameOf(p service.Port) service.Port {
	return service.Port{Name: strings.ToLower(p.Name), Protocol: p.Protocol}
}

func portLabel(p service.Port) string {
	return "_" + strings.ToLower(p.Name) + "._" + string(p.Protocol)
}
