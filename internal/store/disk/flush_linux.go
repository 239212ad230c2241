package disk

import (
	"os"
	"syscall"
)

// writeThrough has a write return when what it wrote is on disk, as after fdatasync.
const writeThrough = syscall.O_DSYNC

func flush(*os.File) error { return nil }
