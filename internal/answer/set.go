package answer

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// set is the records that one name and one type give, prepared once and shared by all
// who ask. Its records are templates: what goes out is a copy.
type set struct {
	records []record
	hosts   int // how many hosts the records point to; they are numbered from 0

	// starts are where the records of each instance begin. An answer begins at one of
	// them, each as likely, so that each instance comes first equally often.
	starts  []int
	uniform bool // every record is where one begins

	// until bounds the leases of the whole set from below: none ends before. Deadlines
	// of a set only move forward, so it stays true; while it is far enough away nobody
	// need look at the leases one by one.
	until atomic.Int64

	wire lazy[packed]
}

// record is one resource record of a set.
type record struct {
	rr     dns.RR         // its owner is empty where that is the name asked, its TTL is not set
	leases []*lease.Lease // of all instances it stands for
	host   *host          // that an SRV record points to
}

// host is a label below a service that leads to addresses.
type host struct {
	name   string
	number int
	glue   []record // its addresses, owned by its full name
}

// choice is a run of a set's records, from start on and around the end.
type choice struct{ start, n int }

// choose picks the records to answer, most at the most, beginning with those of an
// instance picked by chance.
func (s *set) choose(most int) choice {
	c := choice{n: min(len(s.records), most)}
	switch {
	case s.uniform:
		c.start = rand.IntN(len(s.records))
	case len(s.starts) > 1:
		c.start = s.starts[rand.IntN(len(s.starts))]
	}
	return c
}

// chosen yields the records of a choice in order.
func (s *set) chosen(c choice) func(yield func(*record) bool) {
	return func(yield func(*record) bool) {
		for i := range c.n {
			if !yield(&s.records[(c.start+i)%len(s.records)]) {
				return
			}
		}
	}
}

// ends reports when the earliest lease that the chosen records depend on ends. Where it
// is known that none ends before enough, it may return that.
func (s *set) ends(c choice, enough lease.Time) lease.Time {
	if until := lease.Time(s.until.Load()); until >= enough {
		return until
	}
	earliest := lease.Time(math.MaxInt64)
	for r := range s.chosen(c) {
		earliest = min(earliest, r.ends())
	}
	if c.n == len(s.records) {
		s.until.Store(int64(earliest))
	}
	return earliest
}

// ends returns when the earliest lease ends that the record or an address of its host
// depends on; the end of time where all are static.
func (r *record) ends() lease.Time {
	earliest := lease.Time(math.MaxInt64)
	for _, l := range r.leases {
		if t, ok := l.Deadline(); ok {
			earliest = min(earliest, t)
		}
	}
	if r.host != nil {
		for i := range r.host.glue {
			earliest = min(earliest, r.host.glue[i].ends())
		}
	}
	return earliest
}

// copyFor returns a copy of a template that is owned by owner unless it has an owner.
// Nothing in the copy that another plugin would change is shared with the template.
func (r *record) copyFor(owner string) dns.RR {
	var rr dns.RR
	switch t := r.rr.(type) {
	case *dns.A: // the commonest by far; dns.Copy would copy the address as well
		c := *t
		rr = &c
	case *dns.AAAA:
		c := *t
		rr = &c
	case *dns.SRV:
		c := *t
		rr = &c
	default:
		rr = dns.Copy(t)
	}
	if h := rr.Header(); h.Name == "" {
		h.Name = owner
	}
	return rr
}

// builder gathers records into a set in which each stands once (RFC 2181, section 5).
type builder struct {
	records []record
	starts  []int
	at      map[string]int // key to index
	fresh   bool           // the next record is the first of its instance
}

// begin says that the records that follow are those of another instance.
func (b *builder) begin() { b.fresh = true }

// add appends a record, or lets the one that has the same key stand for this instance
// too: then an answer that is to begin with this instance begins there.
func (b *builder) add(key string, r record) {
	i, known := b.at[key]
	if known {
		b.records[i].leases = append(b.records[i].leases, r.leases...)
	} else {
		i = len(b.records)
		b.records = append(b.records, r)
		if b.at == nil {
			b.at = make(map[string]int)
		}
		b.at[key] = i
	}
	if b.fresh {
		b.starts = append(b.starts, i)
		b.fresh = false
	}
}

func (b *builder) set() *set { return newSet(slices.Clone(b.records), slices.Clone(b.starts)) }

func newSet(records []record, starts []int) *set {
	s := &set{records: records, starts: starts, uniform: len(records) > 0 && len(starts) == len(records)}
	for i, start := range starts {
		s.uniform = s.uniform && start == i
	}
	s.until.Store(math.MinInt64)
	for i := range records {
		if h := records[i].host; h != nil {
			s.hosts = max(s.hosts, h.number+1)
		}
	}
	return s
}
