package main

import (
	"os"
	"syscall"
)

// flush is what a store does for each commit, once what it writes over has a place on disk.
func flush(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
