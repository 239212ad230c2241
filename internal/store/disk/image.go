package disk

import (
	"fmt"
	"io"
	"os"
)

// image is what a file holds by one of its meta pages. It is read past bbolt: it takes
// nothing on trust, and what is wrong is an error and never a panic.
type image struct {
	meta
	kept state // as its meta bucket has it

	file    io.ReaderAt
	objects bucket
	seen    []bool   // the pages that have been read
	levels  [][]byte // a buffer for each level of the tree
}

// inspect looks at as much of the file as tells whether it is one of ours and complete.
func (s *Store) inspect(f *os.File) (*image, error) {
	i, err := openFile(f)
	return i, s.explain(err)
}

// read yields every record of the file in the order of the keys, and then tells whether
// they are what was committed. The slices are only lent. visit's own error ends it and is
// returned.
func (s *Store) read(f *os.File, visit func(key, value []byte) error) (*image, error) {
	i, err := openFile(f)
	if err == nil {
		err = i.read(visit)
	}
	return i, s.explain(err)
}

func openFile(f *os.File) (*image, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return openImage(f, info.Size())
}

func openImage(f io.ReaderAt, size int64) (*image, error) {
	if size == 0 {
		return nil, flaw("it is empty, which no table's file ever is")
	}
	m, err := newest(f)
	if err != nil {
		return nil, err
	}
	if m.end > uint64(size)/m.pageSize {
		return nil, flaw(fmt.Sprintf("it is cut short: it has %d bytes and should have %d pages of %d", size, m.end, m.pageSize))
	}
	return imageOf(f, m)
}

// imageOf returns what a meta page leads to, with the meta bucket read. The format is
// judged before all else: what a newer one has besides is no damage.
func imageOf(f io.ReaderAt, m meta) (*image, error) {
	i := &image{meta: m, file: f, seen: make([]bool, m.end)}
	found := map[string]bucket{}
	err := i.walk(bucket{root: m.root}, isBucket, func(key, value []byte) (err error) {
		found[string(key)], err = parseBucket(value)
		return err
	})
	if err != nil {
		return nil, err
	}
	meta, ok := found[string(metaBucket)]
	if !ok {
		return nil, flaw("it is not the file of a registry")
	}
	if i.kept, err = i.state(meta); err != nil {
		return nil, err
	}
	if i.objects, ok = found[string(objectsBucket)]; !ok || len(found) != 2 {
		return nil, flaw("it has other buckets than it should")
	}
	return i, nil
}

// state reads the meta bucket.
func (i *image) state(meta bucket) (state, error) {
	values := map[string][]byte{}
	err := i.walk(meta, isValue, func(key, value []byte) error {
		values[string(key)] = append([]byte{}, value...)
		return nil
	})
	if err != nil {
		return state{}, err
	}
	if err := checkFormat(values[string(formatKey)]); err != nil {
		return state{}, err
	}
	if len(values) != 2 {
		return state{}, flaw("its meta bucket has other keys than it should")
	}
	return decodeState(values[string(stateKey)])
}

// read yields the records and checks that they are those of the state.
func (i *image) read(visit func(key, value []byte) error) error {
	is := state{revision: i.kept.revision}
	err := i.walk(i.objects, isValue, func(key, value []byte) error {
		is.add(key, value)
		return visit(key, value)
	})
	if err == nil && is != i.kept {
		err = flaw(fmt.Sprintf("its %d records are not the %d that were written", is.count, i.kept.count))
	}
	return err
}
