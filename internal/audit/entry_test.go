package audit

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/service"
)

func instance(namespace, svc, id string) service.ID {
	return service.ID{Name: service.Name{Namespace: namespace, Service: svc}, ID: id}
}

// put is an entry as most are.
func put() *Entry {
	return &Entry{
		Who:      "spiffe://example.org/web",
		From:     netip.MustParseAddrPort("192.0.2.7:40000"),
		What:     "PUT instance",
		On:       []service.ID{instance("prod", "web", "web-1")},
		Status:   201,
		Revision: 7,
	}
}

func TestEntryIsOneLine(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		change   func(*Entry)
		want     string
	}{
		{"a write", func(*Entry) {}, `who=spiffe://example.org/web from=192.0.2.7:40000 what="PUT instance" on=web-1.web.prod status=201 revision=7`},
		{"by another door", func(e *Entry) { e.Door = "eureka" }, ` from=192.0.2.7:40000 door=eureka what="PUT instance" on=`},
		{"a refusal of nobody", func(e *Entry) { *e = Entry{From: e.From, What: "GET services", Status: 401, Why: "no credential"} },
			`who="" from=192.0.2.7:40000 what="GET services" status=401 why="no credential"`},
		{"a service", func(e *Entry) { e.On[0].ID = "" }, `on=web.prod `},
		{"a namespace", func(e *Entry) { e.On[0] = instance("prod", "", "") }, `on=prod `},
		{"several", func(e *Entry) { e.On = append(e.On, instance("dev", "api", "a")); e.More = 98 }, `on=web-1.web.prod,a.api.dev more=98 `},
		{"over IPv6", func(e *Entry) { e.From = netip.MustParseAddrPort("[2001:db8::7]:1") }, ` from=[2001:db8::7]:1 `},
		{"a list that changed nothing", func(e *Entry) { e.On, e.Unchanged = nil, 3 }, `what="PUT instance" unchanged=3 status=201 `},
		{"a service with what went with it", func(e *Entry) {
			e.On[0].ID, e.Changed = "", []Changed{{service.Deregister, instance("prod", "web", "a")}}
		},
			` what="PUT instance" on=web.prod status=201 revision=7` + "\n" + `who=spiffe://example.org/web from=192.0.2.7:40000 what="PUT instance" op=deregister on=a.web.prod status=201 revision=7`},
		{"a line in the name of what was changed", func(e *Entry) {
			e.On, e.Changed = nil, []Changed{{service.Register, instance("prod", "web", "a\nwho=root")}}
		},
			` op=register on="a\nwho=root.web.prod" status=201 `},
		{"from nowhere", func(e *Entry) { e.From = netip.AddrPort{} }, ` from="" `},
		{"a line in a name", func(e *Entry) { e.On[0].ID = "x\nwho=admin" }, ` on="x\nwho=admin.web.prod" `},
		{"a key in a name", func(e *Entry) { e.Who = "x status=200" }, `who="x status=200" `},
		{"a quote", func(e *Entry) { e.Why = `say "x"` }, ` why="say \"x\""`},
		{"an escape of a terminal", func(e *Entry) { e.On[0].Service = "\x1b[2J" }, ` on="web-1.\x1b[2J.prod" `},
		{"DEL alone", func(e *Entry) { e.Who = "x\x7f" }, `who="x\x7f" `},
		{"letters of other scripts", func(e *Entry) { e.Who = "žaneta" }, `who="\u017eaneta" `},
		{"not UTF-8", func(e *Entry) { e.Who = "\xff" }, `who="\xff" `},
		{"a NAME is told whole", func(e *Entry) { e.Who = strings.Repeat("x", maxValue) }, "who=" + strings.Repeat("x", maxValue) + " from="},
		{"a longer one is none", func(e *Entry) { e.Who = strings.Repeat("x", 9999) }, "who=" + strings.Repeat("x", maxValue) + " from="},
		{"an id is told whole", func(e *Entry) { e.On[0].ID = strings.Repeat("x", 253) }, " on=" + strings.Repeat("x", 253) + ".web.prod "},
		{"a longer one is none, and 2048 bytes of it fill the disk", func(e *Entry) { e.On[0].ID = strings.Repeat("x", 9999) }, " on=" + strings.Repeat("x", 253) + ".web.prod "},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			e := put()
			tc.change(e)
			if got := string(e.AppendTo(nil)); !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// fields reads a line as logfmt.
func fields(t *testing.T, line string) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for rest := line; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		var key string
		key, rest, _ = strings.Cut(rest, "=")
		value, _, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			value, _ = strconv.Unquote(quoted)
			rest = rest[len(quoted):]
		} else {
			rest = rest[len(value):]
		}
		if _, twice := values[key]; twice {
			t.Fatalf("%s stands twice in %q", key, line)
		}
		values[key] = value
	}
	return values
}

// What a list of operations has changed is told of each object, however many there are.
func TestEveryObjectThatWasChangedIsToldWithItsOperation(t *testing.T) {
	const count = 2000
	e := put()
	e.On, e.What, e.Status, e.Unchanged = nil, "POST batch", 200, 8
	want := map[string]string{} // operations by object
	for n := range count {
		op := service.Op(n % int(service.Undefine+1))
		id := instance("prod", "web", fmt.Sprintf("web-%d", n))
		if op >= service.Define {
			id = instance("prod", fmt.Sprintf("web-%d", n), "")
		}
		e.Changed = append(e.Changed, Changed{op, id})
		want[strings.TrimPrefix(id.String(), ".")] = op.String()
	}
	lines := strings.Split(string(e.AppendTo(nil)), "\n")
	for _, line := range lines {
		got := fields(t, line)
		if !strings.HasPrefix(line, "who="+e.Who+" from=192.0.2.7:40000 what=\"POST batch\" op=") || !strings.HasSuffix(line, " unchanged=8 status=200 revision=7") {
			t.Errorf("got %s", line)
		}
		if len(line) > 2*maxObjects {
			t.Errorf("a line of %d bytes", len(line))
		}
		for object := range strings.SplitSeq(got["on"], ",") {
			if want[object] != got["op"] {
				t.Errorf("%s is told with %q, want %q", object, got["op"], want[object])
			}
			delete(want, object)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d objects are not told in %d lines: %v", len(want), len(lines), want)
	}
	if most := 6 + count*len("web-1000.web.prod,")/maxObjects; len(lines) > most {
		t.Errorf("got %d lines, want at most %d", len(lines), most)
	}
}

// FuzzEntry holds that whatever is in an entry comes back out of its line, and nothing else.
func FuzzEntry(f *testing.F) {
	f.Add("web", "PUT instance", "prod", "web", "web-1", "it may not")
	f.Add("", "a b", "x\ny", "\"", "=", "\\")
	f.Add("\xff", "\u2028", "\x00", "\x7f", "é", "who=admin status=200")
	f.Fuzz(func(t *testing.T, who, what, namespace, svc, id, why string) {
		e := Entry{Who: who, What: what, On: []service.ID{instance(namespace, svc, id)}, Status: 403, Why: why}
		listed := Entry{Who: who, What: what, Changed: []Changed{{service.Deregister, e.On[0]}}, Status: 403, Why: why}
		line := string(e.AppendTo(nil))
		if got, want := string(listed.AppendTo(nil)), strings.Replace(line, " on=", " op=deregister on=", 1); got != want && !strings.Contains(who+what, " on=") {
			t.Errorf("in a list: got %s, want %s", got, want)
		}
		for i := range len(line) {
			if line[i] < ' ' || line[i] > '~' {
				t.Fatalf("a byte %#x in %q", line[i], line)
			}
		}
		var parts []string
		for _, part := range []string{id, svc, namespace} {
			if part != "" {
				parts = append(parts, clip(part, maxPart))
			}
		}
		want := map[string]string{"who": clip(who, maxValue), "from": "", "what": clip(what, maxValue), "on": strings.Join(parts, "."), "status": "403"}
		if why != "" {
			want["why"] = clip(why, maxValue)
		}
		got := fields(t, line)
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: got %q, want %q in %s", key, got[key], value, line)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d fields, want %d: %s", len(got), len(want), line)
		}
	})
}

func TestAppendToAllocatesNothing(t *testing.T) {
	quoted := put()
	quoted.On[0].ID, quoted.Status, quoted.Why = "x y\n", 403, `no "x"`
	b := make([]byte, 0, 1000)
	for _, e := range []*Entry{put(), quoted} {
		if n := testing.AllocsPerRun(100, func() { b = e.AppendTo(b[:0]) }); n != 0 {
			t.Errorf("%v allocations for %s", n, b)
		}
	}
}

// book is where the lines of a test go.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (b *book) Close() error { return nil }

func (b *book) Write(_ time.Time, line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(line))
}

func (b *book) count(part string) (n int) {
	for _, line := range b.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func TestAFloodOfRefusalsIsCountedAndHidesNoWrite(t *testing.T) {
	b := new(book)
	a := New(b)
	refusal := &Entry{Who: "mad", Status: 403, Why: "it may not"}
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() {
			for range refusalsPerSecond {
				a.Record(noon, refusal)
			}
			a.Record(noon, put())
		})
	}
	clients.Wait()
	if refused, written := b.count("status=403"), b.count("status=201"); refused != refusalsPerSecond || written != 5 {
		t.Errorf("%d refusals and %d writes were told, want %d and 5", refused, written, refusalsPerSecond)
	}
	a.Record(noon.Add(time.Second), refusal)
	if got, want := strings.Join(b.lines[len(b.lines)-2:], "|"), fmt.Sprintf("suppressed=%d|who=mad", 4*refusalsPerSecond); !strings.HasPrefix(got, want) {
		t.Errorf("in the next second: got %s, want %s", got, want)
	}
	for range refusalsPerSecond {
		a.Record(noon.Add(time.Second), refusal)
	}
	a.Flush(noon.Add(time.Second))
	a.Flush(noon.Add(time.Second))
	a.Record(noon.Add(2*time.Second), put())
	for range refusalsPerSecond {
		a.Record(noon.Add(2*time.Second), refusal)
	}
	if got := b.count("suppressed=1"); got != 1 || b.count("suppressed") != 2 {
		t.Errorf("nobody comes after it: told %d times, want once", got)
	}
	a.Record(noon, &Entry{Who: "late", Status: 403})
	if got := b.lines[len(b.lines)-1]; !strings.HasPrefix(got, "who=late") {
		t.Errorf("a clock that was set back: got %s", got)
	}
}

func BenchmarkAppendTo(b *testing.B) {
	e := put()
	line := make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		line = e.AppendTo(line[:0])
	}
}

// nowhere forgets what is written to it.
type nowhere struct{}

func (nowhere) Write(time.Time, []byte) {}
func (nowhere) Close() error            { return nil }

func BenchmarkRecord(b *testing.B) {
	a := New(nowhere{})
	e := put()
	b.ReportAllocs()
	for b.Loop() {
		a.Record(noon, e)
	}
}
