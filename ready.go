package registry

// Ready implements ready.Readiness: the table is loaded.
func (h *Handler) Ready() bool { return h.state() != nil }

// CacheBypassZones keeps the cache plugin of the same server block from hiding a change.
// It is found by its name alone.
func (h *Handler) CacheBypassZones() []string { return h.Zones }
