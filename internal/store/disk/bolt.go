package disk

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// reserved is how much of the address space bbolt maps at once: it cannot map more while
// anything is being read, so a commit that outgrows the mapping would wait for a
// snapshot's slow reader. Pages that the file does not have cost nothing. 16 GiB, and a
// quarter of one where addresses have 32 bits.
const reserved = 1 << (28 + 6*(^uint(0)>>63))

// growth is by how much the file grows at a time. Each step costs one more fsync; the
// space is taken only when it is written.
const growth = 4 << 20

// openBolt gives a file that has been checked, and is locked, to bbolt. Nothing is
// written. The file is closed with what it returns, and when it fails.
func openBolt(f *os.File) (db *bbolt.DB, err error) {
	var panicked bool
	err = guard(&panicked, func() (err error) {
		db, err = bbolt.Open(f.Name(), 0, boltOptions(f))
		return err
	})
	if panicked {
		unlock(f)
		f.Close()
	}
	if err != nil {
		return nil, err
	}
	db.AllocSize = growth
	return db, nil
}

func boltOptions(f *os.File) *bbolt.Options {
	o := &bbolt.Options{
		Timeout: time.Second, // where this package has no lock of its own
		// The list of free pages is not kept but found again at each start, where all
		// pages are read anyway. Written with every commit it would make each cost as
		// much as the largest deletion there ever was; and it is one more thing that a
		// flipped bit can turn into live data being written over.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		NoStatistics:   true,
		OpenFile:       func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	}
	if mapsBeyondEnd {
		o.InitialMmapSize = reserved
	}
	return o
}

// guard calls a function that uses bbolt and turns its panics into errors: it has many
// assertions, and reads a mapped file, where a disk that fails is a fault and not an
// error. Whether it panicked is told apart, for bbolt may not have let go of its locks.
func guard(panicked *bool, use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			*panicked, err = true, fmt.Errorf("bbolt panicked: %v", r)
		}
	}()
	return use()
}
