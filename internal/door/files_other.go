//go:build !unix

package door

// openFilesLimit returns false: there is no limit here that a process could ask for.
func openFilesLimit() (n uint64, ok bool) { return 0, false }
