package httpapi

import (
	"errors"
	"net/http"

	"github.com/coredns-registry/registry/service"
)

// snapshotName is what a snapshot is saved as: the name under which a store on disk
// looks for its file, so that it need only be put into an empty directory.
const snapshotName = "registry.db"

var octetsType = []string{"application/octet-stream"}

func getSnapshot(c *call) {
	end, ok := c.lasts()
	if !ok {
		return
	}
	defer end()
	d := &download{call: c, contentType: octetsType, filename: snapshotName}
	err := c.registry.Snapshot(d)
	switch {
	case err == nil || d.begun && d.headOnly():
		d.end()
	case d.failed:
		d.breakOff()
	case d.begun:
		c.Logf("%s: broken off: %v", c.route, err)
		d.breakOff()
	case errors.Is(err, service.ErrNoSnapshot):
		c.fail(http.StatusNotFound, "the table is in memory, and there is no snapshot of it: GET /v1/export tells what it holds")
	case errors.Is(err, service.ErrNotLoaded):
		c.refuse(err)
	default:
		c.Logf("%s: %v", c.route, err)
		c.unavailable("the snapshot could not be made now")
	}
}
