package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// mostRestarts are enough: one takes seconds, and they differ little.
const mostRestarts = 3

// restart fills a registry with a store on disk, stops it, and starts it again. It returns how
// many seconds that took, and says it.
func (b *bench) restart(ctx context.Context, size int) (took spread, said paragraph, err error) {
	dir, err := os.MkdirTemp(b.dir, "store-*")
	if err != nil {
		return took, "", err
	}
	s := &server{peer: peers[0], world: world{size / flatEach, flatEach}}
	if s.address, err = freeAddress(); err != nil {
		return took, "", err
	}
	if s.ready, err = freeAddress(); err != nil {
		return took, "", err
	}
	if err := b.emptyRegistry(ctx, s, "store disk "+dir); err != nil {
		return took, "", err
	}
	began := time.Now()
	if err := fill(ctx, s); err != nil {
		return took, "", err
	}
	filled := time.Since(began)
	b.say("%d instances are on disk after %s", size, filled.Round(time.Second/10))
	s.stop()

	var seconds []float64
	var own, files int
	for range min(b.rounds, mostRestarts) {
		began := time.Now()
		if err := b.emptyRegistry(ctx, s, "store disk "+dir); err != nil {
			return took, "", err
		}
		if err := s.soon(ctx, s.isReady); err != nil {
			return took, "", err
		}
		seconds = append(seconds, time.Since(began).Seconds())
		if own, files, err = s.memory(); err != nil {
			return took, "", err
		}
		s.stop()
	}
	took = spreadOf(seconds)
	return took, paragraph(fmt.Sprintf("With its store on disk, %d instances in batches of %d are there after %.1f s. A restart with them takes %s s until /ready says 200; then it has %d MB of memory of its own, and %d MB of pages of files, which the kernel drops when it needs the room.",
		size, mostOperations, filled.Seconds(), took.text(1), own>>20, files>>20)), nil
}

func (s *server) isReady() error {
	answer, err := http.Get("http://" + s.ready + "/ready")
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/ready says %s", answer.Status)
	}
	return nil
}
