package memory

import (
	"errors"
	"io"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
)

func TestExam(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Place {
		var s Store
		return storetest.Place{Open: func() (store.Store, error) { return &s, nil }}
	})
}

func TestThereIsNoSnapshot(t *testing.T) {
	if err := new(Store).Snapshot(io.Discard); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("got %v", err)
	}
}
