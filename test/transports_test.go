package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/coredns/coredns/pb"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// exchanger sends a query over a transport and returns the answer as it comes: one message,
// and where the transport ends with it, nothing behind it.
type exchanger func(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error)

// encrypted are the transports of CoreDNS besides UDP and TCP, by the scheme of their server
// blocks.
var encrypted = []struct {
	what, scheme string
	exchange     exchanger
}{
	{"TLS", "tls", overTLS},
	{"QUIC", "quic", overQUIC},
	{"HTTPS", "https", overHTTPS},
	{"HTTP/3", "https3", overHTTP3},
	{"gRPC", "grpc", overGRPC},
}

// Over every transport a question gets one answer, the same as over UDP, and the transport ends
// as it should. That holds too where the server has to ask itself.
func TestEveryTransportCarriesTheSameAnswers(t *testing.T) {
	t.Parallel()
	authority, keys := newAuthority(t, "DNS servers"), newFiles(t)
	keys.put(t, authority.today(t))
	corefile := `
cluster.local:{$DNS} example.org:{$DNS} in-addr.arpa:{$DNS} {
    bind 127.0.0.1
    registry cluster.local in-addr.arpa {
        listen {$ENDPOINT}
    }
    file {$ZONE} example.org
    errors
}`
	zone := writeFile(t, `
$ORIGIN example.org.
@ 3600 SOA ns.dns hostmaster 1 7200 1800 86400 60
www 60 A 192.0.2.99
back 60 CNAME web.default.svc.cluster.local.
`)
	ports := make(map[string]string)
	variables := []string{"KEYS=" + string(keys), "ZONE=" + zone}
	for _, e := range encrypted {
		ports[e.scheme] = freePort(t)
		variables = append(variables, e.scheme+"="+ports[e.scheme])
		corefile += fmt.Sprintf(`
%[1]s://cluster.local:{$%[1]s} %[1]s://example.org:{$%[1]s} %[1]s://in-addr.arpa:{$%[1]s} {
    bind 127.0.0.1
    tls {$KEYS}/cert.pem {$KEYS}/key.pem
    registry cluster.local in-addr.arpa {
        listen {$ENDPOINT}
    }
    file {$ZONE} example.org
    errors
}`, e.scheme)
	}
	s := start(t, corefile, variables...)
	for n := range 3 {
		s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprintf("web-%d", n)),
			fmt.Sprintf(`{"addresses":["192.0.2.%d"],"ports":[{"name":"http","port":80}],"leaseSeconds":0}`, n))
	}
	for alias, target := range map[string]string{"far": "www.example.org", "around": "back.example.org"} {
		s.must(t, http.StatusCreated, http.MethodPut, servicePath(alias), fmt.Sprintf(`{"type":"externalName","externalName":%q}`, target))
	}
	for _, e := range encrypted {
		t.Run(e.what, func(t *testing.T) {
			for _, q := range []struct {
				name  string
				qtype uint16
			}{
				{under("web"), dns.TypeA},
				{under("web"), dns.TypeSRV},
				{under("web"), dns.TypeMX},
				{under("gone"), dns.TypeA},
				{"1.2.0.192.in-addr.arpa.", dns.TypePTR},
				{"cluster.local.", dns.TypeSOA},
				{under("far"), dns.TypeA},
				{under("around"), dns.TypeA},
			} {
				asker := dial(t, "udp", s.dns)
				asker.payload = 1232
				want := asker.must(t, q.name, q.qtype)
				query := new(dns.Msg).SetQuestion(q.name, q.qtype).SetEdns0(1232, false)
				query.Id = 0 // as HTTPS and QUIC have it
				got := exchangeOver(t, e.exchange, "127.0.0.1:"+ports[e.scheme], authority.trusting(nil), query)
				if got.Id != 0 || len(got.Question) != 1 || got.Question[0] != query.Question[0] {
					t.Errorf("%s: got an answer to another question:\n%s", question(query), got)
				}
				if same := got.Rcode == want.Rcode && fmt.Sprint(texts(got.Answer)) == fmt.Sprint(texts(want.Answer)) &&
					fmt.Sprint(texts(got.Extra)) == fmt.Sprint(texts(want.Extra)) && len(got.Ns) == len(want.Ns); !same {
					t.Errorf("%s: got\n%s\nwant\n%s", question(query), got, want.Msg)
				}
			}
		})
	}
}

func exchangeOver(t *testing.T, exchange exchanger, address string, trust *tls.Config, query *dns.Msg) *dns.Msg {
	t.Helper()
	wire, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	answer, err := exchange(ctx, address, trust, wire)
	if err != nil {
		t.Fatalf("%s: %v", question(query), err)
	}
	got := new(dns.Msg)
	if err := got.Unpack(answer); err != nil {
		t.Fatalf("%s: %v", question(query), err)
	}
	return got
}

// cutPrefix takes the length off that stands before a message on a stream, where the stream has
// no more than that message.
func cutPrefix(stream []byte) ([]byte, error) {
	if len(stream) < 2 || int(binary.BigEndian.Uint16(stream)) != len(stream)-2 {
		return nil, fmt.Errorf("%d bytes came, which are not one message", len(stream))
	}
	return stream[2:], nil
}

func withPrefix(query []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
}

func overTLS(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	conn, err := (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return nil, err
	}
	if _, err := conn.Write(withPrefix(query)); err != nil {
		return nil, err
	}
	stream := make([]byte, 2+dns.MaxMsgSize)
	n, err := io.ReadAtLeast(conn, stream, 2)
	if err != nil {
		return nil, err
	}
	m, err := io.ReadFull(conn, stream[n:max(n, 2+int(binary.BigEndian.Uint16(stream)))])
	if err != nil {
		return nil, err
	}
	return cutPrefix(stream[:n+m])
}

// overQUIC asks as RFC 9250 has it: the stream of a query ends with its answer.
func overQUIC(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	trust = trust.Clone()
	trust.NextProtos = []string{"doq"}
	conn, err := quic.DialAddr(ctx, address, trust, nil)
	if err != nil {
		return nil, err
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	until, _ := ctx.Deadline()
	if err := stream.SetDeadline(until); err != nil {
		return nil, err
	}
	if _, err := stream.Write(withPrefix(query)); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(stream)
	if err != nil {
		return nil, fmt.Errorf("the stream has not ended after %d bytes: %w", len(answer), err)
	}
	return cutPrefix(answer)
}

func overHTTPS(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	return post(ctx, transport, address, query)
}

func overHTTP3(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	transport := &http3.Transport{TLSClientConfig: trust}
	defer transport.Close()
	return post(ctx, transport, address, query)
}

func post(ctx context.Context, transport http.RoundTripper, address string, query []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/dns-query", bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/dns-message")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("got %s", answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func overGRPC(ctx context.Context, address string, trust *tls.Config, query []byte) ([]byte, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, err := pb.NewDnsServiceClient(conn).Query(ctx, &pb.DnsPacket{Msg: query})
	if err != nil {
		return nil, err
	}
	return answer.GetMsg(), nil
}
