package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// meta is what a meta page of bbolt says. The file begins with two of them. A
// transaction puts its own over the older one, as the last thing it writes: so their
// numbers differ by one, and the even one comes first.
type meta struct {
	pageSize uint64
	root     uint64 // the page of the bucket of buckets
	end      uint64 // the first page that is not in use
	txid     uint64
	content  [metaSize - 16]byte // all but the number and the checksum, as it stands
}

// The meta page, in the machine's own byte order: a page header, and from there
//
//	0 magic u32 · 4 version u32 · 8 page size u32 · 12 flags u32 · 16 root u64
//	24 sequence u64 · 32 freelist u64 · 40 end u64 · 48 txid u64 · 56 FNV-1a of it all u64
const (
	metaSize    = 64
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = 1<<64 - 1
)

var native = binary.NativeEndian

// parseMeta reads a meta page, or as much of one as holds the meta.
func parseMeta(page []byte) (meta, error) {
	b := page[headerSize:][:metaSize]
	sum := fnv.New64a()
	sum.Write(b[:56])
	switch {
	case native.Uint32(b) != boltMagic:
		return meta{}, flaw("it does not begin like a bbolt file of this kind of machine")
	case native.Uint64(b[56:]) != sum.Sum64():
		return meta{}, flaw("a meta page has a wrong checksum")
	case native.Uint32(b[4:]) != boltVersion:
		return meta{}, flaw(fmt.Sprintf("it is of version %d of bbolt's format, which is not %d", native.Uint32(b[4:]), boltVersion))
	}
	m := meta{
		pageSize: uint64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		end:      native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
		content:  [metaSize - 16]byte(b),
	}
	if m.pageSize < 1<<10 || m.pageSize > 1<<24 || m.pageSize&(m.pageSize-1) != 0 {
		return meta{}, flaw(fmt.Sprintf("its pages have %d bytes", m.pageSize))
	}
	return m, nil
}

// head is the beginning of a page that says so, in the place of the two that its number
// gives it. The rest of the page is zeros.
func (m meta) head() (b [headerSize + metaSize]byte) {
	native.PutUint64(b[:], m.txid%2)
	native.PutUint16(b[8:], metaPage)
	c := b[headerSize:]
	copy(c, m.content[:])
	native.PutUint64(c[48:], m.txid)
	sum := fnv.New64a()
	sum.Write(c[:56])
	native.PutUint64(c[56:], sum.Sum64())
	return b
}

func (m meta) page() []byte {
	head := m.head()
	return append(make([]byte, 0, m.pageSize), head[:]...)[:m.pageSize]
}

// newest returns the newer of the two.
//
// bbolt takes the older one where the newer is bad. That would lose the last commit, so
// here both must be good. It refuses nothing that a crash leaves behind: what a meta page
// says lies in its first 80 bytes, in one sector, and a sector is written whole or not at
// all.
func newest(f io.ReaderAt) (meta, error) {
	zeroth, err := readMeta(f, 0, 0)
	if err != nil {
		return meta{}, err
	}
	first, err := readMeta(f, 1, int64(zeroth.pageSize))
	if err != nil {
		return meta{}, err
	}
	switch {
	case zeroth.txid == first.txid+1:
		return zeroth, zeroth.check()
	case first.txid == zeroth.txid+1:
		return first, first.check()
	}
	return meta{}, flaw(fmt.Sprintf("its meta pages are of transactions %d and %d, which do not follow each other", zeroth.txid, first.txid))
}

// check refuses what bbolt would believe and nobody has checked.
func (m meta) check() error {
	if native.Uint64(m.content[32:]) != noFreelist {
		return flaw("it has a list of free pages, so another program has written to it")
	}
	return nil
}

func readMeta(f io.ReaderAt, place uint64, offset int64) (meta, error) {
	var b [headerSize + metaSize]byte
	if _, err := f.ReadAt(b[:], offset); errors.Is(err, io.EOF) {
		return meta{}, flaw("it ends within its meta pages")
	} else if err != nil {
		return meta{}, err
	}
	m, err := parseMeta(b[:])
	if err != nil {
		return meta{}, err
	}
	if m.txid%2 != place || b != m.head() {
		return meta{}, flaw(fmt.Sprintf("page %d is not the meta page that belongs there", place))
	}
	return m, nil
}

// settle makes both meta pages lead to what the file held by a transaction. Its own must
// be there; the other, whatever it says, gets the same content and the number before.
func settle(f *os.File, pageSize, txid uint64) error {
	m, err := readMeta(f, txid%2, int64(txid%2*pageSize))
	if err != nil {
		return err
	}
	if m.txid != txid {
		return errChanged
	}
	m.txid--
	if _, err := f.WriteAt(m.page(), int64(m.txid%2*pageSize)); err != nil {
		return err
	}
	return f.Sync()
}
