package registry

import (
	"context"
	"time"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/coredns/plugin/transfer"

	"github.com/miekg/dns"
)

// Transfer implements transfer.Transferer: the whole zone as of its serial, or the SOA alone
// where the asker has that already. Changes that come meanwhile are of a later serial.
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
	version := state.Version()
	soa := []dns.RR{zone.SOA(zone.Origin, version.Serial(), h.ttl)}
	records := make(chan []dns.RR)
	go func() { // ends with the transfer, which reads the channel until it is closed
		defer close(records)
		records <- soa
		if serial != 0 && !newer(version.Serial(), serial) {
			return
		}
		for rrs := range zone.All(version, h.ttl, h.now(), h.transferMost) {
			records <- rrs
		}
		records <- soa
	}()
	return records, nil
}

// newer reports whether the serial number a is greater than b (RFC 1982, section 3.2).
func newer(a, b uint32) bool { return int32(a-b) > 0 }

// notifyEvery is how often it is looked whether there is something to tell. Serials grow at
// most once a second.
const notifyEvery = time.Second

// notify tells the secondaries of a zone of each new serial, until the context ends.
func (h *Handler) notify(ctx context.Context, t *transfer.Transfer, zone string) {
	told := uint32(0)
	every(ctx, notifyEvery, func() {
		state := h.state()
		if state == nil || state.Serial() == told {
			return
		}
		told = state.Serial()
		if err := t.Notify(zone); err != nil {
			log.Warningf("Notifying the secondaries of %s: %v", zone, err)
		}
	})
}

// startNotify tells secondaries of changes until the function that it returns is called. Each
// zone is told of by itself: a secondary of one that does not answer delays no other's, and
// there may be a zone for each address of a network.
func (h *Handler) startNotify(t *transfer.Transfer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	for _, zone := range h.zones {
		go h.notify(ctx, t, zone.Origin)
	}
	return cancel
}
