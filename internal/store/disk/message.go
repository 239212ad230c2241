package disk

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a message of Protocol Buffers being written, its fields in the order of
// their numbers and those that are zero left out.
type message []byte

func (m *message) number(field protowire.Number, v uint64) {
	if v != 0 {
		m.present(field, v)
	}
}

// present writes a number that is told apart from none when it is zero.
func (m *message) present(field protowire.Number, v uint64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, v)
}

func (m *message) text(field protowire.Number, s string) {
	if s != "" {
		*m = protowire.AppendTag(*m, field, protowire.BytesType)
		*m = protowire.AppendString(*m, s)
	}
}

// element writes one of several, which may be empty.
func (m *message) element(field protowire.Number, b []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, b)
}

// fields reads a message field by field. What was not written by this version is an
// error: to leave out a field that is not known would be to lose it with the next write.
type fields struct {
	rest   []byte
	number protowire.Number // of the field being read
	typ    protowire.Type
	err    error
}

// next goes to the next field; false at the end, and after an error.
func (f *fields) next(repeated func(protowire.Number) bool) bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	number, typ, n := protowire.ConsumeTag(f.rest)
	switch {
	case n < 0:
		f.fail("%v", protowire.ParseError(n))
	case number < f.number || number == f.number && !repeated(number):
		f.fail("field %d after field %d", number, f.number)
	default:
		f.rest, f.number, f.typ = f.rest[n:], number, typ
	}
	return f.err == nil
}

// uint reads a number of at most max.
func (f *fields) uint(max uint64) uint64 {
	if f.typ != protowire.VarintType {
		f.fail("field %d has wire type %d", f.number, f.typ)
		return 0
	}
	v, n := protowire.ConsumeVarint(f.rest)
	if n < 0 || v > max {
		f.fail("field %d is cut short or too large", f.number)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// int32 reads a number that may be negative.
func (f *fields) int32() int32 {
	v := int64(f.uint(math.MaxUint64))
	if v != int64(int32(v)) {
		f.fail("field %d is out of range", f.number)
	}
	return int32(v)
}

// bytes reads a text, which is only lent.
func (f *fields) bytes() []byte {
	if f.typ != protowire.BytesType {
		f.fail("field %d has wire type %d", f.number, f.typ)
		return nil
	}
	b, n := protowire.ConsumeBytes(f.rest)
	if n < 0 {
		f.fail("field %d is cut short", f.number)
		return nil
	}
	f.rest = f.rest[n:]
	return b
}

func (f *fields) unknown() { f.fail("field %d is not known", f.number) }

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}
