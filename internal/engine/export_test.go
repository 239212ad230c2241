package engine

// RetryEvery is how soon a store is tried again that has failed.
const RetryEvery = retryEvery

// HeldFor is how long the services are remembered that instances are held back of.
const HeldFor = heldFor

// Waiting is how many requests wait, of all callers.
func (r *Engine) Waiting() (n int) {
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	for _, l := range r.waiting.lines {
		n += len(l.pending)
	}
	return n
}
