package registry

import (
	"time"

	"github.com/coredns-registry/registry/internal/door"
)

// newConnections returns the bound on the connections of all endpoints, and warns where files are
// what bounds them. Go raises the process's own limit on files to the hard one at the start, so that
// what is there then is all that it can have.
func newConnections() *door.Connections {
	files, ok := openFilesLimit()
	if !ok {
		return door.NewConnections(door.MaxConnections, time.Now)
	}
	most := connectionsWith(files)
	if most < door.MaxConnections {
		log.Warningf("This process may have %d files open: its endpoints take %d connections at once, not %d, and leave the rest to DNS. "+
			"To have more, raise the hard limit to %d, as LimitNOFILE in a unit of systemd or ulimit -n does",
			files, most, door.MaxConnections, 2*door.MaxConnections)
	}
	return door.NewConnections(most, time.Now)
}

// connectionsWith returns how many connections all endpoints may have, of a process that may have so
// many files open. Half of those are left to DNS, whose listeners are CoreDNS's, to forwarding and
// to files.
func connectionsWith(files uint64) int {
	return int(max(1, min(files/2, door.MaxConnections)))
}
