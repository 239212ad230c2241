package table

import (
	"slices"
	"sort"
)

// run is a block of a service, and how many of its instances stand before it.
type run struct {
	before int
	*block
}

// runs are the instances of a service in order of id. Mostly it is one block.
type runs []run

func (rs runs) len() int {
	if len(rs) == 0 {
		return 0
	}
	last := rs[len(rs)-1]
	return last.before + len(last.entries)
}

// at returns the block of the instance of that number, and its place there.
func (rs runs) at(number int) (*block, int) {
	r := sort.Search(len(rs), func(r int) bool { return rs[r].before > number }) - 1
	return rs[r].block, number - rs[r].before
}

// find returns where the instance of that id is, or would be: in which run, and at what place
// there.
func (rs runs) find(id string) (r, at int, ok bool) {
	r = max(0, sort.Search(len(rs), func(r int) bool { return rs[r].id(0) > id })-1)
	if r == len(rs) {
		return r, 0, false
	}
	at, ok = rs[r].find(id)
	return r, at, ok
}

// put places an instance where find has found that it is, or would be. Its blocks are changed
// in this revision.
func (rs *runs) put(revision uint64, r, at int, i *Instance, known bool) {
	switch {
	case len(*rs) == 0:
		*rs = append(*rs, run{block: newBlock(revision, 1)})
	case known || len((*rs)[r].entries) < blockLen:
	case at == blockLen && r == len(*rs)-1: // they come in order: what is there stays full
		r, at = r+1, 0
		*rs = append(*rs, run{block: newBlock(revision, 1)})
	default:
		const half = blockLen / 2
		full := (*rs)[r].block
		(*rs)[r].block = full.slice(revision, 0, half)
		*rs = slices.Insert(*rs, r+1, run{block: full.slice(revision, half, blockLen)})
		if at > half {
			r, at = r+1, at-half
		}
	}
	rs.own(revision, r).put(at, i, known)
	rs.count(r)
}

// remove takes out the instance at that place.
func (rs *runs) remove(revision uint64, r, at int) {
	b := rs.own(revision, r)
	b.remove(at)
	switch {
	case len(b.entries) == 0:
		*rs = slices.Delete(*rs, r, r+1)
	case r+1 < len(*rs) && len(b.entries)+len((*rs)[r+1].entries) <= blockLen/2:
		b.add((*rs)[r+1].block)
		*rs = slices.Delete(*rs, r+1, r+2)
	case r > 0 && len(b.entries)+len((*rs)[r-1].entries) <= blockLen/2:
		rs.own(revision, r-1).add(b)
		*rs = slices.Delete(*rs, r, r+1)
		r--
	}
	rs.count(r)
}

// own returns the block of a run, to be changed in this revision. There is room in it for one
// more instance.
func (rs *runs) own(revision uint64, r int) *block {
	b := (*rs)[r].block
	if b.made != revision || len(b.entries) == cap(b.entries) {
		b = b.slice(revision, 0, len(b.entries))
		(*rs)[r].block = b
	}
	return b
}

// count counts what stands before each run, from that one on.
func (rs runs) count(from int) {
	for r := max(from, 0); r < len(rs); r++ {
		rs[r].before = rs[:r].len()
	}
}
