package main

import (
	"os"
	"time"
)

// flushes is how often a second the disk takes a page of 4 KiB and says that it has it.
func (b *bench) flushes(length time.Duration) (float64, error) {
	const page, pages = 4096, 64
	f, err := os.CreateTemp(b.dir, "flushes-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, pages*page)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	content := make([]byte, page)
	n, began := 0, time.Now()
	for ; time.Since(began) < length; n++ {
		if _, err := f.WriteAt(content, int64(n%pages*page)); err != nil {
			return 0, err
		}
		if err := flush(f); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
