package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const tsigSecret = "c2VjcmV0IG9mIGEgdGVzdA=="

// above are plugins that add to an answer of ours when it is made already, and how to ask so that
// they do.
var above = []struct {
	what, lines string
	ask         func(*dns.Msg)
	shortens    int // names by so many bytes each, after records were collected for a full message
}{
	{"nothing, and options that nobody answers", "errors", func(q *dns.Msg) {
		if opt := q.IsEdns0(); opt != nil {
			opt.Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: strings.Repeat("ab", 40)}}
		}
	}, 0},
	{"nsid", "nsid a-name-that-takes-some-room", askNSID, 0},
	{"tsig", "tsig {\n secret key. " + tsigSecret + "\n require all\n }", askTSIG, 0},
	{"nsid and tsig", "nsid a-name-that-takes-some-room\n tsig {\n secret key. " + tsigSecret + "\n require all\n }", func(q *dns.Msg) {
		askNSID(q)
		askTSIG(q)
	}, 0},
	{"dnssec", "dnssec {\n key file {$KEY}\n }", func(q *dns.Msg) {
		if opt := q.IsEdns0(); opt != nil {
			opt.SetDo()
		}
	}, 0},
	{"rewrite", "rewrite stop name suffix .example.org. .default.svc.cluster.local. answer auto", func(q *dns.Msg) {
		q.Question[0].Name = strings.TrimSuffix(q.Question[0].Name, ".default.svc.cluster.local.") + ".example.org."
	}, len("default.svc.cluster.local") - len("example.org")},
}

func askNSID(q *dns.Msg) {
	if opt := q.IsEdns0(); opt != nil {
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	}
}

func askTSIG(q *dns.Msg) { q.SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix()) }

// The plugins that stand above may add to an answer. It fits all the same, and no address is
// missing for which there is room.
func TestAnswersFitWhoeverStandsAbove(t *testing.T) {
	t.Parallel()
	key := writeDNSKEY(t, "cluster.local.")
	for _, tt := range above {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := start(t, fmt.Sprintf(`
cluster.local:{$DNS} example.org:{$DNS} {
    bind 127.0.0.1
    %s
    registry cluster.local {
        listen {$ENDPOINT}
    }
}`, tt.lines), "KEY="+key)
			for _, count := range []int{1, 5, 7, 8, 9, 10, 14, 15, 24, 26, 28, 29, 65, 70, 75, 1000, 4090, 6000} {
				service := fmt.Sprintf("of-%d", count)
				for from := 0; from < count; from += 1000 {
					var operations []object
					for n := from; n < min(from+1000, count); n++ {
						operations = append(operations, operation("register", service, fmt.Sprintf("web-%04d", n), object{"instance": object{
							"addresses":    []string{fmt.Sprintf("198.18.%d.%d", n/256, n%256)},
							"ports":        []object{{"name": "http", "port": 8080}},
							"leaseSeconds": 0,
						}}))
					}
					s.batch(t, operations)
				}
				for _, transport := range transports {
					for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
						q := new(dns.Msg).SetQuestion(under(service), qtype)
						if transport.payload > 0 {
							q.SetEdns0(transport.payload, false)
						}
						tt.ask(q)
						got, size := exchangeSigned(t, transport.network, s.dns, q)
						for _, fault := range misfitsAbove(got, size, transport.room, count, tt.shortens) {
							t.Errorf("%d records of %s over %s: %s", count, question(q), transport.what, fault)
						}
					}
				}
				s.must(t, http.StatusOK, http.MethodDelete, servicePath(service), "")
			}
		})
	}
}

// misfitsAbove says what is wrong with an answer that should have that many records, and for each
// SRV record an address. Each name in it is shorter by shortened bytes than when it was collected.
func misfitsAbove(got *dns.Msg, size, room, count, shortened int) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	answers, extra, signed, largest := 0, 0, false, 0
	for _, rr := range got.Answer {
		if rr.Header().Rrtype == got.Question[0].Qtype {
			answers++
			largest = max(largest, sizeOf(rr))
		}
		signed = signed || rr.Header().Rrtype == dns.TypeRRSIG
	}
	for _, rr := range got.Extra {
		if rr.Header().Rrtype == dns.TypeA {
			extra++
		}
		signed = signed || rr.Header().Rrtype == dns.TypeRRSIG
	}
	if size > room {
		fault("%d bytes, want at most %d", size, room)
	}
	if signed { // the signatures are as many answers, or part of the glue
		if got.Truncated && answers == count && len(got.Answer) > count {
			fault("TC is set, but nothing is missing")
		}
	} else if got.Truncated != (answers < count) && (got.IsEdns0() == nil || !got.IsEdns0().Do()) {
		fault("TC is %t with %d records of %d", got.Truncated, answers, count)
	}
	if got.Truncated && extra > 0 {
		fault("%d additional records are kept while answers are missing", extra)
	}
	if got.Truncated && !signed && size+largest+answers*shortened <= room && (got.IsEdns0() == nil || !got.IsEdns0().Do()) {
		fault("%d records in %d bytes: one more fits into %d", answers, size, room)
	}
	if got.Question[0].Qtype != dns.TypeSRV {
		return faults
	}
	if extra != 0 && extra != count {
		fault("%d additional records, want %d or none", extra, count)
	}
	const farthest = 1 << 14 // a pointer to the name of a target that lies behind is not possible
	if extra == 0 && !signed && !got.Truncated && size+count*16 <= min(room, farthest) {
		fault("no additional records: %d bytes, which %d more would not make longer than %d", size, count*16, room)
	}
	return faults
}

// exchangeSigned sends a query, signed if it has a TSIG, and returns the answer and its size. It
// must then be signed too.
func exchangeSigned(t *testing.T, network, address string, q *dns.Msg) (got *dns.Msg, size int) {
	t.Helper()
	conn, err := dns.DialTimeout(network, address, answerWithin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.UDPSize = dns.MaxMsgSize
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		t.Fatal(err)
	}
	var wire []byte
	mac, signed := "", q.IsTsig() != nil
	if signed {
		wire, mac, err = dns.TsigGenerate(q, tsigSecret, "", false)
	} else {
		wire, err = q.Pack()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(wire); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatalf("%s over %s: %v", question(q), network, err)
	}
	got = new(dns.Msg)
	if err := got.Unpack(answer); err != nil {
		t.Fatalf("%s over %s: %v", question(q), network, err)
	}
	if signed {
		if err := dns.TsigVerify(answer, tsigSecret, mac, false); err != nil {
			t.Errorf("%s over %s: %v", question(q), network, err)
		}
	}
	return got, len(answer)
}

// writeDNSKEY writes a key for a zone and returns the name of its files, without their endings.
func writeDNSKEY(t *testing.T, zone string) (base string) {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	base = filepath.Join(t.TempDir(), "K")
	for name, text := range map[string]string{base + ".key": key.String() + "\n", base + ".private": key.PrivateKeyString(private)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base
}
