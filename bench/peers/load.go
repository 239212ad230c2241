package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A load is what a process of its own puts on a registration endpoint, from another core.
type load struct {
	address     string
	job         string
	world       world
	connections int
	rate        float64 // requests a second, 0 for as many as there can be
	from        int     // numbers below it were used before
	length      time.Duration
}

// A tally is what came of a load. Times are in microseconds.
type tally struct {
	Requests  int     `json:"requests"`
	Instances int     `json:"instances"` // that were timed
	Seconds   float64 `json:"seconds"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	Most      float64 `json:"most"`
}

// load runs a load in its process.
func (b *bench) load(ctx context.Context, l load) (t tally, err error) {
	return t, b.other(ctx, &t, "load", "-address", l.address, "-job", l.job,
		"-services", strconv.Itoa(l.world.services), "-each", strconv.Itoa(l.world.each),
		"-connections", strconv.Itoa(l.connections), "-rate", seconds(l.rate), "-from", strconv.Itoa(l.from),
		"-length", l.length.String())
}

// other runs another process of this program on the core of the load, and reads the JSON
// that it prints.
func (b *bench) other(ctx context.Context, into any, args ...string) error {
	return b.told(pinned(ctx, b.loadCore, b.self, args...), into)
}

// told runs a process to its end, and reads the JSON that it prints.
func (b *bench) told(cmd *exec.Cmd, into any) error {
	cmd.Stderr = b.out
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run %s: %w", cmd, err)
	}
	return json.Unmarshal(text, into)
}

// generate is the process of a load.
func generate(args []string) error {
	var l load
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.StringVar(&l.address, "address", "", "")
	flags.StringVar(&l.job, "job", "", "")
	flags.IntVar(&l.world.services, "services", 1, "")
	flags.IntVar(&l.world.each, "each", 1, "")
	flags.IntVar(&l.connections, "connections", 1, "")
	flags.Float64Var(&l.rate, "rate", 0, "")
	flags.IntVar(&l.from, "from", 0, "")
	flags.DurationVar(&l.length, "length", time.Second, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	t, err := l.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(t)
}

// A worker is a connection and what it came to.
type worker struct {
	*connection
	requests int
	took     []time.Duration
	err      error
}

func (l load) run() (tally, error) {
	workers := make([]*worker, l.connections)
	for n := range workers {
		c, err := dial(l.address)
		if err != nil {
			return tally{}, err
		}
		workers[n] = &worker{connection: c}
	}
	j := jobs[slices.IndexFunc(jobs, func(j job) bool { return j.name == l.job })]
	began := time.Now()
	var all sync.WaitGroup
	for n, w := range workers {
		all.Go(func() { w.err = w.work(l, j, n, began) })
	}
	all.Wait()
	return sum(workers, j, time.Since(began))
}

// work does the job until the time is over.
func (w *worker) work(l load, j job, number int, began time.Time) error {
	random := rand.New(rand.NewPCG(uint64(number), uint64(l.from)))
	for round := 0; time.Since(began) < l.length; round++ {
		for k, r := range j.requests(l.world, random, l.from+round*l.connections+number) {
			if l.rate > 0 {
				time.Sleep(time.Until(began.Add(l.due(w.requests, number))))
			}
			sent := time.Now()
			if err := w.do(r); err != nil {
				return err
			}
			w.requests++
			if k == 0 {
				w.took = append(w.took, time.Since(sent))
			}
		}
	}
	return nil
}

// due is when the n-th request of a connection is to be sent: those of all connections
// have the same distance from each other.
func (l load) due(n, connection int) time.Duration {
	return time.Duration(float64(n*l.connections+connection) / l.rate * float64(time.Second))
}

func sum(workers []*worker, j job, elapsed time.Duration) (tally, error) {
	t := tally{Seconds: elapsed.Seconds()}
	var took []time.Duration
	for _, w := range workers {
		if w.err != nil {
			return tally{}, w.err
		}
		t.Requests += w.requests
		took = append(took, w.took...)
	}
	if len(took) == 0 {
		return tally{}, fmt.Errorf("no request was made")
	}
	t.Instances = len(took) * j.counts
	t.P50, t.P99, t.Most = micros(percentile(took, 50)), micros(percentile(took, 99)), micros(percentile(took, 100))
	return t, nil
}

// rate is how many instances a second were timed.
func (t tally) rate() float64 { return float64(t.Instances) / t.Seconds }
