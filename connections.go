package registry

import (
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/httpapi"
)

// newConnections returns the bound on the connections of all endpoints. Go raises the process's own
// limit on open files as far as it may, at the start; half of what there is then is left to DNS,
// whose listeners are CoreDNS's, to forwarding and to files.
func newConnections() *access.Connections {
	most := httpapi.MostConnections
	if files, ok := openFilesLimit(); ok && files/2 < uint64(most) {
		most = max(1, int(files/2))
		log.Warningf("This process may have %d files open: its endpoints take %d connections at once, not %d, and leave the rest to DNS. "+
			"To have more, raise the hard limit to %d, as LimitNOFILE in a unit of systemd or ulimit -n does",
			files, most, httpapi.MostConnections, 2*httpapi.MostConnections)
	}
	return access.NewConnections(most, time.Now)
}
