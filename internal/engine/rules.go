package engine

import (
	"net/netip"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
)

// Rules are what changes of the table are judged by.
type Rules struct {
	Leases   LeaseRange
	Eviction Eviction
	Limits   Limits
	Networks []netip.Prefix // that the addresses of instances must lie in; empty for all
	TTL      time.Duration  // the longest that an answer may be cached
}

// LeaseRange is the lease of a registration that names none, and the range of those
// that do. All are whole seconds.
type LeaseRange struct{ Default, Min, Max time.Duration }

// Eviction bounds how many instances may leave by expiry in any span of one default
// lease: Percent of the leased ones, or Floor of them where that is more.
type Eviction struct{ Percent, Floor int }

// Limits are the quotas of a table; 0 is no limit.
type Limits struct {
	Instances           int
	Services            int
	Namespaces          int
	InstancesPerService int
}

// DefaultRules are those where the operator sets nothing. A small fleet never reaches the limits,
// a client that runs wild soon does.
var DefaultRules = Rules{
	Leases:   LeaseRange{Default: 30 * time.Second, Min: 2 * time.Second, Max: 24 * time.Hour},
	Eviction: Eviction{Percent: 20, Floor: 10},
	Limits: Limits{
		Instances:           2_000_000, // about 1.2 GB
		Services:            200_000,
		Namespaces:          10_000,
		InstancesPerService: 10_000,
	},
}

// LimitKinds are the names of the limits in a Corefile.
var LimitKinds = []string{"instances", "services", "namespaces", "instances-per-service"}

// Of returns the limit of a kind; nil where there is no such kind.
func (l *Limits) Of(kind string) *int {
	switch kind {
	case "instances":
		return &l.Instances
	case "services":
		return &l.Services
	case "namespaces":
		return &l.Namespaces
	case "instances-per-service":
		return &l.InstancesPerService
	}
	return nil
}

// evictionRule returns the rule of the eviction budget.
func (r *Rules) evictionRule() lease.Rule {
	return lease.Rule{Percent: r.Eviction.Percent, Floor: r.Eviction.Floor, Span: r.Leases.Default}
}

// rules are those in force.
type rules struct {
	Rules

	// cachedUntil is when the last answer expires in caches that was given while the TTL was
	// longer.
	cachedUntil time.Time
}

// Rules returns the rules in force.
func (e *Engine) Rules() Rules { return e.rules.Load().Rules }

// SetRules replaces the rules. What the table holds stays, whatever they say.
func (e *Engine) SetRules(to Rules) {
	next := &rules{Rules: to}
	if prev := e.rules.Load(); prev != nil {
		next.cachedUntil = prev.cachedUntil
		if to.TTL < prev.TTL {
			next.cachedUntil = e.now().Add(prev.TTL)
		}
	}
	e.rules.Store(next)
}
