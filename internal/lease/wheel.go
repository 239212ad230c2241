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
// All methods may be called from any goroutine.
type Wheel struct {
	mu      sync.Mutex
	ring    [slots]slot
	overdue slot // those that fell due and may not end yet, in that order
	at      Time // every slot that ends by then has been looked at
	sifted  Time // when the overdue were last looked through for renewed ones
	size    int
	held    int // how many are overdue
}

// slot is a doubly linked list of leases.
type slot struct{ first, last *Lease }

// Add puts a lease on the wheel. A nil one is left out.
func (w *Wheel) Add(l *Lease) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.push(l, w.slotOf(l))
	w.size++
}

// Remove takes a lease off the wheel; one that is not on it is no fault.
func (w *Wheel) Remove(l *Lease) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.slot != nil {
		w.unlink(l)
		w.size--
	}
}

// Len returns how many leases are on the wheel.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
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
// the most, takes them off the wheel and returns them. The others wait, and may
// be renewed. It costs what the slots that time has passed hold, not what the wheel
// holds.
func (w *Wheel) Due(now Time, most int) (ends []*Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collect(now)
	if now-w.sifted >= siftEvery {
		w.sift(now)
	}
	for l := w.overdue.first; l != nil && len(ends) < most; l = w.overdue.first {
		if l.end(now) {
			w.unlink(l)
			w.size--
			ends = append(ends, l)
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
		for l := w.slotAt(turn).first; l != nil; {
			next := l.next
			if l.due(now) {
				w.move(l, &w.overdue)
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
	for l := w.overdue.first; l != nil; {
		next := l.next
		if !l.due(now) {
			w.move(l, w.slotOf(l))
		}
		l = next
	}
}

func (w *Wheel) slotAt(t Time) *slot { return &w.ring[int(t/slotWidth)%slots] }

// slotOf returns where a lease belongs. A deadline that has passed belongs to the slot
// that is looked at next.
func (w *Wheel) slotOf(l *Lease) *slot { return w.slotAt(max(Time(l.deadline.Load()), w.at)) }

func (w *Wheel) move(l *Lease, to *slot) {
	w.unlink(l)
	w.push(l, to)
}

// push puts a lease at the end of a slot, so that the overdue stand in the order in which
// they fell due.
func (w *Wheel) push(l *Lease, to *slot) {
	l.slot, l.prev, l.next = to, to.last, nil
	if to.last != nil {
		to.last.next = l
	} else {
		to.first = l
	}
	to.last = l
	if to == &w.overdue {
		w.held++
	}
}

func (w *Wheel) unlink(l *Lease) {
	if l.slot == &w.overdue {
		w.held--
	}
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		l.slot.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		l.slot.last = l.prev
	}
	l.slot, l.prev, l.next = nil, nil, nil
}
