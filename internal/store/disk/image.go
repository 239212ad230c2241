package disk

import (
	"bytes"
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
	journal region // none before journalFormat
	journaled
	seen   []bool   // the pages that have been read
	levels [][]byte // a buffer for each level of the tree
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
	i.revision = i.kept.revision
	want := 2
	if i.kept.origin > 0 {
		want = 3
	}
	i.objects, ok = found[string(objectsBucket)]
	journal, kept := found[string(journalBucket)]
	if !ok || kept != (want == 3) || len(found) != want {
		return nil, flaw("it has other buckets than it should")
	}
	if kept {
		err = i.readJournal(journal)
	}
	return i, err
}

// readJournal reads the only value of the bucket, which begins at the only place where it
// can on the page of the bucket's root.
func (i *image) readJournal(journal bucket) error {
	values := 0
	err := i.walk(journal, isValue, func(key, value []byte) (err error) {
		values++
		at := int64(journal.root*i.pageSize) + int64(sectorsAt)
		i.journal = regionIn(i.kept.origin, at, len(value))
		if i.journal.half == 0 || !bytes.Equal(key, sectorsKey) {
			return flaw("its journal is not one")
		}
		skip := int(i.journal.at - at)
		i.journaled, err = i.journal.read(value[skip:][:i.journal.size()], i.kept)
		return err
	})
	if err == nil && values != 1 {
		err = flaw("its journal is not one")
	}
	return err
}

// sectorsAt is where the journal's value begins on its page.
var sectorsAt = headerSize + elementSize + len(sectorsKey)

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
	format, err := parseFormat(values[string(formatKey)])
	if err != nil {
		return state{}, err
	}
	if len(values) != 2 {
		return state{}, flaw("its meta bucket has other keys than it should")
	}
	is, err := decodeState(values[string(stateKey)])
	if err == nil && (is.origin > 0) != (format >= journalFormat) {
		err = flaw("its state is of another format")
	}
	return is, err
}

// read yields the records, those of the journal in the place of the tree's, and checks that
// the tree's are those of the state.
func (i *image) read(visit func(key, value []byte) error) error {
	is := i.kept
	is.count, is.sum = 0, 0
	later := i.records
	err := i.walk(i.objects, isValue, func(key, value []byte) (err error) {
		is.add(key, value)
		order := -1
		for len(later) > 0 {
			if order = bytes.Compare(later[0].key, key); order > 0 {
				break
			}
			if err := later[0].visit(visit); err != nil {
				return err
			}
			if later = later[1:]; order == 0 {
				return nil
			}
		}
		return visit(key, value)
	})
	if err == nil && is != i.kept {
		err = flaw(fmt.Sprintf("its %d records are not the %d that were written", is.count, i.kept.count))
	}
	for ; err == nil && len(later) > 0; later = later[1:] {
		err = later[0].visit(visit)
	}
	return err
}

func (r record) visit(visit func(key, value []byte) error) error {
	if r.gone {
		return nil
	}
	return visit(r.key, r.value)
}
