package httpapi

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// How a walker reads the values of a body. Each of these reads one value, whatever it is.

// is reports whether the next value is of that kind. One that is not is noted, with what
// is wanted, and skipped.
func (w *walker) is(kind jsontext.Kind, wanted string) bool {
	got := w.decoder.PeekKind()
	if got == kind && !w.broken {
		return true
	}
	w.skip()
	w.noteForm("is %s: %s is wanted", kindName(got), wanted)
	return false
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	}
	return "null"
}

func (w *walker) skip() {
	if w.broken {
		return
	}
	if err := w.decoder.SkipValue(); err != nil {
		w.breaks(err)
	}
}

// ignore reads past a value, whatever it is. Only a repeated field is wrong in it.
func (w *walker) ignore() {
	value, err := w.decoder.ReadValue()
	if err != nil {
		w.breaks(err)
		return
	}
	if kind := value.Kind(); (kind == '{' || kind == '[') && !value.IsValid() {
		w.noteForm("has a repeated field in it")
	}
}

// more reports whether there is another element before the end of a list or an object,
// and reads that end.
func (w *walker) more(end jsontext.Kind) bool {
	if w.broken {
		return false
	}
	if w.decoder.PeekKind() != end {
		return true
	}
	if _, err := w.decoder.ReadToken(); err != nil {
		w.breaks(err)
	}
	return false
}

// open reads the beginning of a list or an object, if the next value is one.
func (w *walker) open(begin jsontext.Kind, wanted string) bool {
	if !w.is(begin, wanted) {
		return false
	}
	if _, err := w.decoder.ReadToken(); err != nil {
		w.breaks(err)
	}
	return !w.broken
}

// fields are those that an object may have: at most 64 together.
type fields struct {
	read    []string
	ignored []string // of an answer that may come back in a request
}

// object reads an object. each is called for every field there is of f.read, once, and
// must read its value. A field that is null is not there, but may not be repeated either.
func (w *walker) object(f *fields, each func(name string)) bool {
	if !w.open('{', "an object") {
		return false
	}
	var seen uint64 // by the places in f.read, then in f.ignored
	for w.more('}') {
		quoted, err := w.decoder.ReadValue()
		if err != nil {
			w.breaks(err)
			return false
		}
		name, place := f.find(quoted)
		was := w.enter(name)
		switch {
		case place < 0:
			w.skip()
			w.noteForm("is unknown: the fields here are %s", strings.Join(f.read, ", "))
		case seen&(1<<place) != 0:
			w.skip()
			w.noteForm("is repeated: a field may stand once")
		case place >= len(f.read):
			w.ignore()
		case w.decoder.PeekKind() == 'n': // the field is absent
			w.skip()
		default:
			each(name)
		}
		if place >= 0 {
			seen |= 1 << place
		}
		w.path = w.path[:was]
	}
	return !w.broken
}

// find returns the place of a name, as it is quoted in the body, among the fields; -1
// where it is none of them.
func (f *fields) find(quoted []byte) (name string, place int) {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		plain, _ = jsontext.AppendUnquote(nil, quoted) // the decoder has found it valid
	}
	for i, name := range f.read {
		if string(plain) == name {
			return name, i
		}
	}
	for i, name := range f.ignored {
		if string(plain) == name {
			return name, len(f.read) + i
		}
	}
	return string(plain), -1
}

// list reads a list. each is called with the place of every element, and must read it.
func (w *walker) list(each func(i int)) bool {
	if !w.open('[', "a list") {
		return false
	}
	was := len(w.path)
	for i := 0; w.more(']'); i++ {
		w.path = append(w.path, '[')
		w.path = strconv.AppendInt(w.path, int64(i), 10)
		w.path = append(w.path, ']')
		each(i)
		w.path = w.path[:was]
	}
	return !w.broken
}

// pairs reads an object whose fields are free to have any name, and values that are
// strings. each is called for every pair that is not null; a repeated name is noted
// afterwards.
func (w *walker) pairs(each func(name, value string)) {
	if !w.open('{', "an object of strings") {
		return
	}
	var few [8]string // as many as most have
	names := few[:0]
	for w.more('}') {
		quoted, err := w.decoder.ReadValue()
		if err != nil {
			w.breaks(err)
			return
		}
		name := w.unquote(quoted)
		names = append(names, name)
		was := w.enter(name)
		if w.decoder.PeekKind() == 'n' {
			w.skip()
		} else if value, ok := w.text(); ok {
			each(name, value)
		}
		w.path = w.path[:was]
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] && (i == 1 || names[i] != names[i-2]) {
			was := w.enter(names[i])
			w.noteForm("is repeated: a key may stand once")
			w.path = w.path[:was]
		}
	}
}

// text reads a string.
func (w *walker) text() (value string, ok bool) {
	if !w.is('"', "a string") {
		return "", false
	}
	quoted, err := w.decoder.ReadValue()
	if err != nil {
		w.breaks(err)
		return "", false
	}
	return w.unquote(quoted), true
}

// unquote returns what a string says, which the decoder has found valid.
func (w *walker) unquote(quoted []byte) string {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		plain, _ = jsontext.AppendUnquote(nil, quoted)
	}
	return w.words.of(plain)
}

// integer reads a whole number between low and high. One beyond them is a fault of
// value; one that is not whole is a fault of form.
func (w *walker) integer(low, high int64) (value int64, ok bool) {
	if !w.is('0', "a whole number") {
		return 0, false
	}
	raw, err := w.decoder.ReadValue()
	if err != nil {
		w.breaks(err)
		return 0, false
	}
	value, whole, fits := wholeNumber(raw)
	switch {
	case !whole:
		w.noteForm("is not a whole number: it is %d to %d", low, high)
	case !fits || value < low || value > high:
		w.note("is out of range: it is %d to %d", low, high)
	default:
		return value, true
	}
	return 0, false
}

// boolean reads true or false.
func (w *walker) boolean() bool {
	if w.decoder.PeekKind() != 'f' && !w.is('t', "true or false") {
		return false
	}
	token, err := w.decoder.ReadToken()
	if err != nil {
		w.breaks(err)
		return false
	}
	return token.Bool()
}
