package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A page of bbolt begins with a header
//
//	0 its own number u64 · 8 flags u16 · 10 count of elements u16 · 12 overflow u32
//
// and goes on for overflow further pages. Elements of 16 bytes follow,
//
//	in a leaf    0 flags u32 · 4 pos u32 · 8 key size u32 · 12 value size u32
//	in a branch  0 pos u32 · 4 key size u32 · 8 page u64
//
// and then the keys and values, packed in the same order; pos counts from its element.
// bbolt leaves no gap, uses no page more than it needs, and finds the way by keys alone:
// a branch must name each child by its first key, or a later write splits the tree. So
// all of this is required here, and a bit that is flipped in any of it is found.
const (
	headerSize  = 16
	elementSize = 16

	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04

	isValue  = 0 // flags of a leaf's element
	isBucket = 1

	// maxLevel is more than any tree has whose pages have two children each.
	maxLevel = 64
)

// bucket is where a bucket's tree begins: on a page, or inline in a tree of few records.
type bucket struct {
	root   uint64
	inline []byte
}

// parseBucket reads the value that stands for a bucket: its root page, or 0 and then the
// page itself; between them a sequence that nothing here uses.
func parseBucket(value []byte) (bucket, error) {
	if len(value) < 16 || native.Uint64(value[8:]) != 0 {
		return bucket{}, flaw("a bucket's header is wrong")
	}
	b := bucket{root: native.Uint64(value)}
	if b.root == 0 {
		b.inline = bytes.Clone(value[16:])
	} else if len(value) > 16 {
		return bucket{}, flaw("a bucket's header is too long")
	}
	return b, nil
}

// walk yields what is in a bucket, in the order of its keys. All of it has the flags.
// The slices are only lent.
func (i *image) walk(b bucket, flags uint32, visit func(key, value []byte) error) error {
	w := walk{image: i, flags: flags, visit: visit}
	if b.inline == nil {
		return w.page(b.root, 0, nil)
	}
	n, err := parseNode(b.inline, 0)
	if err != nil {
		return err
	}
	if !n.leaf {
		return flaw("an inline bucket is no leaf")
	}
	if err := w.node(n, 0, nil); err != nil {
		return err
	}
	if n.at != len(b.inline) {
		return flaw("an inline bucket has the wrong size")
	}
	return nil
}

type walk struct {
	*image
	flags uint32
	visit func(key, value []byte) error
	last  []byte // the key of the last leaf's element
}

// page walks the tree below a page. first is the key that its parent has for it; nil for
// the root.
func (w *walk) page(id uint64, level int, first []byte) error {
	b, err := w.load(id, level)
	if err != nil {
		return err
	}
	n, err := parseNode(b, id)
	if err != nil {
		return err
	}
	if err := w.node(n, level, first); err != nil {
		return err
	}
	if pages := (uint64(n.at) + w.pageSize - 1) / w.pageSize; pages != uint64(len(b))/w.pageSize {
		return flaw(fmt.Sprintf("page %d fills %d pages and has %d", id, pages, uint64(len(b))/w.pageSize))
	}
	return nil
}

func (w *walk) node(n *node, level int, first []byte) error {
	if n.count == 0 && (first != nil || !n.leaf) {
		return n.flaw("has no elements")
	}
	for k := range n.count {
		e, err := n.next(k)
		if err != nil {
			return err
		}
		if k == 0 && first != nil && !bytes.Equal(first, e.key) {
			return n.flaw("begins with another key than its parent has for it")
		}
		if !n.leaf {
			if err := w.page(e.child, level+1, e.key); err != nil {
				return err
			}
			continue
		}
		if e.flags != w.flags {
			return n.flaw("has an element of the wrong kind")
		}
		if w.last != nil && bytes.Compare(w.last, e.key) >= 0 {
			return n.flaw("has keys out of order")
		}
		w.last = append(w.last[:0], e.key...)
		if err := w.visit(e.key, e.value); err != nil {
			return err
		}
	}
	return nil
}

// load reads a page with those that it goes on for into the buffer of its level.
func (i *image) load(id uint64, level int) ([]byte, error) {
	if level == maxLevel {
		return nil, flaw("its tree is too high")
	}
	if level == len(i.levels) {
		i.levels = append(i.levels, make([]byte, i.pageSize))
	}
	b := i.levels[level][:i.pageSize]
	if err := i.take(id, b); err != nil {
		return nil, err
	}
	overflow := uint64(native.Uint32(b[12:]))
	if overflow == 0 {
		return b, nil
	}
	if overflow >= i.end {
		return nil, flaw(fmt.Sprintf("page %d goes on for %d pages of %d", id, overflow, i.end))
	}
	size := (1 + overflow) * i.pageSize
	if uint64(len(i.levels[level])) < size {
		i.levels[level] = append(make([]byte, 0, size), b...)[:size]
	}
	b = i.levels[level][:size]
	return b, i.take(id+1, b[i.pageSize:])
}

// take reads pages into b, as many as it holds, and no page twice.
func (i *image) take(id uint64, b []byte) error {
	n := uint64(len(b)) / i.pageSize
	if id < 2 || id >= i.end || n > i.end-id {
		return flaw(fmt.Sprintf("it refers to page %d of %d", id, i.end))
	}
	for k := range n {
		if i.seen[id+k] {
			return flaw(fmt.Sprintf("page %d is in two places", id+k))
		}
		i.seen[id+k] = true
	}
	_, err := i.file.ReadAt(b, int64(id*i.pageSize))
	if errors.Is(err, io.EOF) {
		return flaw(fmt.Sprintf("it ends within page %d", id))
	}
	return err
}

// node is a page being read, from one element to the next.
type node struct {
	id    uint64
	leaf  bool
	count int
	b     []byte
	at    int // where the next key is
}

type element struct {
	flags      uint32 // in a leaf
	key, value []byte // of its buffer
	child      uint64 // in a branch
}

func parseNode(b []byte, id uint64) (*node, error) {
	if len(b) < headerSize {
		return nil, flaw("an inline bucket is cut short")
	}
	n := &node{id: id, count: int(native.Uint16(b[10:])), b: b}
	n.at = headerSize + n.count*elementSize
	kind := native.Uint16(b[8:])
	n.leaf = kind == leafPage
	switch {
	case native.Uint64(b) != id:
		return nil, n.flaw("says that it is another")
	case kind != leafPage && kind != branchPage:
		return nil, n.flaw("is neither leaf nor branch")
	case n.at > len(b):
		return nil, n.flaw("has more elements than room")
	}
	return n, nil
}

// next returns element k; the elements before it have been read.
func (n *node) next(k int) (element, error) {
	at := headerSize + k*elementSize
	b := n.b[at:][:elementSize]
	var e element
	var pos, keySize, valueSize uint32
	if n.leaf {
		e.flags, pos, keySize, valueSize = native.Uint32(b), native.Uint32(b[4:]), native.Uint32(b[8:]), native.Uint32(b[12:])
	} else {
		pos, keySize, e.child = native.Uint32(b), native.Uint32(b[4:]), native.Uint64(b[8:])
	}
	room := int64(len(n.b) - n.at)
	if int64(at)+int64(pos) != int64(n.at) || keySize == 0 || int64(keySize)+int64(valueSize) > room {
		return element{}, n.flaw("has an element that is not where it should be")
	}
	key, value := n.at, n.at+int(keySize)
	n.at = value + int(valueSize)
	e.key, e.value = n.b[key:value:value], n.b[value:n.at:n.at]
	return e, nil
}

func (n *node) flaw(what string) error { return flaw(fmt.Sprintf("page %d %s", n.id, what)) }
