package registry

import (
	"time"

	"github.com/coredns-registry/registry/internal/table"

	"golang.org/x/net/publicsuffix"
)

// Resolvers complete names from a list, in Kubernetes svc.Z among others, and with ndots:5 before
// they ask for a name as it is. A client that asks for github.com so asks for
// github.com.svc.cluster.local first, and if there is a service github in a namespace com gets
// that. Whoever has such a namespace may well mean it, prod and dev are top-level domains too: it
// is a warning, and no refusal.

const (
	// warnEvery is how often the namespaces are looked at.
	warnEvery = 5 * time.Second

	// mostWarned is how many namespaces are warned of: who registers in more of them would fill
	// the log.
	mostWarned = 20
)

// shadows warns of namespaces that are top-level domains, once of each. It belongs to one
// goroutine. The zero value is ready.
type shadows struct {
	seen uint64 // the revision that was looked at last
	told map[string]bool
}

// look warns of what has come since it looked last. The state is nil until the table is loaded.
func (s *shadows) look(state *table.State) {
	if state == nil || state.Revision == s.seen || len(s.told) > mostWarned {
		return
	}
	s.seen = state.Revision
	for ns := range state.Namespaces("") {
		if s.told[ns.Name] || !isTopLevelDomain(ns.Name) {
			continue
		}
		if s.told == nil {
			s.told = make(map[string]bool)
		}
		s.told[ns.Name] = true
		if len(s.told) > mostWarned {
			log.Warningf("More namespaces are top-level domains than the %d that were told: no other will be", mostWarned)
			return
		}
		log.Warningf("The namespace %s is a top-level domain: clients with svc.ZONE in their search list get its service NAME when they ask for NAME.%s. Choose another name unless that is what you want",
			ns.Name, ns.Name)
	}
}

// isTopLevelDomain reports whether a name in lower case is a top-level domain of the public DNS, or
// is reserved for special use (RFC 6761 and what it made a registry of; and internal, which ICANN
// has set aside).
func isTopLevelDomain(name string) bool {
	switch name {
	case "alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test":
		return true
	}
	// Of a few, such as ck, the list has rules only for what is below them.
	_, icann := publicsuffix.PublicSuffix("x." + name)
	return icann
}
