package engine

// RetryEvery is how soon a store is tried again that has failed.
const RetryEvery = retryEvery

// HeldServicesAge is how long the services with instances held back are remembered.
const HeldServicesAge = heldServicesAge

// MaxShadowWarnings is how many namespaces are warned of.
const MaxShadowWarnings = maxShadowWarnings

// IsTopLevelDomain reports whether a name is a top-level domain.
func IsTopLevelDomain(name string) bool { return isTopLevelDomain(name) }

// Waiting returns how many requests wait, of all callers.
func (e *Engine) Waiting() (n int) {
	e.waiting.mu.Lock()
	defer e.waiting.mu.Unlock()
	for _, c := range e.waiting.callers {
		n += len(c.requests)
	}
	return n
}
