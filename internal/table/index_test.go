package table

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// word is an entry of an index: a key with something to tell apart those of the same key.
type word struct{ key, value int }

func (w *word) is(key int) bool { return w.key == key }

// indexTwin is an index beside the map that it must be like.
type indexTwin struct {
	index[int, *word]
	twin map[int]*word
	hash func(int) uint64
}

func (x *indexTwin) check(t *testing.T, sentence string, keys int) {
	t.Helper()
	if x.len != len(x.twin) {
		t.Fatalf("%s: has %d entries, want %d", sentence, x.len, len(x.twin))
	}
	for key := range keys {
		if got, want := x.get(x.hash(key), key), x.twin[key]; got != want {
			t.Fatalf("%s: got %v for %d, want %v", sentence, got, key, want)
		}
	}
	got := map[int]*word{}
	for w := range x.all {
		if got[w.key] != nil {
			t.Fatalf("%s: %d is told twice", sentence, w.key)
		}
		got[w.key] = w
	}
	if !maps.Equal(got, x.twin) {
		t.Fatalf("%s: tells %d entries that are not its own, or not all", sentence, len(got))
	}
}

var hashes = []struct {
	sentence string
	hash     func(int) uint64
	keys     int // enough to see what happens
}{
	{"spread", hash[int], 2000},
	{"all the same", func(int) uint64 { return 1 << 63 }, 50},
	{"few", func(key int) uint64 { return uint64(key % 3) }, 50},
	{"all in one bucket", func(key int) uint64 { return uint64(key) << 40 }, 100},
	{"in a row", func(key int) uint64 { return uint64(key) }, 500},
}

// An index does what a map does, whatever the hashes are; and what it was at a revision it
// is after all the later ones, and after those that came to nothing.
func TestIndexIsLikeAMapAndStaysSo(t *testing.T) {
	for _, h := range hashes {
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 1))
			keys := []int{10, h.keys}[random.IntN(2)]
			is := indexTwin{twin: map[int]*word{}, hash: h.hash}
			var past []indexTwin
			for revision := range uint64(60) {
				next := is
				next.twin = maps.Clone(is.twin)
				grows := random.IntN(4) // in 4: else it shrinks
				for range random.IntN(keys) {
					key := random.IntN(keys)
					if random.IntN(4) <= grows {
						w := &word{key, random.Int()}
						next.set(revision, h.hash(key), key, w)
						next.twin[key] = w
					} else {
						next.delete(revision, h.hash(key), key)
						delete(next.twin, key)
					}
				}
				if revision%10 == 9 { // all of it
					for key := range keys {
						next.delete(revision, h.hash(key), key)
					}
					next.twin = map[int]*word{}
				}
				next.check(t, h.sentence, keys)
				past = append(past, next)
				if random.IntN(3) == 0 {
					continue // it comes to nothing: the next one is made of what was before
				}
				is = next
			}
			for _, was := range past {
				was.check(t, h.sentence+", afterwards", keys)
			}
		}
	}
}

func TestIndexTakesNoMoreThanItHolds(t *testing.T) {
	const most = 50_000
	var x index[int, *word]
	for key := range most {
		x.set(1, hash(key), key, &word{key, 0})
	}
	if got, want := x.buckets, most/mostPerBucket; got > want+1 {
		t.Errorf("%d entries: got %d buckets, want %d", most, got, want)
	}
	longest := 0
	for n := range x.buckets {
		longest = max(longest, len(*x.bucket(1, n)))
	}
	if longest > 6*mostPerBucket {
		t.Errorf("a bucket has %d entries", longest)
	}
	was := x
	for key := range most {
		x.delete(2, hash(key), key)
	}
	for key := range most {
		if w := was.get(hash(key), key); w == nil || w.key != key {
			t.Fatalf("%d is gone from the revision that had it", key)
		}
	}
	if x.len != 0 || x.buckets != 1 || len(x.root) != 1 {
		t.Errorf("without an entry: got %d entries in %d buckets under %d branches", x.len, x.buckets, len(x.root))
	}
}

// Readers take no lock: what they hold is read while the next revisions are made of it.
func TestIndexIsReadWhileItIsChanged(t *testing.T) {
	const keys = 2000
	var published sync.Map // by revision
	now := indexTwin{twin: map[int]*word{}, hash: hash[int]}
	published.Store(uint64(0), now)
	var readers sync.WaitGroup
	random := rand.New(rand.NewPCG(3, 3))
	for revision := range uint64(50) {
		is, _ := published.Load(revision)
		readers.Go(func() {
			at := is.(indexTwin)
			at.check(t, "beside a writer", keys)
		})
		now.twin = maps.Clone(now.twin)
		for range random.IntN(100) {
			key := random.IntN(keys)
			w := &word{key, 0}
			now.set(revision+1, hash(key), key, w)
			now.twin[key] = w
		}
		published.Store(revision+1, now)
	}
	readers.Wait()
}

// FuzzIndex plays a script. Two bytes are a key, and whether to set or to delete it; every
// so often a revision begins.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 1}, uint8(2))
	f.Add(slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 40), uint8(7))
	f.Fuzz(func(t *testing.T, script []byte, every uint8) {
		const keys = 1 << 7
		h := hashes[int(every)%len(hashes)]
		is := indexTwin{twin: map[int]*word{}, hash: h.hash}
		was, revision := is, uint64(1)
		for n := 0; n+1 < len(script); n += 2 {
			if n%(2*int(every)+2) == 0 {
				was.check(t, h.sentence+", afterwards", keys)
				revision++
				was = is
				is.twin = maps.Clone(is.twin)
			}
			key := int(script[n]) % keys
			if script[n+1]%2 == 0 {
				w := &word{key, n}
				is.set(revision, h.hash(key), key, w)
				is.twin[key] = w
			} else {
				is.delete(revision, h.hash(key), key)
				delete(is.twin, key)
			}
		}
		is.check(t, h.sentence, keys)
		was.check(t, h.sentence+", afterwards", keys)
	})
}

// What an index is filled with at once it has as if each had been placed by itself, and it can
// be changed as any other. Of one key it has the first.
func TestFilledIndexIsLikeAMap(t *testing.T) {
	for _, h := range hashes {
		for _, n := range []int{0, 1, mostPerBucket, mostPerBucket + 1, h.keys} {
			random := rand.New(rand.NewPCG(uint64(n), 2))
			is := indexTwin{twin: map[int]*word{}, hash: h.hash}
			var words []*word
			var all []uint64
			var again []int
			for place := range n {
				w := &word{random.IntN(max(n*3/4, 1)), place}
				words, all = append(words, w), append(all, h.hash(w.key))
				if is.twin[w.key] != nil {
					again = append(again, place)
				} else {
					is.twin[w.key] = w
				}
			}
			got := is.fill(1, all, func(n int) (int, *word) { return words[n].key, words[n] })
			if !slices.Equal(got, again) {
				t.Fatalf("%s: of %d left out %v, want %v", h.sentence, n, got, again)
			}
			is.check(t, h.sentence, h.keys)
			next := is
			next.twin = maps.Clone(is.twin)
			for key := range n {
				if key%2 == 0 {
					next.delete(2, h.hash(key), key)
					delete(next.twin, key)
				} else {
					next.twin[key] = &word{key, -1}
					next.set(2, h.hash(key), key, next.twin[key])
				}
			}
			next.check(t, h.sentence+", changed", h.keys)
			is.check(t, h.sentence+", as it was", h.keys)
		}
	}
}
