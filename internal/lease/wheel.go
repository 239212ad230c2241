package lease

import "sync"

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
	mu   sync.Mutex
	ring [slots]slot
	at   Time // every slot that ends by then has been looked at
	size int
}

// slot is a doubly linked list of leases.
type slot struct{ first *Lease }

// Add puts a lease on the wheel. A nil one is left out.
func (w *Wheel) Add(l *Lease) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.push(l)
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

// Due ends every lease whose deadline has come, takes it off the wheel and yields its
// owner. It costs what the slots that time has passed hold, not what the wheel holds.
func (w *Wheel) Due(now Time) (owners []any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The slot of now is only part past: it is looked at now, and again next time.
	for turn := w.at; turn <= now && turn < w.at+slots*slotWidth; turn += slotWidth {
		for l := w.slotAt(turn).first; l != nil; {
			next := l.next
			if l.end(now) {
				w.unlink(l)
				w.size--
				owners = append(owners, l.owner)
			} else if w.slotOf(l) != l.slot {
				w.unlink(l)
				w.push(l)
			}
			l = next
		}
	}
	w.at = max(w.at, now-now%slotWidth)
	return owners
}

func (w *Wheel) slotAt(t Time) *slot { return &w.ring[int(t/slotWidth)%slots] }

// slotOf returns where a lease belongs. A deadline that has passed belongs to the slot
// that is looked at next.
func (w *Wheel) slotOf(l *Lease) *slot { return w.slotAt(max(Time(l.deadline.Load()), w.at)) }

func (w *Wheel) push(l *Lease) {
	s := w.slotOf(l)
	l.slot, l.prev, l.next = s, nil, s.first
	if s.first != nil {
		s.first.prev = l
	}
	s.first = l
}

func (w *Wheel) unlink(l *Lease) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		l.slot.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.slot, l.prev, l.next = nil, nil, nil
}
