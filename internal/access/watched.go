package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Event is what a poll of files found worth logging.
type Event struct {
	Files string // their paths
	Err   error  // what is wrong with what they hold now; nil where it is in force
	New   bool   // what is in force is another than before
}

// String returns the event as a log has it.
func (e Event) String() string {
	switch {
	case e.Err != nil:
		return e.Files + ": " + e.Err.Error()
	case e.New:
		return e.Files + ": read again, and in force"
	default:
		return e.Files + ": as it was before, and in force"
	}
}

// watchedFile is what some files hold, taken up again when they change. A pair that belongs
// together is followed together.
//
// New content counts once two polls in a row have seen it: a file that is being written, and
// a pair of which one is not yet written, are left alone. Content is what is compared, not the
// time of a file, which two changes may share, nor its inode: Kubernetes swaps a symbolic link
// above it, editors write in place.
//
// One goroutine polls; what is in force, and what fails, may be asked for from any.
type watchedFile[T any] struct {
	paths []string
	fileRules[T]

	value atomic.Pointer[T]     // in force
	fault atomic.Pointer[error] // nil when the files hold what is in force

	// Of the goroutine that polls.
	inForce sighting
	seen    sighting // by the last poll
	judged  sighting // the last that two polls in a row saw
}

// fileRules say what files have to hold.
type fileRules[T any] struct {
	parse func(contents [][]byte) (T, error)
	check func(value T, now time.Time) error // of a new value, but not of the first; may be nil
	tell  func(value T) string               // what stays in force when others are refused
}

// sighting is what a poll saw.
type sighting struct {
	content digest
	err     string // the files could not be read
}

// maxWatched bounds what is read of a file. The largest that is any good is one of tokens.
const maxWatched = maxTokensFile + 1

// errLater is a fault which time alone will mend.
var errLater = errors.New("not yet")

// watchFiles reads the files for the first time.
func watchFiles[T any](r fileRules[T], paths ...string) (*watchedFile[T], error) {
	f := &watchedFile[T]{paths: paths, fileRules: r}
	contents, err := readAll(paths)
	if err != nil {
		return nil, err
	}
	value, err := r.parse(contents)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name(), err)
	}
	f.value.Store(&value)
	f.inForce = sighting{content: sum(contents)}
	f.seen, f.judged = f.inForce, f.inForce
	return f, nil
}

// current returns what is in force.
func (f *watchedFile[T]) current() T { return *f.value.Load() }

// failing returns why the files hold something else than what is in force, or nil.
func (f *watchedFile[T]) failing() error {
	if err := f.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// poll reads the files, and takes up what they hold or refuses it, the second time that it
// sees it. It reports true with an event the first time that there is something to tell.
func (f *watchedFile[T]) poll(now time.Time) (Event, bool) {
	contents, err := readAll(f.paths)
	saw := sighting{content: sum(contents)}
	if err != nil {
		saw = sighting{err: err.Error()}
	}
	twice := saw == f.seen
	f.seen = saw
	again := saw == f.judged
	if !twice || again && !errors.Is(f.failing(), errLater) {
		return Event{}, false
	}
	f.judged = saw
	event := Event{Files: f.name()}
	if saw != f.inForce {
		event.New, event.Err = f.adopt(saw, contents, err, now)
	}
	if event.Err != nil {
		event.Err = fmt.Errorf("not taken up, %s in force: %w", f.tell(f.current()), event.Err)
		f.fault.Store(&event.Err)
		return event, !again
	}
	f.fault.Store(nil)
	return event, true
}

// adopt puts into force what was read, if it is right.
func (f *watchedFile[T]) adopt(saw sighting, contents [][]byte, err error, now time.Time) (adopted bool, _ error) {
	if err != nil {
		return false, err
	}
	value, err := f.parse(contents)
	if err != nil {
		return false, err
	}
	if f.check != nil {
		if err := f.check(value, now); err != nil {
			return false, err
		}
	}
	f.value.Store(&value)
	f.inForce = saw
	return true, nil
}

func (f *watchedFile[T]) name() string { return strings.Join(f.paths, " and ") }

func readAll(paths []string) ([][]byte, error) {
	var contents [][]byte
	for _, path := range paths {
		content, err := readFile(path)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}

// readFile reads a file as far as it can be of use. Only a regular one: to open a pipe would
// wait for somebody who writes into it.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxWatched))
}

// sum returns a digest of the contents which no others have: each goes into it as its own.
func sum(contents [][]byte) digest {
	var all []byte
	for _, content := range contents {
		one := sha256.Sum256(content)
		all = append(all, one[:]...)
	}
	return sha256.Sum256(all)
}
