//go:build !linux

package disk

import "os"

// writeThrough is a flag that not every system has, or means.
const writeThrough = 0

func flush(f *os.File) error { return f.Sync() }
