package kubernetes

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A difference is a way in which our plugin, on purpose, does not answer as kubernetes does. It does not excuse an
// answer, it says which: kubernetes's reply, with all differences made to it, has to be ours to the letter.
type difference struct {
	what    string
	because string // the promise, or the standard
	where   func(q query, theirs reply) bool
	ours    func(q query, theirs reply) reply
}

// differences are made one after the other, each to what the ones above it leave.
var differences = []difference{
	// Names that kubernetes answers and that do not exist.
	{
		"a port's name without its underscores does not exist",
		"contract 2: both underscores are needed (RFC 2782; kubernetes strips what it finds)",
		func(q query, theirs reply) bool {
			_, below := q.service()
			return len(below) == 2 && theirs.rcode == dns.RcodeSuccess &&
				(!strings.HasPrefix(below[0], "_") || !strings.HasPrefix(below[1], "_"))
		},
		noName,
	},
	{
		"an underscore alone is not any port, nor any protocol",
		"contract 2: an unnamed port has no such name (to kubernetes nothing after the underscore means all)",
		func(q query, theirs reply) bool {
			_, below := q.service()
			return len(below) == 2 && theirs.rcode == dns.RcodeSuccess && slices.Contains(below, "_")
		},
		noName,
	},
	{
		"a reverse zone has no svc, pod or dns-version",
		"contract 2: Z is any of the zones that is not a reverse zone",
		func(q query, theirs reply) bool {
			return q.inReverseZone() && theirs.rcode == dns.RcodeSuccess &&
				slices.Contains([]string{"svc", "pod", "dns-version"}, strings.Join(q.labels(), "."))
		},
		noName,
	},
	{
		"what is below the reverse name of an IPv6 address does not exist",
		"RFC 3596, section 2.5 (kubernetes overlooks up to three labels in front of it)",
		func(q query, theirs reply) bool {
			return q.inReverseZone() && len(q.labels()) > 32 && theirs.rcode == dns.RcodeSuccess
		},
		noName,
	},
	{
		"an IPv4 address has no reverse name in ip6.arpa",
		"RFC 3596, section 2.5 (kubernetes finds it there as an IPv4-mapped address)",
		func(q query, theirs reply) bool {
			return strings.HasSuffix(strings.ToLower(q.name), ".f.f.f.f"+strings.Repeat(".0", 20)+".ip6.arpa.") &&
				theirs.rcode == dns.RcodeSuccess
		},
		noName,
	},
	{
		"the SOA of a name that does not exist is asked in vain",
		"contract 2: a name that does not exist is NXDOMAIN (kubernetes does not look)",
		func(q query, theirs reply) bool {
			return q.qtype == dns.TypeSOA && theirs.rcode == dns.RcodeSuccess && !exists(q.name)
		},
		noName,
	},

	// Names that exist and that kubernetes denies.
	{
		"dns.Z and _PROTOCOL.SERVICE have names below them",
		"contract 2: every name with others below it is NODATA (RFC 8020)",
		func(q query, theirs reply) bool {
			_, below := q.service()
			return theirs.rcode == dns.RcodeNameError && exists(q.name) &&
				(slices.Equal(q.labels(), []string{"dns"}) || len(below) == 1 && strings.HasPrefix(below[0], "_"))
		},
		noData,
	},
	{
		"part of a reverse name has names below it, or might",
		"contract 2: an NXDOMAIN there would hide what is below (RFC 8020)",
		func(q query, theirs reply) bool {
			return theirs.rcode == dns.RcodeNameError && q.isPartOfReverseName()
		},
		noData,
	},
	{
		"a headless service exists when none of its instances is up, and so do its ports",
		"contract 2: a defined headless service with no instance up is NODATA, and so is _PORT._PROTOCOL of a port that its definition or any of its instances names",
		func(q query, theirs reply) bool {
			s, _ := q.service()
			return s != nil && s.headless() && theirs.rcode == dns.RcodeNameError && exists(q.name) &&
				!slices.ContainsFunc(s.instances, s.up)
		},
		noData,
	},
	{
		"a port that only the definition or an instance that is down names exists",
		"contract 2: so is _PORT._PROTOCOL of a port that its definition or any of its instances names",
		func(q query, theirs reply) bool {
			_, below := q.service()
			return theirs.rcode == dns.RcodeNameError && exists(q.name) && len(below) == 2
		},
		noData,
	},
	{
		"a name that has other types than the one asked exists",
		"contract 2: it is NOERROR without an answer (kubernetes denies TXT at names without addresses, all but PTR at reverse names, all but addresses at ns.dns and these too when asked in upper case, all but TXT at dns-version)",
		func(q query, theirs reply) bool { return theirs.rcode == dns.RcodeNameError && exists(q.name) },
		noData,
	},

	// Answers that kubernetes gives in part or otherwise.
	{
		"the name server has the address the server is bound to",
		"contract 2: loopback only if there is no other (kubernetes leaves it out, and with it the zone's NS)",
		func(q query, theirs reply) bool {
			return q.isNameServer() && q.qtype == dns.TypeA || q.isApex() && q.qtype == dns.TypeNS
		},
		nameServer,
	},
	{
		"the specification's version has the TTL of any answer",
		"contract 2: the TTL of every answer, dns-version too, is ttl",
		func(q query, theirs reply) bool { return q.isVersion() && len(theirs.answer) > 0 },
		func(q query, theirs reply) reply {
			theirs.answer = copies(theirs.answer)
			theirs.answer[0].Header().Ttl = ttl
			return theirs
		},
	},
	{
		"the name of a port has no addresses",
		"contract 2: _PORT._PROTOCOL has SRV (RFC 2782: the addresses are the targets')",
		func(q query, theirs reply) bool {
			_, below := q.service()
			return len(below) == 2 && (q.qtype == dns.TypeA || q.qtype == dns.TypeAAAA) && len(theirs.answer) > 0
		},
		noData,
	},
	{
		"the weight of an SRV record is its share among those answered",
		"contract 2: 100 divided by the number of records in the answer (kubernetes counts addresses, and records that it drops as duplicates)",
		func(q query, theirs reply) bool { return q.qtype == dns.TypeSRV && len(theirs.answer) > 0 },
		func(q query, theirs reply) reply {
			theirs.answer = copies(theirs.answer)
			for _, record := range theirs.answer {
				record.(*dns.SRV).Weight = uint16(max(100/len(theirs.answer), 1))
			}
			return theirs
		},
	},
	{
		"an address leads to everything that has it",
		"contract 2: HOST of each instance that is answered, and each service with that cluster IP (kubernetes stops at the first service, and leaves out instances if there is one)",
		func(q query, theirs reply) bool { return q.qtype == dns.TypePTR && len(theirs.answer) > 0 },
		pointers,
	},
	{
		"an external name is told even when nothing of the type is at its end",
		"contract 2: the CNAME stays in the answer (RFC 6604: with the response code of the end)",
		func(q query, theirs reply) bool {
			_, end := chain(q)
			return q.isAddressOfExternalName() && inZones(end) && !theirs.has(q.qtype)
		},
		alias,
	},
	{
		"an external name that leads outside tells that nothing is there",
		"RFC 6604, section 3, and RFC 2308, section 2: the response code and the SOA are those of the end (kubernetes drops both)",
		func(q query, theirs reply) bool {
			_, end := chain(q)
			return q.isAddressOfExternalName() && !inZones(end) && !theirs.has(q.qtype)
		},
		func(q query, theirs reply) reply {
			_, name := chain(q)
			end := ends[name]
			theirs.rcode, theirs.authority = end.rcode, end.authority
			return theirs
		},
	},
}

// noName is the reply that the name does not exist.
func noName(q query, theirs reply) reply {
	return reply{rcode: dns.RcodeNameError, flags: theirs.flags, authority: soa(q)}
}

// noData is the reply that the name exists, without the type.
func noData(q query, theirs reply) reply {
	return reply{rcode: dns.RcodeSuccess, flags: theirs.flags, authority: soa(q)}
}

// nameServer is the reply of the one name server, of its address or of its name with that as glue.
func nameServer(q query, theirs reply) reply {
	name := q.name
	if q.qtype == dns.TypeNS {
		name = "ns.dns." + q.zone()
	}
	address := []dns.RR{record("%s %d IN A 127.0.0.1", name, ttl)}
	ours := reply{rcode: dns.RcodeSuccess, flags: theirs.flags, answer: address}
	if q.qtype == dns.TypeNS {
		ours.answer, ours.additional = []dns.RR{record("%s %d IN NS %s", q.name, ttl, name)}, address
	}
	return ours
}

// pointers is the reply of all that the world has at the address.
func pointers(q query, theirs reply) reply {
	theirs.answer = nil
	targets := map[string]bool{}
	add := func(target string) {
		if !targets[target] { // instances may share a host
			targets[target] = true
			theirs.answer = append(theirs.answer, record("%s %d IN PTR %s", q.name, ttl, target))
		}
	}
	for _, s := range world {
		for _, address := range s.clusterIPs {
			if strings.EqualFold(q.name, reverse(address)) {
				add(s.fqdn())
			}
		}
		for _, i := range s.instances {
			for n, address := range i.addresses {
				if s.up(i) && strings.EqualFold(q.name, reverse(address)) {
					hosts := s.hosts(i)
					add(hosts[min(n, len(hosts)-1)]) // one for all addresses, or one each
				}
			}
		}
	}
	return theirs
}

// alias is the reply of an external name that leads to nothing in the zones.
func alias(q query, theirs reply) reply {
	aliases, end := chain(q)
	ours := reply{flags: theirs.flags, answer: aliases}
	if s, below := (query{name: end}).service(); s != nil && s.externalName != "" && len(below) == 0 {
		return ours // too long, or it bites its own tail: with no end there is nobody to say that nothing is there
	}
	if !exists(end) {
		ours.rcode = dns.RcodeNameError
	}
	ours.authority = soa(query{name: end})
	return ours
}

// longest is how many aliases of a chain are followed, by kubernetes too.
const longest = 11

// chain is where an external name leads to, until it leaves the zones, repeats itself or becomes too long.
func chain(q query) (aliases []dns.RR, end string) {
	end = q.name
	for seen := map[string]bool{}; inZones(end) && !seen[end] && len(aliases) < longest; {
		s, below := query{name: end}.service()
		if s == nil || s.externalName == "" || len(below) > 0 {
			break
		}
		seen[strings.ToLower(end)] = true
		aliases = append(aliases, record("%s %d IN CNAME %s", end, ttl, dns.Fqdn(s.externalName)))
		end = dns.Fqdn(s.externalName)
	}
	return aliases, end
}

// ends are the names outside that are told without addresses, of one type or both, and what is said of them there.
var ends = map[string]reply{
	"v4.example.net.":      {rcode: dns.RcodeSuccess, authority: []dns.RR{record(outsideSOA)}},
	"missing.example.net.": {rcode: dns.RcodeNameError, authority: []dns.RR{record(outsideSOA)}},
	"nowhere.example.net.": {rcode: dns.RcodeNameError, authority: []dns.RR{record(outsideSOA)}},
	"www.broken.example.":  {rcode: dns.RcodeServerFailure},
	"www.example.com.":     {rcode: dns.RcodeSuccess}, // refused: the asker may know more than the server
}

// soa is the authority section of a negative answer, with the case of the question.
func soa(q query) []dns.RR {
	return []dns.RR{record("%[1]s %[2]d IN SOA ns.dns.%[1]s hostmaster.%[1]s 0 7200 1800 86400 %[2]d", q.zone(), ttl)}
}

func copies(records []dns.RR) []dns.RR {
	all := slices.Clone(records)
	for i := range all {
		all[i] = dns.Copy(all[i])
	}
	return all
}
