package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// keeper keeps instances alive by heartbeats, as their owners would, and holds the server to
// it: none may leave as long as they come in time.
//
// On a machine that has too much to do a test sends them too late, and then leases end as
// they should. So the keeper goes by its own clock: whenever it cannot be sure that it was in
// time it judges nobody, registers who has left again, and for a lease twice as long. Sooner
// or later it is in time everywhere.
type keeper struct {
	*server
	members []member

	mu     sync.Mutex
	sent   time.Time // the last renewal that was answered; the server heard it then or later
	lease  time.Duration
	inTime int // heartbeats that were judged
	lapsed int // instances that have left because one came too late
}

// member is an instance that lives by its heartbeats.
type member struct {
	name
	address string
}

// keep registers instances. Who wants them to live has them beat.
func (s *server) keep(t testing.TB, lease time.Duration, members ...member) *keeper {
	t.Helper()
	k := &keeper{server: s, members: members, lease: lease}
	if _, err := k.register(lease); err != nil {
		t.Fatal(err)
	}
	return k
}

// register registers all of them, known or not, and returns how many were not.
func (k *keeper) register(lease time.Duration) (unknown int, err error) {
	var operations []object
	for _, m := range k.members {
		operations = append(operations, operation("register", m.service, m.id, object{"instance": object{
			"addresses": []string{m.address}, "leaseSeconds": lease / time.Second,
		}}))
	}
	sent := time.Now()
	answer, err := k.wants(http.StatusOK, http.MethodPost, "/v1/batch", encode(object{"operations": operations}))
	if err != nil {
		return 0, err
	}
	var told struct{ Results []struct{ Status int } }
	if err := json.Unmarshal([]byte(answer), &told); err != nil {
		return 0, fmt.Errorf("%w in %s", err, answer)
	}
	for _, result := range told.Results {
		if result.Status == http.StatusCreated {
			unknown++
		}
	}
	k.mu.Lock()
	k.sent, k.lease = sent, lease
	k.mu.Unlock()
	return unknown, nil
}

// beat renews all leases: a single one by its own request, more of them together. It belongs
// to one goroutine at a time.
func (k *keeper) beat() error {
	before := k.renewal()
	sent := time.Now()
	unknown, err := k.renew()
	if err != nil && k.ran(sent, time.Now()) < time.Since(sent) {
		// A connection on which nothing was heard for ten seconds is closed, a pause among
		// them. Its owner tries again.
		sent = time.Now()
		unknown, err = k.renew()
	}
	came := time.Now()
	if err != nil {
		return err
	}
	inTime := before.lasts(came)
	k.mu.Lock()
	if inTime {
		k.inTime++
	}
	if unknown == 0 {
		k.sent = sent
	}
	k.mu.Unlock()
	switch {
	case unknown == 0:
		return nil
	case inTime:
		err = fmt.Errorf("%d of %d instances with %v have left: they have a lease of %s, and it is only %s since the last heartbeat",
			unknown, len(k.members), k.members[0].name, before.lease, before.ran(before.at, came))
	}
	gone, failed := k.register(2 * before.lease)
	k.mu.Lock()
	k.lapsed += gone
	k.mu.Unlock()
	return errors.Join(err, failed)
}

// renew makes the request, and returns how many instances are not there any more.
func (k *keeper) renew() (unknown int, err error) {
	if len(k.members) == 1 {
		m := k.members[0]
		status, answer, err := k.do(http.MethodPut, heartbeatPath(m.service, m.id), "")
		switch {
		case err != nil || status == http.StatusNoContent:
			return 0, err
		case status == http.StatusNotFound:
			return 1, nil
		}
		return 0, fmt.Errorf("heartbeat of %v: got %d, want 204: %s", m.name, status, answer)
	}
	var identities []object
	for _, m := range k.members {
		identities = append(identities, identity(m.service, m.id))
	}
	answer, err := k.wants(http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(identities))
	if err != nil {
		return 0, err
	}
	var told struct {
		Renewed int
		Unknown []object
	}
	if err := json.Unmarshal([]byte(answer), &told); err != nil {
		return 0, fmt.Errorf("%w in %s", err, answer)
	}
	if told.Renewed+len(told.Unknown) != len(k.members) {
		return 0, fmt.Errorf("%d heartbeats: got %s", len(k.members), answer)
	}
	return len(told.Unknown), nil
}

// beatEvery has all keepers beat until the context ends, one after the other.
func beatEvery(ctx context.Context, t testing.TB, period time.Duration, keepers ...*keeper) {
	every(ctx, period, func() {
		for _, k := range keepers {
			if err := k.beat(); err != nil {
				t.Error(err)
			}
		}
	})
}

// every calls a function again and again, until the context ends.
func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// renewal is what is known of leases at a moment: they were renewed at that time, or later.
type renewal struct {
	*server
	at    time.Time
	lease time.Duration
}

// renewal is that of all that the keeper has. Who asks for them takes it first: what happens
// after that only makes them last longer.
func (k *keeper) renewal() renewal {
	k.mu.Lock()
	defer k.mu.Unlock()
	return renewal{k.server, k.sent, k.lease}
}

// lasts reports whether the leases cannot have ended by then.
func (r renewal) lasts(until time.Time) bool { return r.ran(r.at, until) < r.lease }

// hasJudged has the keeper beat until it was in time at least once: a machine so slow that it
// never is shows nothing.
func (k *keeper) hasJudged(t testing.TB) {
	t.Helper()
	inTime, lapsed := k.counts()
	soon(t, "a heartbeat is in time", func() bool {
		if inTime == 0 {
			if err := k.beat(); err != nil {
				t.Error(err)
			}
		}
		inTime, lapsed = k.counts()
		return inTime > 0
	})
	if lapsed > 0 {
		t.Logf("%v and those with it: %d heartbeats in time; %d times one has left rightly, since this test was late", k.members[0].name, inTime, lapsed)
	}
}

func (k *keeper) counts() (inTime, lapsed int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inTime, k.lapsed
}
