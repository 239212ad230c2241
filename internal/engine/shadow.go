package engine

import "golang.org/x/net/publicsuffix"

// Resolvers complete names from a search list, in Kubernetes with svc.Z among others, and with
// ndots:5 before they ask for a name as it is. So a client that asks for github.com asks for
// github.com.svc.cluster.local first, and gets that if a namespace com has a service github.
// Whoever has such a namespace may well mean it, prod and dev are top-level domains too: so it is
// warned of, and not refused.

// maxShadowWarnings is how many namespaces are warned of: whoever registers in more would fill
// the log.
const maxShadowWarnings = 20

// shadows is what WarnOfShadows has seen.
type shadows struct {
	revision uint64 // that it looked at last
	warned   map[string]bool
}

// WarnOfShadows warns of namespaces that are top-level domains, of each once. It should be called
// every few seconds, by one goroutine.
func (e *Engine) WarnOfShadows() {
	s, state := &e.shadows, e.State()
	if state == nil || state.Revision == s.revision || len(s.warned) > maxShadowWarnings {
		return
	}
	s.revision = state.Revision
	for ns := range state.Namespaces("") {
		if s.warned[ns.Name] || !isTopLevelDomain(ns.Name) {
			continue
		}
		if s.warned == nil {
			s.warned = make(map[string]bool)
		}
		s.warned[ns.Name] = true
		if len(s.warned) > maxShadowWarnings {
			e.log.Warningf("More than %d namespaces are top-level domains; no more are logged", maxShadowWarnings)
			return
		}
		e.log.Warningf("The namespace %s is a top-level domain: clients with svc.ZONE in their search list get its service NAME when they ask for NAME.%s. Choose another name unless that is what you want",
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
