package lease

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A turn of the wheel is slots × slotWidth, about seven minutes. A lease that ends
// later stays in its slot and is looked at once a turn.
const (
	slots     = 4096
	slotWidth = Time(TickEvery)
)

// Wheel has all leases, and finds those that have fallen due without looking at the others. A
// renewal does not touch it: the wheel meets the lease where its old deadline was, sees the
// new one, and puts it there. So a heartbeat costs one atomic write, and each lease is
// looked at about once in its length.
//
// All methods may be called from any goroutine. The zero value has no leases.
type Wheel struct {
	pieces atomic.Pointer[[]*piece] // all leases by number; written under mu

	mu     sync.Mutex
	made   int     // leases that are not free
	unused Number  // the first that was never made, but for 0
	free   []freed // in the order in which they became so
	ring   [slots + 1]slot
	on     int  // how many are on the ring
	at     Time // every slot that ends by then has been looked at
	sifted Time // when the overdue were last looked through for renewed ones
	held   int  // how many are overdue
}

// piece is the leases whose numbers follow each other.
type piece [1 << pieceBits]Lease

const pieceBits = 10

// state is where a lease is.
type state uint8

const (
	isFree state = iota
	isMade
	isOnWheel
)

// freed is a lease that may be made again.
type freed struct {
	number Number
	at     Time
}

// reuseAfter is how long a lease stays as it was before its memory becomes another's: whoever
// has found it in what was published until then, a query or a heartbeat on its way, is done.
const reuseAfter = Time(10 * time.Second)

// overdue is the slot of those that fell due and may not end yet, in that order.
const overdue = slots

// slot is a doubly linked list of leases.
type slot struct{ first, last Number }

// New makes a lease of that length which starts now, for an owner: a number by which the
// caller knows what it belongs to. It is not on the wheel yet. It must be dropped when it is
// of no more use.
func (w *Wheel) New(length time.Duration, owner uint64, now Time) *Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.Lease(w.take(now))
	l.owner, l.state = owner, isMade
	l.start(length, now)
	w.made++
	return l
}

// take returns the number of a lease that is free.
func (w *Wheel) take(now Time) Number {
	if len(w.free) > 0 && now-w.free[0].at >= reuseAfter {
		n := w.free[0].number
		w.free = w.free[1:]
		return n
	}
	if w.unused == 0 {
		w.unused = 1
	}
	n := w.unused
	w.unused++
	var pieces []*piece
	if all := w.pieces.Load(); all != nil {
		pieces = *all
	}
	if int(n>>pieceBits) == len(pieces) {
		pieces = append(slices.Clip(pieces), new(piece)) // readers have the list as it was
		w.pieces.Store(&pieces)
	}
	w.Lease(n).number = n
	return n
}

// Lease returns the lease of that number; nil for 0. It takes no lock.
func (w *Wheel) Lease(n Number) *Lease {
	if n == 0 {
		return nil
	}
	return &(*w.pieces.Load())[n>>pieceBits][n&(1<<pieceBits-1)]
}

// Add puts a lease of the wheel's on it. A nil one is left out, as is one that is on it.
func (w *Wheel) Add(l *Lease) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state == isMade {
		l.state = isOnWheel
		w.on++
		w.push(l, w.slotOf(l))
	}
}

// AddAll puts all leases on the wheel that are not, each with its full length from now on.
func (w *Wheel) AddAll(now Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := Number(1); n < w.unused; n++ {
		if l := w.Lease(n); l.state == isMade && l.Renew(now) {
			l.state = isOnWheel
			w.on++
			w.push(l, w.slotOf(l))
		}
	}
}

// Drop takes a lease off the wheel, if it is on it, and gives it up: after a while it may be
// made again for another owner. A nil one, or one that was dropped, is no fault.
func (w *Wheel) Drop(l *Lease, now Time) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state == isFree {
		return
	}
	if l.state == isOnWheel {
		w.takeOff(l)
	}
	l.state = isFree
	w.made--
	w.free = append(w.free, freed{l.number, now})
}

// takeOff takes a lease off the wheel that is on it.
func (w *Wheel) takeOff(l *Lease) {
	w.unlink(l)
	w.on--
	l.state = isMade
}

// Made returns how many leases were made and not dropped.
func (w *Wheel) Made() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

// Len returns how many leases are on the wheel.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on
}

// Held returns how many leases have fallen due and were not allowed to end. A renewal
// brings a lease out of this count within a second.
func (w *Wheel) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

// siftEvery is how often all overdue leases are looked through for renewed ones. They may
// be most of the wheel, so it is not done at every tick.
const siftEvery = Time(time.Second)

// Due ends leases whose deadline has come, the longest due first and most of them at
// the most, takes them off the wheel and returns them, to be dropped once their owners have
// lost what they had by them. The others wait, and may be renewed. It costs what the slots
// that time has passed hold, not what the wheel holds.
func (w *Wheel) Due(now Time, most int) (ends []*Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collect(now)
	if now-w.sifted >= siftEvery {
		w.sift(now)
	}
	for l := w.Lease(w.ring[overdue].first); l != nil && len(ends) < most; l = w.Lease(w.ring[overdue].first) {
		if l.end(now) {
			ends = append(ends, l)
			w.takeOff(l)
		} else {
			w.move(l, w.slotOf(l))
		}
	}
	return ends
}

// collect moves what has fallen due from the ring to the overdue.
func (w *Wheel) collect(now Time) {
	// The slot of now is only part past: it is looked at now, and again next time.
	for turn := w.at; turn <= now && turn < w.at+slots*slotWidth; turn += slotWidth {
		for l := w.Lease(w.ring[slotAt(turn)].first); l != nil; {
			next := w.Lease(l.next)
			if l.due(now) {
				w.move(l, overdue)
			} else if s := w.slotOf(l); s != l.slot {
				w.move(l, s)
			}
			l = next
		}
	}
	w.at = max(w.at, now-now%slotWidth)
}

// sift puts the overdue leases that were renewed back where they belong.
func (w *Wheel) sift(now Time) {
	w.sifted = now
	for l := w.Lease(w.ring[overdue].first); l != nil; {
		next := w.Lease(l.next)
		if !l.due(now) {
			w.move(l, w.slotOf(l))
		}
		l = next
	}
}

func slotAt(t Time) uint16 { return uint16(int(t/slotWidth) % slots) }

// slotOf returns where a lease belongs. A deadline that has passed belongs to the slot
// that is looked at next.
func (w *Wheel) slotOf(l *Lease) uint16 { return slotAt(max(Time(l.deadline.Load()), w.at)) }

func (w *Wheel) move(l *Lease, to uint16) {
	w.unlink(l)
	w.push(l, to)
}

// push puts a lease at the end of a slot, so that the overdue stand in the order in which
// they fell due.
func (w *Wheel) push(l *Lease, to uint16) {
	s := &w.ring[to]
	l.slot, l.prev, l.next = to, s.last, 0
	if s.last != 0 {
		w.Lease(s.last).next = l.number
	} else {
		s.first = l.number
	}
	s.last = l.number
	if to == overdue {
		w.held++
	}
}

func (w *Wheel) unlink(l *Lease) {
	s := &w.ring[l.slot]
	if l.slot == overdue {
		w.held--
	}
	if l.prev != 0 {
		w.Lease(l.prev).next = l.next
	} else {
		s.first = l.next
	}
	if l.next != 0 {
		w.Lease(l.next).prev = l.prev
	} else {
		s.last = l.prev
	}
}
