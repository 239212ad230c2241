//go:build unix

package door

import "syscall"

// openFilesLimit returns how many files the process may have open at once; false where nobody knows.
func openFilesLimit() (n uint64, ok bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
