package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// explain tells what DNS would answer and why. Before the table is loaded that is an
// answer too: SERVFAIL.
func explain(c *call) {
	values, ok := c.query()
	if !ok {
		return
	}
	name, typeName := values.Get("name"), values.Get("type")
	if typeName == "" {
		typeName = "A"
	}
	var faults []fault
	if _, valid := dns.IsDomainName(name); name == "" || !valid {
		faults = append(faults, fault{"name", "must be a domain name"})
	}
	qtype, known := parseType(typeName)
	if !known {
		faults = append(faults, fault{"type", "must be a type of record: A, AAAA, SRV, TXT, PTR, TYPE65"})
	}
	if len(faults) > 0 {
		c.failFaults(http.StatusUnprocessableEntity, faults)
		return
	}
	name = dns.Fqdn(name)
	e, ok := c.registry.Explain(name, qtype, c.caller.MayRead)
	if !ok {
		c.forbid("read on the service that the name belongs to")
		return
	}
	b := append(c.out[:0], '{')
	b = text(member(b, "name"), name)
	b = text(member(b, "type"), dns.Type(qtype).String())
	b = text(member(b, "zone"), e.Zone)
	b = text(member(b, "outcome"), e.Outcome)
	b = text(member(b, "rcode"), e.Rcode)
	b = texts(member(b, "answer"), e.Answer)
	b = texts(member(b, "authority"), e.Authority)
	b = texts(member(b, "additional"), e.Additional)
	b = append(member(b, "instances"), '[')
	for _, i := range e.Instances {
		b = identity(append(next(b), '{'), i.ID)
		b = boolean(member(b, "answered"), i.Answered)
		b = append(text(member(b, "reason"), i.Reason), '}')
	}
	c.out = append(b, "]}"...)
	c.answer(http.StatusOK, 0)
}

// parseType returns the number of a type of record, by its name in any case or as
// TYPE65 (RFC 3597, section 5).
func parseType(name string) (uint16, bool) {
	name = strings.ToUpper(name)
	if t, ok := dns.StringToType[name]; ok {
		return t, true
	}
	digits, ok := strings.CutPrefix(name, "TYPE")
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), ok && err == nil
}
