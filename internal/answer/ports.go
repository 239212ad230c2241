package answer

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"unique"

	"github.com/coredns-registry/registry/service"
)

// portSets are the SRV records of a service's named ports, in order of their labels.
type portSets struct {
	all []portSet
	one [1]portSet // all of them where there are no more, as is the rule
}

// portSet is the records of one port, which is called as "_http._tcp" is.
type portSet struct {
	label string
	set   set
}

// find returns the records of a port; nil where there is no such port.
func (p *portSets) find(label string) *set {
	n := sort.Search(len(p.all), func(n int) bool { return p.all[n].label >= label })
	if n == len(p.all) || p.all[n].label != label {
		return nil
	}
	return &p.all[n].set
}

// speak reports whether there is a port of that protocol, which is called as "_tcp" is.
func (p *portSets) speak(protocol string) bool {
	for n := range p.all {
		if strings.HasSuffix(p.all[n].label, "."+protocol) {
			return true
		}
	}
	return false
}

// ports returns the sets of the named ports. A port that only the definition or an instance
// that is not answered names is there, with an empty set.
func (s *sets) ports() *portSets {
	return s.named.get(func() *portSets {
		targets := s.targets(s.instances)
		builders := make(map[string]*srvBuilder)
		at := func(p service.Port) *srvBuilder {
			label := portLabel(p)
			if builders[label] == nil {
				builders[label] = s.newSRVBuilder(targets)
			}
			return builders[label]
		}
		if def := s.view.Definition; def != nil {
			for n := range named(def.Ports) {
				b := at(def.Ports[n])
				if def.Type == service.ClusterIP {
					b.addService(def.Ports[n : n+1])
				}
			}
		}
		for i := range s.view.Instances {
			answered := s.view.Type() == service.Headless && s.view.Answers(i)
			for n := range named(i.Ports) {
				b := at(i.Ports[n])
				if !answered {
					continue
				}
				b.begin()
				for label := range i.Hosts {
					b.addInstance(label, i, i.Ports[n:n+1])
				}
			}
		}
		p := new(portSets)
		if p.all = p.one[:]; len(builders) != 1 {
			p.all = make([]portSet, len(builders))
		}
		for n, label := range slices.Sorted(maps.Keys(builders)) {
			p.all[n].label = unique.Make(label).Value() // most services have the same few
			builders[label].fill(&p.all[n].set)
		}
		return p
	})
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

func portLabel(p service.Port) string {
	return "_" + strings.ToLower(p.Name) + "._" + string(p.Protocol)
}
