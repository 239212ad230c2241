package access

import (
	"net/http"
	"net/netip"
	"strconv"

	"github.com/coredns-registry/registry/service"
)

// Entry is what the log says of one request that changed the table, or was refused.
type Entry struct {
	Who      string         // NAME of the caller; empty where nobody was known
	From     netip.AddrPort // whence the request came
	What     string         // label of its route
	On       []service.ID   // the objects; parts that are empty are left out
	More     int            // objects beyond those
	Status   int            // of the answer
	Revision uint64         // of the change; 0 where there was none
	Why      string         // it was refused; empty where it was not
}

// What is longer than anything that is valid is cut: refusals must not fill the disk.
const (
	maxValue = maxName // bytes of a string
	maxPart  = 253     // bytes of a part of an object's name: as long as an id can be
)

// Refused reports whether the request got an error for an answer.
func (e *Entry) Refused() bool { return e.Status >= http.StatusBadRequest }

// AppendTo appends the entry to b as one line, without its end, and allocates nothing where b
// has room:
//
//	who=web from=192.0.2.7:40000 what="PUT instance" on=web-1.web.prod status=201 revision=7
//
// Every entry has who, from, what and status, in this order. Values with anything in them that
// could be taken for more than a value are quoted as in Go: nothing that a client sends can
// begin a line or a key.
func (e *Entry) AppendTo(b []byte) []byte {
	b = appendValue(append(b, "who="...), e.Who)
	b = appendSource(append(b, " from="...), e.From)
	b = appendValue(append(b, " what="...), e.What)
	if len(e.On) > 0 {
		b = appendObjects(append(b, " on="...), e.On)
	}
	if e.More > 0 {
		b = strconv.AppendInt(append(b, " more="...), int64(e.More), 10)
	}
	b = strconv.AppendInt(append(b, " status="...), int64(e.Status), 10)
	if e.Revision != 0 {
		b = strconv.AppendUint(append(b, " revision="...), e.Revision, 10)
	}
	if e.Why != "" {
		b = appendValue(append(b, " why="...), e.Why)
	}
	return b
}

func appendSource(b []byte, from netip.AddrPort) []byte {
	if !from.IsValid() {
		return appendValue(b, "")
	}
	return from.AppendTo(b)
}

// appendObjects appends the objects with commas between: web-1.web.prod for an instance,
// web.prod for a service. They come from the path of a request that may not have been valid.
func appendObjects(b []byte, objects []service.ID) []byte {
	plain := true
	for i := range objects {
		o := &objects[i]
		plain = plain && isPlain(o.ID) && isPlain(o.Service) && isPlain(o.Namespace)
	}
	if plain {
		return appendNames(b, objects, func(b []byte, part string) []byte { return append(b, part...) })
	}
	return append(appendNames(append(b, '"'), objects, appendEscaped), '"')
}

func appendNames(b []byte, objects []service.ID, text func([]byte, string) []byte) []byte {
	for i := range objects {
		if i > 0 {
			b = append(b, ',')
		}
		begin := len(b)
		for _, part := range [...]string{objects[i].ID, objects[i].Service, objects[i].Namespace} {
			if part == "" {
				continue
			}
			if len(b) > begin {
				b = append(b, '.')
			}
			b = text(b, clip(part, maxPart))
		}
	}
	return b
}

func appendValue(b []byte, s string) []byte {
	if s != "" && isPlain(s) {
		return append(b, clip(s, maxValue)...)
	}
	return append(appendEscaped(append(b, '"'), clip(s, maxValue)), '"')
}

// isPlain reports whether s can stand without quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return true
}

// appendEscaped appends s as it stands between quotes.
func appendEscaped(b []byte, s string) []byte {
	begin := len(b)
	b = strconv.AppendQuoteToASCII(b, s)
	return append(b[:begin], b[begin+1:len(b)-1]...)
}

func clip(s string, most int) string { return s[:min(len(s), most)] }
