package registry

import (
	"context"
	"time"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/coredns/plugin/transfer"

	"github.com/miekg/dns"
)

// Transfer implements transfer.Transferer: the whole zone as it is now, or the SOA alone
// where the asker has that already.
func (h *Handler) Transfer(name string, serial uint32) (<-chan []dns.RR, error) {
	var zone *answer.Zone
	for _, z := range h.zones {
		if z.Origin == name {
			zone = z
		}
	}
	state := h.state()
	if zone == nil || state == nil {
		return nil, transfer.ErrNotAuthoritative
	}
	soa := []dns.RR{zone.SOA(zone.Origin, state, h.ttl)}
	records := make(chan []dns.RR)
	go func() { // ends with the transfer, which reads the channel until it is closed
		defer close(records)
		records <- soa
		if serial != 0 && !newer(state.Serial(), serial) {
			return
		}
		for rrs := range zone.All(state, h.ttl, h.now()) {
			records <- rrs
		}
		records <- soa
	}()
	return records, nil
}

// newer reports whether the serial number a is greater than b (RFC 1982, section 3.2).
func newer(a, b uint32) bool { return int32(a-b) > 0 }

// notifyEvery is the least time between two rounds of NOTIFY: changes that come closer
// are told at once.
const notifyEvery = time.Second

// notify tells the secondaries of each zone when the table has changed, until the
// context ends.
func (h *Handler) notify(ctx context.Context, t *transfer.Transfer) {
	tick := time.NewTicker(notifyEvery)
	defer tick.Stop()
	told := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		state := h.state()
		if state == nil || state.Revision == told {
			continue
		}
		told = state.Revision
		for _, zone := range h.zones {
			if err := t.Notify(zone.Origin); err != nil {
				log.Warningf("Notifying the secondaries of %s: %v", zone.Origin, err)
			}
		}
	}
}

// startNotify tells secondaries of changes until the function that it returns is called.
func (h *Handler) startNotify(t *transfer.Transfer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go h.notify(ctx, t)
	return cancel
}
