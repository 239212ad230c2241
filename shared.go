package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/internal/engine"
)

// Shared is what a server block says of its endpoint and table, which other blocks may
// share: what one leaves open another may say, and where two say it they must agree. The
// zero value says nothing.
type Shared struct {
	Leases   *engine.LeaseRange
	Eviction *engine.Eviction
	Networks []netip.Prefix // as in Rules
	Limits   map[string]int // by kind; see Limits

	TLS      *TLSFiles
	Tokens   *string // path of the file
	Audit    *string // likewise
	Insecure bool
}

// TLSFiles are the files that the endpoint's certificate is in, and where clients need
// one, the authorities that they must have it from.
type TLSFiles struct{ Cert, Key, ClientCA string }

// join adds what another block says.
func (s *Shared) join(other *Shared) error {
	for kind, n := range other.Limits {
		if was, said := s.Limits[kind]; said && was != n {
			return differs("limit " + kind)
		}
	}
	if s.Networks != nil && other.Networks != nil && !slices.Equal(s.Networks, other.Networks) {
		return differs("admit")
	}
	for _, err := range []error{
		join("lease", &s.Leases, other.Leases),
		join("eviction", &s.Eviction, other.Eviction),
		join("tls", &s.TLS, other.TLS),
		join("tokens", &s.Tokens, other.Tokens),
		join("audit", &s.Audit, other.Audit),
	} {
		if err != nil {
			return err
		}
	}
	if s.Networks == nil {
		s.Networks = other.Networks
	}
	if s.Limits == nil {
		s.Limits = make(map[string]int)
	}
	maps.Copy(s.Limits, other.Limits)
	s.Insecure = s.Insecure || other.Insecure
	return nil
}

func join[T comparable](directive string, into **T, value *T) error {
	switch {
	case value == nil:
	case *into == nil:
		*into = value
	case **into != *value:
		return differs(directive)
	}
	return nil
}

func differs(directive string) error { return fmt.Errorf("%s differs", directive) }

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
		*r.Limits.Of(kind) = n
	}
	r.Networks = s.Networks
	return r
}
