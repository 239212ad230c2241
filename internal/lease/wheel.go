package lease

import (
	"cmp"
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
// looked at about once in its length. Those that have fallen due and may not end yet wait in a
// line, out of which a renewal takes them at once.
//
// All methods may be called from any goroutine. The zero value has no leases.
type Wheel struct {
	pieces atomic.Pointer[[]*piece] // all leases by number; written under mu

	mu     sync.Mutex
	made   int     // leases that are not free
	unused Number  // the first that was never made, but for 0
	free   []freed // in the order in which they became so
	ring   [slots]slot
	on     int  // how many are on the ring or in the line
	at     Time // every slot that ends by then has been looked at
	now    Time // when Due was last called
	line   line // those that have fallen due
	budget budget
}

// piece is the leases whose numbers follow each other.
type piece [1 << pieceBits]Lease

const pieceBits = 10

// Where a lease is.
const (
	isFree uint32 = iota
	isMade
	inLine
	onRing // and more: in that slot of it
)

// freed is a lease that may be made again.
type freed struct {
	number Number
	at     Time
}

// reuseAfter is how long a lease stays as it was before its memory becomes another's: whoever
// has found it in what was published until then, a query or a heartbeat on its way, is done.
const reuseAfter = Time(10 * time.Second)

// slot is a doubly linked list of leases.
type slot struct{ first, last Number }

// New makes a lease of that length which starts now, for a tenant. It is not on the wheel yet.
// It must be dropped when it is of no more use.
func (w *Wheel) New(length time.Duration, tenant Tenant, now Time) *Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.Lease(w.take(now))
	l.tenant = tenant
	l.place.Store(isMade)
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
	if l.place.Load() == isMade {
		w.on++
		w.put(l)
	}
}

// AddAll puts all leases on the wheel that are not, each with its full length from now on.
func (w *Wheel) AddAll(now Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := Number(1); n < w.unused; n++ {
		if l := w.Lease(n); l.place.Load() == isMade && l.renew(now) {
			w.on++
			w.put(l)
		}
	}
}

// Drop takes a lease off the wheel, if it is on it, and gives it up: after a while it may be
// made again for another tenant. A nil one, or one that was dropped, is no fault.
func (w *Wheel) Drop(l *Lease, now Time) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch l.place.Load() {
	case isFree:
		return
	case isMade:
	default:
		w.takeOff(l)
	}
	l.place.Store(isFree)
	w.made--
	w.free = append(w.free, freed{l.number, now})
}

// takeOff takes a lease off the wheel that is on it.
func (w *Wheel) takeOff(l *Lease) {
	w.unlink(l)
	w.on--
	l.place.Store(isMade)
}

// Renew gives a lease its full length from now on; one that has fallen due, and waits, is out of
// the line with it. It reports false where the lease has ended. A nil lease is that of a static
// instance, and needs none.
func (w *Wheel) Renew(l *Lease, now Time) bool {
	if l == nil {
		return true
	}
	if !l.renew(now) {
		return false
	}
	if l.place.Load() == inLine { // after the deadline is written: see hold
		w.release(l)
	}
	return true
}

// release takes a lease out of the line that was renewed.
func (w *Wheel) release(l *Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.place.Load() == inLine && !l.due(w.now) {
		w.unlink(l)
		w.put(l)
	}
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

// Held returns how many leases have fallen due and were not allowed to end.
func (w *Wheel) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.line.len
}

// Held is how many leases of a service wait.
type Held struct {
	Service uint64
	Leases  int
}

// HeldBy returns the services whose leases wait, those with the most first and most of them at
// the most, and how many there are. It costs what all of them are: it is not for each tick.
func (w *Wheel) HeldBy(most int) (by []Held, services int) {
	w.mu.Lock()
	by = make([]Held, 0, len(w.line.services))
	for service, g := range w.line.services {
		by = append(by, Held{service, g.len})
	}
	w.mu.Unlock()
	slices.SortFunc(by, func(a, b Held) int {
		return cmp.Or(cmp.Compare(b.Leases, a.Leases), cmp.Compare(a.Service, b.Service))
	})
	return by[:min(most, len(by))], len(by)
}

// Waits reports whether a lease has fallen due and was not allowed to end; and of its service,
// how many wait like it, and how many have ended in the span of the rule.
func (w *Wheel) Waits(l *Lease) (waits bool, held, lost int) {
	if l == nil || l.place.Load() != inLine {
		return false, 0, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.line.services[l.tenant.Service]
	if g == nil || l.place.Load() != inLine { // it was renewed, or has ended, just now
		return false, 0, 0
	}
	return true, g.len, w.budget.lost[l.tenant.Service]
}

// Due ends leases whose deadline has come, as far as the rule lets them, takes them off the
// wheel and returns them, to be dropped once their tenants have lost what they had by them. The
// others wait, and may be renewed. It costs what the slots that time has passed hold and what
// it returns, not what the wheel holds, nor how many wait.
func (w *Wheel) Due(now Time, rule Rule) (ends []*Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
	b := &w.budget
	leases := w.on
	b.open(rule, leases, now, w.line.again)
	w.collect(now)
	for q := w.next(); q != nil; q = w.next() {
		l := w.Lease(q.first)
		if !l.end(now) { // a renewal is about to take it out
			w.unlink(l)
			w.put(l)
			continue
		}
		w.takeOff(l)
		ends = append(ends, l)
		b.spend(rule, l.tenant.Service, leases, now)
		w.line.lost(l.tenant.Service)
	}
	b.close(w.line.len > 0, w.line.fresh.any(), now)
	return ends
}

// next returns the queue that one may end of; nil where there is none.
func (w *Wheel) next() *queue {
	switch {
	case w.budget.common.left > 0:
		return w.line.all.next()
	case w.budget.kept.left > 0:
		return w.line.fresh.next()
	}
	return nil
}

// mostCollected is how many leases join the line in one tick. Where a million fall due at the same
// moment, as they do when nobody comes back after a restart, they are all in it after half a
// second; meanwhile others get the lock.
const mostCollected = 1 << 18

// collect moves what has fallen due from the ring to the line.
func (w *Wheel) collect(now Time) {
	// The slot of now is only part past: it is looked at now, and again next time.
	collected := 0
	for turn := w.at; turn <= now && turn < w.at+slots*slotWidth; turn += slotWidth {
		for l := w.Lease(w.ring[slotAt(turn)].first); l != nil; {
			next := w.Lease(l.next)
			if l.due(now) {
				if collected++; collected > mostCollected {
					w.at = turn // the rest of it is looked at next time
					return
				}
				w.unlink(l)
				w.hold(l)
			} else if s := w.slotOf(l); onRing+uint32(s) != l.place.Load() {
				w.unlink(l)
				w.put(l)
			}
			l = next
		}
	}
	w.at = max(w.at, now-now%slotWidth)
}

// hold puts a lease in the line.
func (w *Wheel) hold(l *Lease) {
	q := w.line.join(l.tenant, !w.budget.hasLost(l.tenant.Service))
	w.link(l, &q.slot)
	l.place.Store(inLine)
	if !l.due(w.now) {
		// Whoever renewed it did not see that it is in the line. Whoever does from now on sees it.
		w.unlink(l)
		w.put(l)
	}
}

func slotAt(t Time) uint16 { return uint16(int(t/slotWidth) % slots) }

// slotOf returns where a lease belongs. A deadline that has passed belongs to the slot
// that is looked at next.
func (w *Wheel) slotOf(l *Lease) uint16 { return slotAt(max(Time(l.deadline.Load()), w.at)) }

// put puts a lease on the ring.
func (w *Wheel) put(l *Lease) {
	s := w.slotOf(l)
	w.link(l, &w.ring[s])
	l.place.Store(onRing + uint32(s))
}

// link puts a lease at the end of a list, so that those in line stand in the order in which they
// fell due.
func (w *Wheel) link(l *Lease, s *slot) {
	l.prev, l.next = s.last, 0
	if s.last != 0 {
		w.Lease(s.last).next = l.number
	} else {
		s.first = l.number
	}
	s.last = l.number
}

// unlink takes a lease out of the list that it is in.
func (w *Wheel) unlink(l *Lease) {
	var q *queue
	var s *slot
	if place := l.place.Load(); place == inLine {
		q = w.line.queues[l.tenant]
		s = &q.slot
	} else {
		s = &w.ring[place-onRing]
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
	if q != nil {
		w.line.leave(q)
	}
}
