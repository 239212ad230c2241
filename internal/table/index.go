package table

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// index finds entries by their key. A copy of it is another index that shares all that
// neither changes afterwards: a change copies the way to its bucket, once a revision.
// Whoever holds a copy may read it from any goroutine while another copy is changed.
// The zero value is empty.
//
// It is a hash table that grows by a bucket at a time (linear hashing, W. Litwin, 1980), so
// that no change ever pays for the whole table, and its buckets are in the leaves of a tree.
// Most of a look-up is waiting for memory. The root and the branches are few, and so in
// the processor's cache; what is left is a leaf, a bucket, which has the hashes beside the
// entries, and the entry itself. A tree of comparisons is a dozen such places. An entry
// takes about 20 bytes.
type index[K comparable, E keyed[K]] struct {
	made    uint64 // the revision that the root belongs to
	root    []*branch[E]
	buckets int
	len     int // how many entries there are
}

// keyed is an entry that knows its key.
type keyed[K comparable] interface {
	comparable
	is(K) bool
}

// branch and leaf are changed in place while they belong to the revision that is being
// made, else copied: nobody else has them yet.
type branch[E any] struct {
	made   uint64
	leaves [branchWidth]*leaf[E]
}

type leaf[E any] struct {
	made    uint64
	buckets [leafWidth][]slot[E] // of just the size they have, and never changed
}

type slot[E any] struct {
	hash  uint64
	entry E
}

// A change copies a leaf and a branch, half a kilobyte each, and the root, which has a
// pointer for some 8,000 entries.
const (
	leafWidth   = 16
	branchWidth = 64
	rootStep    = leafWidth * branchWidth

	// Entries in a bucket, on average: beyond these, there is a bucket more, or one less.
	// The lists that a look-up goes through are two cache lines long, more often than not.
	mostPerBucket  = 8
	leastPerBucket = 3
)

// hash is that of keys. The seed is this process's own, so that nobody can choose keys
// that collide.
func hash[K comparable](key K) uint64 { return maphash.Comparable(seed, key) }

var seed = maphash.MakeSeed()

// number returns which bucket a hash belongs to: its last bits say it, and where there
// is no such bucket yet, one bit less.
func (x *index[K, E]) number(hash uint64) int {
	mask := 1<<bits.Len(uint(x.buckets-1)) - 1
	n := int(hash) & mask
	if n >= x.buckets {
		n &= mask >> 1
	}
	return n
}

// get returns the entry of a key; zero where there is none.
func (x *index[K, E]) get(hash uint64, key K) (none E) {
	if x.len == 0 {
		return none
	}
	n := x.number(hash)
	bucket := x.root[n/rootStep].leaves[n/leafWidth%branchWidth].buckets[n%leafWidth]
	for i := range bucket {
		if s := &bucket[i]; s.hash == hash && s.entry.is(key) {
			return s.entry
		}
	}
	return none
}

// hashed yields the entries whose keys have that hash: hardly ever more than one.
func (x *index[K, E]) hashed(hash uint64) func(yield func(E) bool) {
	return func(yield func(E) bool) {
		if x.len == 0 {
			return
		}
		n := x.number(hash)
		for _, s := range x.root[n/rootStep].leaves[n/leafWidth%branchWidth].buckets[n%leafWidth] {
			if s.hash == hash && !yield(s.entry) {
				return
			}
		}
	}
}

// set places an entry, in the place of the one of the same key if there is one.
func (x *index[K, E]) set(revision, hash uint64, key K, entry E) {
	if x.buckets == 0 {
		x.grow(revision)
	}
	bucket := x.bucket(revision, x.number(hash))
	at, known := find(*bucket, hash, key)
	next := make([]slot[E], max(len(*bucket), at+1))
	copy(next, *bucket)
	next[at] = slot[E]{hash, entry}
	*bucket = next
	if known {
		return
	}
	x.len++
	if x.len > mostPerBucket*x.buckets {
		x.split(revision)
	}
}

// fill places entries in an index that is empty, each with the hash of its key, and returns the
// places of those whose key another has before them: these are left out. It costs a fraction of
// what as many calls of set do, each of which copies a bucket.
func (x *index[K, E]) fill(revision uint64, hashes []uint64, entry func(n int) (K, E)) (again []int) {
	for range (len(hashes) + mostPerBucket - 1) / mostPerBucket {
		x.grow(revision)
	}
	sizes := make([]uint32, x.buckets)
	for _, hash := range hashes {
		sizes[x.number(hash)]++
	}
	for n, hash := range hashes {
		key, e := entry(n)
		number := x.number(hash)
		bucket := x.bucket(revision, number)
		if *bucket == nil {
			*bucket = make([]slot[E], 0, sizes[number])
		}
		if _, known := find(*bucket, hash, key); known {
			again = append(again, n)
			continue
		}
		*bucket = append(*bucket, slot[E]{hash, e})
		x.len++
	}
	return again
}

// delete takes the entry of a key away, if there is one.
func (x *index[K, E]) delete(revision, hash uint64, key K) {
	if x.get(hash, key) == *new(E) {
		return
	}
	bucket := x.bucket(revision, x.number(hash))
	at, _ := find(*bucket, hash, key)
	*bucket = slices.Concat((*bucket)[:at], (*bucket)[at+1:])
	x.len--
	if x.buckets > 1 && x.len < leastPerBucket*x.buckets {
		x.join(revision)
	}
}

// all yields the entries in no order.
func (x *index[K, E]) all(yield func(E) bool) {
	for n := range x.buckets {
		for _, s := range x.root[n/rootStep].leaves[n/leafWidth%branchWidth].buckets[n%leafWidth] {
			if !yield(s.entry) {
				return
			}
		}
	}
}

// find returns where an entry is in a bucket; its end where it is not there.
func find[K comparable, E keyed[K]](bucket []slot[E], hash uint64, key K) (at int, ok bool) {
	for i := range bucket {
		if bucket[i].hash == hash && bucket[i].entry.is(key) {
			return i, true
		}
	}
	return len(bucket), false
}

// bucket returns the bucket of that number, to be replaced in this revision.
func (x *index[K, E]) bucket(revision uint64, n int) *[]slot[E] {
	l := &x.branch(revision, n).leaves[n/leafWidth%branchWidth]
	if (*l).made != revision {
		c := **l
		c.made, *l = revision, &c
	}
	return &(*l).buckets[n%leafWidth]
}

// branch returns the branch that leads to a bucket, to be changed in this revision.
func (x *index[K, E]) branch(revision uint64, n int) *branch[E] {
	x.own(revision)
	b := &x.root[n/rootStep]
	if (*b).made != revision {
		c := **b
		c.made, *b = revision, &c
	}
	return *b
}

func (x *index[K, E]) own(revision uint64) {
	if x.made != revision {
		x.made, x.root = revision, slices.Clone(x.root)
	}
}

// parent returns the bucket that has what belongs to bucket n while there is none.
func parent(n int) int { return n &^ (1 << (bits.Len(uint(n)) - 1)) }

// split adds a bucket, and moves to it what belongs there.
func (x *index[K, E]) split(revision uint64) {
	n := x.grow(revision)
	from := x.bucket(revision, parent(n))
	moving := 0
	for _, s := range *from {
		if x.number(s.hash) == n {
			moving++
		}
	}
	stay, move := make([]slot[E], 0, len(*from)-moving), make([]slot[E], 0, moving)
	for _, s := range *from {
		if x.number(s.hash) == n {
			move = append(move, s)
		} else {
			stay = append(stay, s)
		}
	}
	*from, *x.bucket(revision, n) = stay, move
}

// grow adds an empty bucket and returns its number.
func (x *index[K, E]) grow(revision uint64) int {
	n := x.buckets
	x.buckets++
	if n%rootStep == 0 {
		x.own(revision)
		x.root = append(x.root, &branch[E]{made: revision})
	}
	if n%leafWidth == 0 {
		x.branch(revision, n).leaves[n/leafWidth%branchWidth] = &leaf[E]{made: revision}
	}
	return n
}

// join undoes a split.
func (x *index[K, E]) join(revision uint64) {
	n := x.buckets - 1
	from, to := x.bucket(revision, n), x.bucket(revision, parent(n))
	*from, *to = nil, slices.Concat(*to, *from)
	x.buckets--
	if n%leafWidth == 0 {
		x.branch(revision, n).leaves[n/leafWidth%branchWidth] = nil
	}
	if n%rootStep == 0 {
		x.root[n/rootStep] = nil
		x.root = x.root[:n/rootStep]
	}
}
