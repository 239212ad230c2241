package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// walker goes over a body once and notes everything that is wrong with it, instead of
// the first: a value that cannot be read is skipped, and its neighbours are read all the
// same. Only a body that is no JSON ends the walk. Whoever reads a value gets the zero
// value for one that is wrong.
//
// A field that is null is absent: many encoders write it for what has no value. In the place
// of an element of a list, or of the body, null is a wrong type.
//
// The zero value is ready for reset.
type walker struct {
	decoder *jsontext.Decoder
	source  bytes.Buffer
	size    int // of the body
	words   *words
	lists   *lists

	path []byte // of the value that is being read: "ports[0].port"
	faultList
	broken    bool // the body is no JSON; the fault that says so is the only one
	malformed bool // a fault is one of form: an unknown or repeated field, a wrong type
}

// duplicates lets repeated fields through to the walker, which names them by their path.
var duplicates = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

// reset begins a walk over a body. The walker holds on to it until the next reset.
func (w *walker) reset(body []byte) {
	w.source, w.size = *bytes.NewBuffer(body), len(body)
	w.begin(&w.source)
}

// begin begins a walk over a body that is read on the way. An error of the reader ends
// the walk; which one it was the reader must know.
func (w *walker) begin(body io.Reader) {
	if w.decoder == nil {
		w.decoder, w.words, w.lists = new(jsontext.Decoder), new(words), new(lists)
	}
	w.decoder.Reset(body, duplicates...)
	w.path, w.faultList = w.path[:0], faultList{}
	w.broken, w.malformed = false, false
}

// end is called when the value that makes up the body has been read. Nothing may follow.
func (w *walker) end() {
	if w.broken {
		return
	}
	at := w.decoder.InputOffset()
	switch _, err := w.decoder.ReadToken(); {
	case err == io.EOF:
	case err != nil:
		w.breaks(err)
	default:
		w.breakOff(at, "something follows the value that is the body")
	}
	w.tellDropped()
}

// tellDropped notes that there are more faults than are noted.
func (w *walker) tellDropped() {
	w.faultList.tellDropped("the body has %d faults more than are told here")
}

// breaks ends the walk with an error of the decoder's.
func (w *walker) breaks(err error) {
	var syntax *jsontext.SyntacticError
	switch {
	case w.broken:
	case errors.As(err, &syntax) && syntax.Err != nil:
		w.breakOff(syntax.ByteOffset, syntax.Err.Error())
	default: // io.EOF, before there was a value
		w.breakOff(int64(w.size), "it has no value in it")
	}
}

func (w *walker) breakOff(offset int64, reason string) {
	w.broken, w.malformed = true, true
	w.faultList = faultList{}
	w.add(fault{"", fmt.Sprintf("the body is not JSON in UTF-8, at byte offset %d: %s", offset, reason)})
}

// note adds a fault of the value at hand.
func (w *walker) note(format string, args ...any) {
	switch {
	case w.broken:
		return
	case w.full(): // there may be millions
		w.dropped++
		return
	}
	f := fault{string(w.path), fmt.Sprintf(format, args...)}
	if f.Field == "" {
		f.Message = "the body " + f.Message
	}
	w.add(f)
}

// noteForm adds a fault of form.
func (w *walker) noteForm(format string, args ...any) {
	w.malformed = true
	w.note(format, args...)
}

// noteMember adds a fault of a member of the object at hand.
func (w *walker) noteMember(name, format string, args ...any) {
	was := w.enter(name)
	w.note(format, args...)
	w.path = w.path[:was]
}

// enter makes the path that of a member of the object at hand. It returns the length to
// cut the path back to afterwards.
func (w *walker) enter(name string) (was int) {
	was = len(w.path)
	if was > 0 {
		w.path = append(w.path, '.')
	}
	w.path = append(w.path, name...)
	return was
}
