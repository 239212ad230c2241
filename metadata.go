package registry

import (
	"context"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/request"
)

// Metadata implements metadata.Provider: what the name asked for says, whether or not it
// exists. A value that the name does not have is not set.
func (h *Handler) Metadata(ctx context.Context, req request.Request) context.Context {
	zone := h.zoneOf(req.Name())
	if zone == nil {
		return ctx
	}
	for label, value := range zone.Describe(req.Name()) {
		metadata.SetValueFunc(ctx, pluginName+"/"+label, func() string { return value })
	}
	return ctx
}
