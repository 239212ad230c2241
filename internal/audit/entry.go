// Package audit tells, a line each, what was done and what was refused: entries, the log of them,
// and the writer that takes its lines to the server's log or to a file. Nothing that a client sends
// can begin a line or a key, and no request waits for the disk of a file.
package audit

import (
	"net/netip"
	"strconv"

	"github.com/coredns-registry/registry/service"
)

// Entry is what the log says of one request that changed the table, or was refused.
type Entry struct {
	Who      string         // NAME of the caller; empty where nobody was known
	From     netip.AddrPort // where the request came from
	Door     string         // that it came by; empty for our own API
	What     string         // label of its route
	On       []service.ID   // the objects it was about; parts that are empty are left out
	More     int            // objects beyond those
	Status   int            // of the answer, as HTTP has it
	Revision uint64         // of the change; 0 where there was none
	Why      string         // it was refused; empty where it was not

	// Changed are the objects that a list of operations has changed, in its order.
	Changed   []Changed
	Unchanged int // operations of the list that changed nothing
}

// Changed is an object that was changed, and how.
type Changed struct {
	Op service.Op
	ID service.ID
}

// What is longer than anything that is valid is cut: refusals must not fill the disk.
const (
	maxValue = 2048 // bytes of a string: as long as the NAME of a credential can be
	maxPart  = 253  // bytes of a part of an object's name: as long as an id can be

	// maxObjects is after how many bytes of objects another line begins: collectors of logs cut
	// lines, some of them at 8 KiB.
	maxObjects = 4 << 10
)

// Refused reports whether the request got an error for an answer.
func (e *Entry) Refused() bool { return e.Status >= 400 }

// AppendTo appends the entry to b, without the end of its line, and allocates nothing where b
// has room:
//
//	who=web from=192.0.2.7:40000 what="PUT instance" on=web-1.web.prod status=201 revision=7
//
// Where objects are Changed, each operation has lines of its own, as many as it takes:
//
//	who=ops from=192.0.2.9:40000 what="POST batch" op=register on=a.web.prod,b.web.prod status=200 revision=8
//	who=ops from=192.0.2.9:40000 what="POST batch" op=deregister on=c.web.prod status=200 revision=8
//
// Every line has who, from, what and status, in this order, and door before what where the request
// came by one that is not our own API. Values with anything in them that
// could be taken for more than a value are quoted as in Go: nothing that a client sends can
// begin a line or a key.
func (e *Entry) AppendTo(b []byte) []byte {
	l := entryLines{entry: *e, b: b, begin: len(b), plain: true}
	if len(e.On) > 0 {
		for i := range e.On {
			l.plain = l.plain && isPlainID(&e.On[i])
		}
		for i := range e.On {
			l.add("", &e.On[i])
		}
		l.end()
	}
	l.plain = true
	for i := range e.Changed {
		l.plain = l.plain && isPlainID(&e.Changed[i].ID)
	}
	for op := service.Register; op <= service.Undefine && len(e.Changed) > 0; op++ {
		for i := range e.Changed {
			if e.Changed[i].Op == op {
				l.add(op.String(), &e.Changed[i].ID)
			}
		}
		l.end()
	}
	if len(l.b) == l.begin {
		l.start("")
		l.finish()
	}
	return l.b
}

// entryLines are the lines of an entry while they are appended.
type entryLines struct {
	entry   Entry
	b       []byte
	begin   int  // where the first line begins
	objects int  // where the objects of the line at hand begin; 0 while there is none
	plain   bool // objects stand without quotes
}

// add adds an object to the line at hand, or begins one.
func (l *entryLines) add(op string, id *service.ID) {
	if l.objects > 0 && len(l.b)-l.objects >= maxObjects {
		l.end()
	}
	if l.objects > 0 {
		l.b = append(l.b, ',')
	} else {
		l.start(op)
		l.b = append(l.b, " on="...)
		l.quote()
		l.objects = len(l.b)
	}
	l.b = appendName(l.b, id, l.plain)
}

// end ends the line at hand, if there is one.
func (l *entryLines) end() {
	if l.objects > 0 {
		l.quote()
		l.finish()
	}
}

func (l *entryLines) quote() {
	if !l.plain {
		l.b = append(l.b, '"')
	}
}

// start appends what every line begins with.
func (l *entryLines) start(op string) {
	if len(l.b) > l.begin {
		l.b = append(l.b, '\n')
	}
	l.b = appendValue(append(l.b, "who="...), l.entry.Who)
	l.b = appendSource(append(l.b, " from="...), l.entry.From)
	if l.entry.Door != "" {
		l.b = appendValue(append(l.b, " door="...), l.entry.Door)
	}
	l.b = appendValue(append(l.b, " what="...), l.entry.What)
	if op != "" {
		l.b = append(append(l.b, " op="...), op...)
	}
}

// finish appends what every line ends with.
func (l *entryLines) finish() {
	e := &l.entry
	if e.More > 0 {
		l.b = strconv.AppendInt(append(l.b, " more="...), int64(e.More), 10)
	}
	if e.Unchanged > 0 {
		l.b = strconv.AppendInt(append(l.b, " unchanged="...), int64(e.Unchanged), 10)
	}
	l.b = strconv.AppendInt(append(l.b, " status="...), int64(e.Status), 10)
	if e.Revision != 0 {
		l.b = strconv.AppendUint(append(l.b, " revision="...), e.Revision, 10)
	}
	if e.Why != "" {
		l.b = appendValue(append(l.b, " why="...), e.Why)
	}
	l.objects = 0
}

func appendSource(b []byte, from netip.AddrPort) []byte {
	if !from.IsValid() {
		return appendValue(b, "")
	}
	return from.AppendTo(b)
}

// appendName appends the name of an object, plain or as it stands between quotes: web-1.web.prod
// for an instance, web.prod for a service. It may come from the path of a request that was not
// valid.
func appendName(b []byte, id *service.ID, plain bool) []byte {
	begin := len(b)
	for _, part := range [...]string{id.ID, id.Name.Service, id.Namespace} {
		if part == "" {
			continue
		}
		if len(b) > begin {
			b = append(b, '.')
		}
		if part = clip(part, maxPart); plain {
			b = append(b, part...)
		} else {
			b = appendEscaped(b, part)
		}
	}
	return b
}

// isPlainID reports whether a name can stand without quotes.
func isPlainID(id *service.ID) bool {
	return isPlain(id.ID) && isPlain(id.Name.Service) && isPlain(id.Namespace)
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
