package registry

import "github.com/coredns-registry/registry/internal/engine"

// rules are the settings as a table is judged by them, with the defaults where nothing is said.
func (s *Shared) rules() engine.Rules {
	r := engine.DefaultRules
	if s.Leases != nil {
		r.Leases = *s.Leases
	}
	if s.Eviction != nil {
		r.Eviction = *s.Eviction
	}
	for kind, n := range s.Limits {
		if limit := r.Limits.Of(kind); limit != nil { // else it is the endpoint's
			*limit = n
		}
	}
	r.Networks = s.Networks
	return r
}
