package table

import "sync/atomic"

// prepared is what readers made of a view, or of those who share an address, and keep with it,
// so that it is made once and goes when that goes. The zero value is empty.
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
	return v.prepared.get(key, prepare)
}

// Forget drops all that was prepared of the view, because the lease of an instance has
// ended. What is prepared from then on knows of that.
func (v *View) Forget() { v.prepared.forget() }

func (p *prepared) get(key any, prepare func() *Preparation) any {
	first := p.first.Load()
	for at := first; at != nil; at = at.next {
		if at.key == key {
			return at.Value
		}
	}
	made := prepare()
	made.key, made.next = key, first
	if p.first.CompareAndSwap(first, made) {
		return made.Value
	}
	return p.get(key, prepare)
}

func (p *prepared) forget() {
	// Not nil, which a reader may have found before: what it has made would be kept.
	p.first.Store(&Preparation{})
}
