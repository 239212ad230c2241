package door

import "time"

// ConnectionsWithinFiles returns the bound on the connections of all endpoints: MaxConnections, or fewer
// where the process may not have as many files open, which it warns of. Go raises the process's own
// limit on files to the hard one at the start, so what there is then is all that it can have.
func ConnectionsWithinFiles(warnf func(format string, v ...any)) *Connections {
	files, ok := openFilesLimit()
	if !ok {
		return NewConnections(MaxConnections, time.Now)
	}
	allowed := connectionsWith(files)
	if allowed < MaxConnections {
		warnf("This process may have %d files open: its endpoints take %d connections at once, not %d, and leave the rest to DNS. "+
			"To have more, raise the hard limit to %d, as LimitNOFILE in a unit of systemd or ulimit -n does",
			files, allowed, MaxConnections, 2*MaxConnections)
	}
	return NewConnections(allowed, time.Now)
}

// connectionsWith returns how many connections all endpoints may have, of a process that may have so
// many files open. Half of those are left to DNS, whose listeners are CoreDNS's, to forwarding and
// to files.
func connectionsWith(files uint64) int {
	return int(max(1, min(files/2, MaxConnections)))
}
