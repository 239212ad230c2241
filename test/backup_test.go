package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
)

// A snapshot that is taken in a storm is the table as it was at some revision meanwhile.
func TestSnapshotInAStormIsTheTableAtOneMoment(t *testing.T) {
	t.Parallel()
	s := start(t, kept(""), "DIR="+t.TempDir())
	history := s.historyUntilLast(t)
	ctx, cancel := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	defer storm.Wait()
	defer cancel()
	for n := range 6 {
		c := newClient(n, 0, 600)
		c.endpoint = s.endpoint
		storm.Go(func() {
			if err := c.run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	type snapshot struct {
		dir      string
		from, to uint64 // revisions before and after
	}
	var all []snapshot
	for n := range roundsOf(4) {
		<-time.After(100 * slowness * time.Millisecond)
		is := snapshot{dir: t.TempDir(), from: s.endpoint.revision(t)}
		s.download(t, "/v1/snapshot", filepath.Join(is.dir, "registry.db"))
		// What is kept is seen a moment later: at the latest when a write that came after it is.
		s.must(t, http.StatusCreated, http.MethodPut, instancePath("after", fmt.Sprintf("snapshot-%d", n)), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
		is.to = s.endpoint.revision(t)
		all = append(all, is)
	}
	cancel()
	storm.Wait()
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("last", "last"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	told, err := history()
	if err != nil {
		t.Fatal(err)
	}
	for n, is := range all {
		restored := start(t, kept(""), "DIR="+is.dir)
		got := restored.mirrorOf(t)
		at := momentOf(t, told, got, is.from, is.to)
		if at == 0 {
			t.Errorf("snapshot %d, between the revisions %d and %d: its %d objects were never the table", n, is.from, is.to, len(got))
		}
		t.Logf("snapshot %d: %d objects, of revision %d between %d and %d", n, len(got), at, is.from, is.to)
		// It is a table like any other, whose revisions go on.
		if now := restored.endpoint.revision(t); now < at {
			t.Errorf("a table restored from revision %d is at %d", at, now)
		}
		restored.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "another"), `{"addresses":["192.0.2.7"]}`)
		restored.stop(t)
	}
}

// historyUntilLast collects all changes, until an instance called last is there; what it
// returns waits for that.
func (s *server) historyUntilLast(t *testing.T) func() ([]change, error) {
	t.Helper()
	w := s.watch(t, "", false)
	var history []change
	failed := make(chan error, 1)
	go func() {
		for {
			c, err := w.next()
			if err != nil || c.ID == "last" {
				failed <- err
				return
			}
			history = append(history, c)
		}
	}()
	return func() ([]change, error) { err := <-failed; return history, err }
}

// momentOf is the first revision in a range at which the table was that; 0 where there is none.
func momentOf(t *testing.T, history []change, table mirror, from, to uint64) uint64 {
	t.Helper()
	m := mirror{}
	for n, c := range history {
		if n > 0 && c.Revision != history[n-1].Revision {
			if was := history[n-1].Revision; was > to {
				return 0
			} else if was >= from && reflect.DeepEqual(m, table) {
				return was
			}
		}
		if err := m.apply(c); err != nil {
			t.Fatal(err)
		}
	}
	if len(history) > 0 && reflect.DeepEqual(m, table) {
		return history[len(history)-1].Revision
	}
	return 0
}

// download saves an answer in a file.
func (e *endpoint) download(t *testing.T, path, file string) {
	t.Helper()
	response, err := e.client.Get("http://" + e.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, response.Body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestExportIsImportedAsTheSameTable(t *testing.T) {
	t.Parallel()
	from := start(t, kept(""), "DIR="+t.TempDir())
	for n := range 4 {
		c := newClient(n, 0, 600)
		c.endpoint = from.endpoint
		for range 60 {
			if err := c.fulfil(c.wish()); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, _ := from.served(t)
	file := filepath.Join(t.TempDir(), "registry.json")
	from.download(t, "/v1/export", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	export := string(b)
	services := 0
	for n := range want {
		want[n] = record{said: want[n].said} // revisions are each table's own
		if n.id == "" {
			services++
		}
	}
	for _, store := range []string{"memory", "disk"} {
		t.Run(store, func(t *testing.T) {
			dir := "DIR=" + t.TempDir()
			corefile := kept("")
			if store == "memory" {
				corefile = inMemory(corefile)
			}
			to := start(t, corefile, dir)
			revision := to.endpoint.revision(t)
			imports := func(query string, created, unchanged int) {
				t.Helper()
				var told struct {
					Services, Instances struct{ Created, Changed, Unchanged int }
				}
				answer := to.must(t, http.StatusOK, http.MethodPost, "/v1/import"+query, export)
				decode(t, answer, &told)
				if sum := told.Services.Created + told.Instances.Created; sum != created || told.Services.Unchanged+told.Instances.Unchanged != unchanged || told.Services.Changed+told.Instances.Changed != 0 {
					t.Errorf("import%s: got %s, want %d created and %d unchanged", query, shortened(answer), created, unchanged)
				}
			}
			imports("?dryRun=true", len(want), 0)
			if is, _ := to.served(t); len(is) != 0 || to.endpoint.revision(t) != revision {
				t.Errorf("a dry run has made %d objects", len(is))
			}
			imports("", len(want), 0)
			is, _ := to.served(t)
			if wrong := is.differ(want); wrong != "" {
				t.Error(wrong)
			}
			revision = to.endpoint.revision(t)
			imports("", 0, len(want))
			if now := to.endpoint.revision(t); now != revision {
				t.Errorf("the same import again took the revision from %d to %d", revision, now)
			}
			to.answersAsServed(t, nil, is)
			if store == "memory" {
				to.must(t, http.StatusNotFound, http.MethodGet, "/v1/snapshot", "")
				return
			}
			to.kill(t)
			to = start(t, corefile, dir)
			if is, _ = to.served(t); len(is) == 0 || is.differ(want) != "" {
				t.Errorf("after a restart: %s", is.differ(want))
			}
			to.stop(t)
		})
	}
	t.Logf("%d definitions, %d instances", services, len(want)-services)
}
