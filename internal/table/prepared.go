package table

import "sync/atomic"

// prepared is what readers made of a view and keep with it, so that it is made once
// and goes when the view goes. The zero value is empty.
type prepared struct {
	first atomic.Pointer[Preparation]
}

// Preparation is how a view keeps what was made of it. It is a part of that: then a reader
// finds both in one place.
type Preparation struct {
	Value any // what was made

	key  any
	next *Preparation
}

// Prepared returns what was prepared of the view under that key, and has it made
// where it was not. Two readers may make it at once; both get the same one. The key
// must say all that the value depends on besides the view, and there must be few.
func (v *View) Prepared(key any, prepare func() *Preparation) any {
	first := v.prepared.first.Load()
	for p := first; p != nil; p = p.next {
		if p.key == key {
			return p.Value
		}
	}
	made := prepare()
	made.key, made.next = key, first
	if v.prepared.first.CompareAndSwap(first, made) {
		return made.Value
	}
	return v.Prepared(key, prepare)
}

// Forget drops all that was prepared of the view, because the lease of an instance has
// ended. What is prepared from then on knows of that.
func (v *View) Forget() {
	// Not nil, which a reader may have found before: what it has made would be kept.
	v.prepared.first.Store(&Preparation{})
}
