package lease

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A turn of the wheel takes slots × slotWidth, about seven minutes. A lease that ends later stays
// in its slot and is read once per turn.
const (
	slots     = 4096
	slotWidth = Time(TickEvery)
)

// Wheel holds all leases and finds those that are due without reading the others. A renewal does
// not touch it: the wheel reaches the lease at its old deadline, sees the new one, and moves the
// lease there. So a heartbeat costs one atomic write, and the wheel reads each lease about once per
// length. Leases that are due and may not end yet wait in a queue; a renewal removes them at once.
//
// Any goroutine may call its methods. The zero value has no leases.
type Wheel struct {
	chunks  atomic.Pointer[[]*chunk] // all leases by number; written under mu
	expired atomic.Int64             // number of leases that have expired and were not dropped yet; written under mu

	mu         sync.Mutex
	used       int          // number of leases that are not free
	nextNumber Number       // the first number never used; 0 means 1
	free       []freedLease // in the order in which they were freed
	ring       [slots]leaseList
	active     int       // number of leases on the ring or waiting
	scannedTo  Time      // every slot that ends by then was scanned
	now        Time      // time of the last call of Due
	waiting    waitQueue // leases that are due
	ended      leaseList // leases that have expired and were not dropped yet
	budget     budget
}

// chunk is the leases of consecutive numbers.
type chunk [1 << chunkBits]Lease

const chunkBits = 10

// States of a lease.
const (
	stateFree uint32 = iota
	stateIdle
	stateExpired
	stateWaiting
	stateScheduled // plus the slot on the ring
)

// freedLease is a lease that may be reused.
type freedLease struct {
	number Number
	at     Time
}

// reuseAfter is how long a dropped lease stays unchanged before another tenant gets its memory. A
// query or heartbeat that found it in an old snapshot has finished by then.
const reuseAfter = Time(10 * time.Second)

// leaseList is a doubly linked list of leases.
type leaseList struct{ first, last Number }

// New makes a lease for a tenant, which starts now. It is not on the wheel yet. It must be dropped
// when it is no longer used.
func (w *Wheel) New(length time.Duration, tenant Tenant, now Time) *Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.Lease(w.allocate(now))
	l.tenant = tenant
	l.state.Store(stateIdle)
	l.start(length, now)
	w.used++
	return l
}

// allocate returns the number of a free lease.
func (w *Wheel) allocate(now Time) Number {
	if len(w.free) > 0 && now-w.free[0].at >= reuseAfter {
		n := w.free[0].number
		w.free = w.free[1:]
		return n
	}
	if w.nextNumber == 0 {
		w.nextNumber = 1
	}
	n := w.nextNumber
	w.nextNumber++
	var chunks []*chunk
	if all := w.chunks.Load(); all != nil {
		chunks = *all
	}
	if int(n>>chunkBits) == len(chunks) {
		chunks = append(slices.Clip(chunks), new(chunk)) // readers keep the old list
		w.chunks.Store(&chunks)
	}
	w.Lease(n).number = n
	return n
}

// Lease returns the lease of a number, or nil for 0. It takes no lock.
func (w *Wheel) Lease(n Number) *Lease {
	if n == 0 {
		return nil
	}
	return &(*w.chunks.Load())[n>>chunkBits][n&(1<<chunkBits-1)]
}

// Add puts a lease on the wheel. It ignores nil and a lease that is on it.
func (w *Wheel) Add(l *Lease) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state.Load() == stateIdle {
		w.active++
		w.schedule(l)
	}
}

// AddAll puts all other leases on the wheel too, each with its full length from now on.
func (w *Wheel) AddAll(now Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := Number(1); n < w.nextNumber; n++ {
		if l := w.Lease(n); l.state.Load() == stateIdle && l.renew(now) {
			w.active++
			w.schedule(l)
		}
	}
}

// Drop takes a lease off the wheel, if it is on it, and frees it: after a while another tenant may
// get it. It ignores nil and a lease that was dropped.
func (w *Wheel) Drop(l *Lease, now Time) {
	if l == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch l.state.Load() {
	case stateFree:
		return
	case stateIdle:
	case stateExpired:
		w.unlink(l)
		w.expired.Add(-1)
	default:
		w.unlink(l)
		w.active--
	}
	l.state.Store(stateFree)
	w.used--
	w.free = append(w.free, freedLease{l.number, now})
}

// Renew gives a lease its full length from now on, and removes it from the wait queue. It reports
// false if the lease has expired. A nil lease, that of a static instance, needs no renewal.
func (w *Wheel) Renew(l *Lease, now Time) bool {
	if l == nil {
		return true
	}
	if !l.renew(now) {
		return false
	}
	if l.state.Load() == stateWaiting { // read after the deadline is written, see enqueue
		w.leaveQueue(l)
	}
	return true
}

// leaveQueue removes a renewed lease from the wait queue.
func (w *Wheel) leaveQueue(l *Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state.Load() == stateWaiting && !l.due(w.now) {
		w.unlink(l)
		w.schedule(l)
	}
}

// Made returns the number of leases that were made and not dropped.
func (w *Wheel) Made() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used
}

// AnyExpired reports whether there are leases that have expired and were not dropped yet. It takes
// no lock.
func (w *Wheel) AnyExpired() bool { return w.expired.Load() > 0 }

// Expired returns the leases that have expired and were not dropped yet.
func (w *Wheel) Expired() (leases []*Lease) {
	if !w.AnyExpired() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := w.Lease(w.ended.first); l != nil; l = w.Lease(l.next) {
		leases = append(leases, l)
	}
	return leases
}

// Len returns the number of leases on the wheel.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active
}

// Held returns the number of leases that are due and may not end yet.
func (w *Wheel) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting.len
}

// Held is the number of leases held back of a service.
type Held struct {
	Service uint64
	Leases  int
}

// HeldBy returns at most limit services with leases held back, those with the most first, and the
// number of all such services. Its cost grows with that number: do not call it in each tick.
func (w *Wheel) HeldBy(limit int) (by []Held, services int) {
	w.mu.Lock()
	by = make([]Held, 0, len(w.waiting.services))
	for service, g := range w.waiting.services {
		by = append(by, Held{service, g.len})
	}
	w.mu.Unlock()
	slices.SortFunc(by, func(a, b Held) int {
		return cmp.Or(cmp.Compare(b.Leases, a.Leases), cmp.Compare(a.Service, b.Service))
	})
	return by[:min(limit, len(by))], len(by)
}

// Waits reports whether a lease is held back; and how many leases of its service are, and how many
// have ended in the span of the rule.
func (w *Wheel) Waits(l *Lease) (waits bool, held, lost int) {
	if l == nil || l.state.Load() != stateWaiting {
		return false, 0, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.waiting.services[l.tenant.Service]
	if g == nil || l.state.Load() != stateWaiting { // renewed or expired meanwhile
		return false, 0, 0
	}
	return true, g.len, w.budget.lostBy[l.tenant.Service]
}

// Due expires the leases that are due, as far as the rule allows, takes them off the wheel and
// returns them. The caller drops them once their tenants are updated. The others wait, and may be
// renewed. Its cost grows with the slots since the last call and with what it returns, not with the
// size of the wheel or of the wait queue.
func (w *Wheel) Due(now Time, rule Rule) (ends []*Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
	b := &w.budget
	leases := w.active
	b.open(rule, leases, now, w.waiting.clearLoss)
	w.collectDue(now)
	for q := w.nextQueue(); q != nil; q = w.nextQueue() {
		l := w.Lease(q.first)
		if !l.end(now) { // renewed; leaveQueue has not removed it yet
			w.unlink(l)
			w.schedule(l)
			continue
		}
		w.unlink(l)
		w.active--
		w.link(l, &w.ended)
		l.state.Store(stateExpired)
		w.expired.Add(1)
		ends = append(ends, l)
		b.spend(rule, l.tenant.Service, leases, now)
		w.waiting.noteLoss(l.tenant.Service)
	}
	b.close(w.waiting.len > 0, w.waiting.fresh.any(), now)
	return ends
}

// nextQueue returns the queue whose first lease may end, or nil if none may.
func (w *Wheel) nextQueue() *queue {
	switch {
	case w.budget.common.left > 0:
		return w.waiting.all.next()
	case w.budget.reserve.left > 0:
		return w.waiting.fresh.next()
	}
	return nil
}

// maxCollected is the number of leases that join the wait queue in one tick. If a million are due
// at once, as when no instance comes back after a restart, all have joined after half a second, and
// others get the lock in between.
const maxCollected = 1 << 18

// collectDue moves the leases that are due from the ring to the wait queue.
func (w *Wheel) collectDue(now Time) {
	// The current slot is only partly past: it is scanned now and again next time.
	n := 0
	for at := w.scannedTo; at <= now && at < w.scannedTo+slots*slotWidth; at += slotWidth {
		for l := w.Lease(w.ring[slotAt(at)].first); l != nil; {
			next := w.Lease(l.next)
			if l.due(now) {
				if n++; n > maxCollected {
					w.scannedTo = at // the rest is scanned next time
					return
				}
				w.unlink(l)
				w.enqueue(l)
			} else if s := w.slotFor(l); stateScheduled+uint32(s) != l.state.Load() {
				w.unlink(l)
				w.schedule(l)
			}
			l = next
		}
	}
	w.scannedTo = max(w.scannedTo, now-now%slotWidth)
}

// enqueue puts a lease into the wait queue.
func (w *Wheel) enqueue(l *Lease) {
	q := w.waiting.join(l.tenant, !w.budget.hasLost(l.tenant.Service))
	w.link(l, &q.leaseList)
	l.state.Store(stateWaiting)
	if !l.due(w.now) {
		// The renewal did not see the new state. Later renewals do.
		w.unlink(l)
		w.schedule(l)
	}
}

func slotAt(t Time) uint16 { return uint16(int(t/slotWidth) % slots) }

// slotFor returns the slot of a lease. One that is due belongs to the slot that is scanned next.
func (w *Wheel) slotFor(l *Lease) uint16 { return slotAt(max(Time(l.deadline.Load()), w.scannedTo)) }

// schedule puts a lease on the ring.
func (w *Wheel) schedule(l *Lease) {
	s := w.slotFor(l)
	w.link(l, &w.ring[s])
	l.state.Store(stateScheduled + uint32(s))
}

// link appends a lease to a list, so that waiting leases are in the order in which they fell due.
func (w *Wheel) link(l *Lease, s *leaseList) {
	l.prev, l.next = s.last, 0
	if s.last != 0 {
		w.Lease(s.last).next = l.number
	} else {
		s.first = l.number
	}
	s.last = l.number
}

// unlink removes a lease from its list.
func (w *Wheel) unlink(l *Lease) {
	var q *queue
	var s *leaseList
	switch state := l.state.Load(); state {
	case stateExpired:
		s = &w.ended
	case stateWaiting:
		q = w.waiting.queues[l.tenant]
		s = &q.leaseList
	default:
		s = &w.ring[state-stateScheduled]
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
		w.waiting.leave(q)
	}
}
