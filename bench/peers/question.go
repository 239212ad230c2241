package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/miekg/dns"
)

// A question is one kind of query, and what the right answer to it looks like.
type question struct {
	name   string // as the tables have it
	qtype  uint16
	ask    func(serviceAt) []string // the names to ask for, for a service; perhaps none
	rcode  int
	answer int  // records in the answer; all is one an instance
	extra  bool // the answer's targets have their addresses with them
	own    bool // only the registry is asked
}

// eachInstance is the number of records of an answer that has one of each instance.
const eachInstance = -1

var questions = []question{
	{name: "A", qtype: dns.TypeA, ask: four(serviceAt.fqdn), answer: eachInstance},
	{name: "AAAA", qtype: dns.TypeAAAA, ask: six(serviceAt.fqdn), answer: eachInstance},
	{name: "SRV", qtype: dns.TypeSRV, ask: four(serviceAt.srvName), answer: eachInstance, extra: true},
	{name: "PTR", qtype: dns.TypePTR, ask: fourInstances(instanceAt.reverse), answer: 1},
	{name: "NXDOMAIN", qtype: dns.TypeA, ask: four(func(s serviceAt) string { return s.below("no-" + s.name()) }), rcode: dns.RcodeNameError},
	{name: "NODATA", qtype: dns.TypeAAAA, ask: four(serviceAt.fqdn), own: true},
	{name: "TXT of a host", qtype: dns.TypeTXT, ask: fourInstances(instanceAt.fqdn), answer: 1, own: true},
	{name: "A of a host", qtype: dns.TypeA, ask: fourInstances(instanceAt.fqdn), answer: 1, own: true},
}

func four(name func(serviceAt) string) func(serviceAt) []string {
	return func(s serviceAt) []string {
		if s.six() {
			return nil
		}
		return []string{name(s)}
	}
}

func six(name func(serviceAt) string) func(serviceAt) []string {
	return func(s serviceAt) []string {
		if !s.six() {
			return nil
		}
		return []string{name(s)}
	}
}

func fourInstances(name func(instanceAt) string) func(serviceAt) []string {
	return func(s serviceAt) (names []string) {
		if s.six() {
			return nil
		}
		for _, i := range s.instances() {
			names = append(names, name(i))
		}
		return names
	}
}

// names are all that can be asked for, each once, in an order of chance that is the same
// for every peer and every run.
func (q question) names(w world) (names []string) {
	for _, s := range w.all() {
		names = append(names, q.ask(s)...)
	}
	random := rand.New(rand.NewPCG(uint64(q.qtype), uint64(len(names))))
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// writeQueries writes names as dnsperf reads them.
func (q question) writeQueries(w io.Writer, names []string) error {
	b := bufio.NewWriter(w)
	for _, name := range names {
		fmt.Fprintf(b, "%s %s\n", name, dns.TypeToString[q.qtype])
	}
	return b.Flush()
}

// records is how many the answer has.
func (q question) records(w world) int {
	if q.answer == eachInstance {
		return w.each
	}
	return q.answer
}

func questionNamed(name string) question {
	return questions[slices.IndexFunc(questions, func(q question) bool { return q.name == name })]
}
