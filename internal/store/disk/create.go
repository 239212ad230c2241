package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// create makes an empty table where there is none. The file gets its name only when it is
// whole and on disk: one that is not whole is never a creation cut short, so that Open may
// refuse it. And it gets it by a link, which takes no other file's place: of two processes
// that begin at once, both open what the first has made.
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	if err := createDir(dir); err != nil {
		return err
	}
	unnamed, err := createUnnamed(path)
	if err != nil {
		return err
	}
	defer os.Remove(unnamed)
	err = os.Link(unnamed, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil: // not every file system has links
		err = os.Rename(unnamed, path)
	}
	return errors.Join(err, syncDir(dir))
}

// createUnnamed makes an empty table under a name of its own beside path.
func createUnnamed(path string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
	}
	f.Close()
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{NoFreelistSync: true})
	if err == nil {
		err = errors.Join(db.Update(createBuckets), db.Close())
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func createBuckets(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(objectsBucket); err != nil {
		return err
	}
	return errors.Join(
		meta.Put(formatKey, []byte{firstFormat}),
		meta.Put(stateKey, state{}.encode()))
}

// createDir makes a directory and those above it, so that they survive the loss of power.
func createDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}
