package httpapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

const (
	watchRoute = "GET watch"

	// keepAliveEvery is how long a stream is silent at most (contract, section 3): proxies
	// cut connections on which nothing happens, and the sooner a dead one is found the better.
	keepAliveEvery = 15 * time.Second

	// catchUpTime is how long a watcher may be behind what the history keeps, from its
	// beginning or from when it was last up to date. The state of a large table takes its
	// time, and a watcher cut off in the middle of it would never get through. What it has
	// yet to be told is not freed, hence a limit.
	catchUpTime = time.Minute
)

// watcher is one client that follows the table. It belongs to its call's goroutine and
// ends with it.
type watcher struct {
	*call
	stream
	filter   service.Name     // empty parts stand for any
	upToDate time.Time        // when it was last, or began
	idle     <-chan time.Time // when a keep-alive is due
}

// watch answers with a stream of changes that ends when the client goes away, is too
// slow, or the server shuts down.
func watch(c *call) {
	w := &watcher{call: c, stream: stream{collected: collected{slots: c.largeStreams}}, upToDate: c.arrived}
	since, resumes, ok := w.request()
	if !ok || !w.permitted() {
		return
	}
	state := c.state()
	if state == nil {
		return
	}
	commit := state.Last()
	if resumes {
		if commit, ok = state.Since(since); !ok {
			c.fail(http.StatusGone, "the changes since that revision are not all there any more, or it has not been yet: watch without since")
			return
		}
	}
	if c.r.Method == http.MethodHead {
		w.start()
		return
	}
	end, ok := c.lasts()
	if !ok {
		return
	}
	defer end()
	w.start()
	c.options.Watching(1)
	defer c.options.Watching(-1)
	defer w.end()
	if resumes {
		commit, ok = w.replay(state, commit)
	} else {
		ok = w.dump(state)
	}
	if ok {
		w.follow(commit)
	}
}

// request reads what is to be watched, and from where on. Where that makes no sense the
// request is answered, and it reports false.
func (w *watcher) request() (since uint64, resumes, ok bool) {
	values, ok := w.query()
	if !ok {
		return 0, false, false
	}
	w.filter = service.Name{Namespace: values.Get("namespace"), Service: values.Get("service")}
	var faults []fault
	if w.filter.Namespace != "" && !isName(w.filter.Namespace) {
		faults = append(faults, fault{"namespace", "is no name of a namespace"})
	}
	if w.filter.Service != "" && !isName(w.filter.Service) {
		faults = append(faults, fault{"service", "is no name of a service"})
	}
	if w.filter.Service != "" && w.filter.Namespace == "" {
		faults = append(faults, fault{"namespace", "is missing: a service is watched with its namespace"})
	}
	if len(faults) > 0 {
		w.failFaults(http.StatusUnprocessableEntity, faults)
		return 0, false, false
	}
	from, field := values.Get("since"), "since"
	w.events = accepts(w.r.Header["Accept"], eventStreamType[0])
	// A browser that comes back repeats the URL as it was at first, and adds where it has
	// got to: Last-Event-ID is the later word of the two.
	if last := w.r.Header.Get("Last-Event-ID"); w.events && last != "" {
		from, field = last, "Last-Event-ID"
	}
	if from == "" {
		return 0, false, true
	}
	since, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		w.failParameter(http.StatusBadRequest, field, "is no revision")
		return 0, false, false
	}
	return since, true, true
}

// accepts reports whether an Accept header names a media type, which "*/*" does not do.
func accepts(values []string, wanted string) bool {
	for _, value := range values {
		for media := range strings.SplitSeq(value, ",") {
			media, parameters, err := mime.ParseMediaType(media)
			quality, given := parameters["q"]
			if err == nil && media == wanted && (!given || strings.Trim(quality, "0.") != "") {
				return true
			}
		}
	}
	return false
}

// start sends the header.
func (w *watcher) start() {
	w.open(w.call.w, w.watchWriteTimeout)
	w.code = http.StatusOK
	w.observe()
	w.idle = w.options.After(keepAliveEvery)
}

// dump tells the state, and that it is told.
func (w *watcher) dump(state *table.State) bool {
	commit := state.Last()
	for view := range state.Services(w.filter) {
		if !w.within(view.Name) {
			break
		}
		if !w.caller.MayRead(view.Name) {
			continue
		}
		if view.Definition != nil {
			e := table.Event{Kind: table.KindService, ID: service.ID{Name: view.Name}, Definition: view.Definition}
			w.event(&e, state.Revision, true)
		}
		for i := range state.InstancesOf(view.Name) {
			w.event(&table.Event{Kind: table.KindInstance, ID: i.ID(), Instance: i}, state.Revision, true)
			if w.full() && !w.deliver(commit) {
				return false
			}
		}
		if w.full() && !w.deliver(commit) {
			return false
		}
	}
	w.synced(state.Revision)
	return w.deliver(commit)
}

// replay tells what has changed from a commit to a state, and that it is told. It
// returns the state's own commit.
func (w *watcher) replay(state *table.State, commit *table.Commit) (*table.Commit, bool) {
	for commit.Revision < state.Revision {
		<-commit.Grown() // the state is there, so this is closed or about to be
		commit = commit.Next()
		if !w.tell(commit) || w.full() && !w.deliver(commit) {
			return commit, false
		}
	}
	w.synced(state.Revision)
	return commit, w.deliver(commit)
}

// follow tells what changes after a commit, until the stream is to end.
func (w *watcher) follow(commit *table.Commit) {
	for {
		select {
		case <-commit.Grown():
			commit = commit.Next()
			if !w.tell(commit) {
				return
			}
			if !w.caughtUp(commit) && !w.full() {
				continue // what has happened meanwhile goes into the same write
			}
		case <-w.idle:
			w.caughtUp(commit)
			w.keepAlive()
		case <-w.r.Context().Done():
			return
		case <-w.Stopping():
			return
		}
		if !w.deliver(commit) {
			return
		}
	}
}

// caughtUp reports whether nothing has happened after the commit, and if so notes that
// the watcher is up to date.
func (w *watcher) caughtUp(commit *table.Commit) bool {
	select {
	case <-commit.Grown():
		return false
	default:
		w.upToDate = w.options.Now()
		return true
	}
}

// tell writes the changes of a commit that are asked for. All but the last are marked:
// whoever would resume from one of them would miss the others. It reports whether the
// stream goes on: a commit can be as large as the table, and is not collected whole.
func (w *watcher) tell(commit *table.Commit) bool {
	var held *table.Event
	for i := range commit.Events {
		e := &commit.Events[i]
		if !w.wants(e.ID.Name) {
			continue
		}
		if held != nil {
			w.event(held, commit.Revision, true)
		}
		if w.full() && !w.deliver(commit) {
			return false
		}
		held = e
	}
	if held != nil {
		w.event(held, commit.Revision, false)
	}
	return true
}

// wants reports whether the watcher is told of that service.
func (w *watcher) wants(name service.Name) bool {
	return w.within(name) && w.caller.MayRead(name)
}

// within reports whether the watcher has asked for that service.
func (w *watcher) within(name service.Name) bool {
	return (w.filter.Namespace == "" || w.filter.Namespace == name.Namespace) &&
		(w.filter.Service == "" || w.filter.Service == name.Service)
}

// permitted reports whether anything may be read of what is to be watched. Where nothing
// may the request is answered.
func (w *watcher) permitted() bool {
	switch {
	case w.filter.Service != "":
		return w.mayRead(w.filter)
	case w.filter.Namespace != "" && !w.caller.MayReadSome(w.filter.Namespace):
		w.forbid("read:" + w.filter.Namespace + "/*")
		return false
	}
	return true
}

// deliver writes out what is buffered. It reports whether the stream goes on: not when
// the client does not take it, when it has fallen out of the history, when its credential
// is not what it was, or when the server shuts down. The client can resume then, or is told
// why it can not.
func (w *watcher) deliver(commit *table.Commit) bool {
	if !w.Still(w.caller, w.r) {
		return false
	}
	if len(w.buffer) > 0 {
		if w.flush() != nil {
			return false
		}
		w.idle = w.options.After(keepAliveEvery)
	}
	select {
	case <-w.Stopping():
		return false
	default:
	}
	return w.registry.State().Keeps(commit) || w.options.Now().Sub(w.upToDate) < catchUpTime
}
