package lease

import (
	"sync"
	"time"
)

// A turn of the wheel is slots × slotWidth, about seven minutes. A lease that ends
// later stays in its slot and is looked at once a turn.
const (
	slots     = 4096
	slotWidth = Time(TickEvery)
)

// Wheel finds the leases that have fallen due without looking at the others. A renewal
// does not touch it: the wheel meets the lease where its old deadline was, sees the
// new one, and puts it there. So a heartbeat costs one atomic write, and each lease is
// looked at about once in its length.
//
// It has the holders of the leases and yields those: a lease that led back to its holder
// would be a pointer more in each.
// All methods may be called from any goroutine.
type Wheel[H Holder] struct {
	mu      sync.Mutex
	holders []H // by the numbers of their leases; none where a number is free, as 0 always is
	free    []number
	ring    [slots + 1]slot
	at      Time // every slot that ends by then has been looked at
	sifted  Time // when the overdue were last looked through for renewed ones
	held    int  // how many are overdue
}

// Holder is what has a lease, always the same one; nil where it is static.
type Holder interface{ Lease() *Lease }

// overdue is the slot of those that fell due and may not end yet, in that order.
const overdue = slots

// number says which lease, in the place of a pointer. Slots are linked in the order in which
// heartbeats come: pointers would lead the garbage collector through all instances in that
// order, from one place in memory to another that it has left long ago. The list of all
// leads it through them in about the order in which they came.
type number uint32

// slot is a doubly linked list of leases.
type slot struct{ first, last number }

// Add puts a lease on the wheel. A nil one is left out.
func (w *Wheel[H]) Add(h H) {
	l := h.Lease()
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.holders) == 0 {
		w.holders = make([]H, 1)
	}
	if n := len(w.free); n > 0 {
		l.at, w.free = w.free[n-1], w.free[:n-1]
		w.holders[l.at] = h
	} else {
		l.at = number(len(w.holders))
		w.holders = append(w.holders, h)
	}
	w.push(l, w.slotOf(l))
}

// Remove takes a lease off the wheel, by whichever of its holders; one that is not on it is
// no fault.
func (w *Wheel[H]) Remove(h H) {
	l := h.Lease()
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.at != 0 {
		w.drop(l)
	}
}

// drop takes a lease off the wheel that is on it.
func (w *Wheel[H]) drop(l *Lease) {
	w.unlink(l)
	w.holders[l.at] = *new(H)
	w.free = append(w.free, l.at)
	l.at = 0
}

// Len returns how many leases are on the wheel.
func (w *Wheel[H]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(len(w.holders)-1, 0) - len(w.free)
}

// Held returns how many leases have fallen due and were not allowed to end. A renewal
// brings a lease out of this count within a second.
func (w *Wheel[H]) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

// siftEvery is how often all overdue leases are looked through for renewed ones. They may
// be most of the wheel, so it is not done at every tick.
const siftEvery = Time(time.Second)

// Due ends leases whose deadline has come, the longest due first and most of them at
// the most, takes them off the wheel and returns their holders. The others wait, and may
// be renewed. It costs what the slots that time has passed hold, not what the wheel
// holds.
func (w *Wheel[H]) Due(now Time, most int) (ends []H) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collect(now)
	if now-w.sifted >= siftEvery {
		w.sift(now)
	}
	for l := w.leaseAt(w.ring[overdue].first); l != nil && len(ends) < most; l = w.leaseAt(w.ring[overdue].first) {
		if l.end(now) {
			ends = append(ends, w.holders[l.at])
			w.drop(l)
		} else {
			w.move(l, w.slotOf(l))
		}
	}
	return ends
}

// collect moves what has fallen due from the ring to the overdue.
func (w *Wheel[H]) collect(now Time) {
	// The slot of now is only part past: it is looked at now, and again next time.
	for turn := w.at; turn <= now && turn < w.at+slots*slotWidth; turn += slotWidth {
		for l := w.leaseAt(w.ring[slotAt(turn)].first); l != nil; {
			next := w.leaseAt(l.next)
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
func (w *Wheel[H]) sift(now Time) {
	w.sifted = now
	for l := w.leaseAt(w.ring[overdue].first); l != nil; {
		next := w.leaseAt(l.next)
		if !l.due(now) {
			w.move(l, w.slotOf(l))
		}
		l = next
	}
}

// leaseAt returns the lease of a number; nil for 0.
func (w *Wheel[H]) leaseAt(n number) *Lease {
	if n == 0 {
		return nil
	}
	return w.holders[n].Lease()
}

func slotAt(t Time) uint16 { return uint16(int(t/slotWidth) % slots) }

// slotOf returns where a lease belongs. A deadline that has passed belongs to the slot
// that is looked at next.
func (w *Wheel[H]) slotOf(l *Lease) uint16 { return slotAt(max(Time(l.deadline.Load()), w.at)) }

func (w *Wheel[H]) move(l *Lease, to uint16) {
	w.unlink(l)
	w.push(l, to)
}

// push puts a lease at the end of a slot, so that the overdue stand in the order in which
// they fell due.
func (w *Wheel[H]) push(l *Lease, to uint16) {
	s := &w.ring[to]
	l.slot, l.prev, l.next = to, s.last, 0
	if s.last != 0 {
		w.leaseAt(s.last).next = l.at
	} else {
		s.first = l.at
	}
	s.last = l.at
	if to == overdue {
		w.held++
	}
}

func (w *Wheel[H]) unlink(l *Lease) {
	s := &w.ring[l.slot]
	if l.slot == overdue {
		w.held--
	}
	if l.prev != 0 {
		w.leaseAt(l.prev).next = l.next
	} else {
		s.first = l.next
	}
	if l.next != 0 {
		w.leaseAt(l.next).prev = l.prev
	} else {
		s.last = l.prev
	}
}
