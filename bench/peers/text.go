package main

import (
	"bufio"
	"fmt"
	"io"
)

// writeHosts writes the world as a hosts file. A PTR leads to the service: the names of
// an address are all equal there.
func (w world) writeHosts(out io.Writer) error {
	b := bufio.NewWriter(out)
	for _, s := range w.all() {
		for _, i := range s.instances() {
			fmt.Fprintf(b, "%s %s\n", i.address(), s.fqdn())
		}
	}
	return b.Flush()
}

// apex is how a zone begins.
const apex = `$ORIGIN %[1]s
$TTL %[2]d
@ IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 %[2]d
@ IN NS  ns.dns.cluster.local.
`

// writeZone writes the world as a zone file.
func (w world) writeZone(out io.Writer) error {
	b := bufio.NewWriter(out)
	fmt.Fprintf(b, apex, zone, ttl)
	fmt.Fprintf(b, "ns.dns IN A 127.0.0.1\n")
	for _, s := range w.all() {
		rrtype := "A"
		if s.six() {
			rrtype = "AAAA"
		}
		for _, i := range s.instances() {
			fmt.Fprintf(b, "%s IN %s %s\n", s.fqdn(), rrtype, i.address())
			fmt.Fprintf(b, "%s IN %s %s\n", i.fqdn(), rrtype, i.address())
			fmt.Fprintf(b, "%s IN SRV 0 %d %d %s\n", s.srvName(), 100/s.each, port, i.fqdn())
		}
	}
	return b.Flush()
}

// writeReverseZone writes the names of the world's IPv4 addresses as a zone file.
func (w world) writeReverseZone(out io.Writer) error {
	b := bufio.NewWriter(out)
	fmt.Fprintf(b, apex, reverseZone, ttl)
	for _, s := range w.all() {
		if s.six() {
			continue
		}
		for _, i := range s.instances() {
			fmt.Fprintf(b, "%s IN PTR %s\n", i.reverse(), i.fqdn())
		}
	}
	return b.Flush()
}
