package access

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var here = netip.MustParseAddrPort("192.0.2.7:40000")

// request returns one as a door makes it. headers are names and values by turns.
func request(headers ...string) *Request {
	r := &Request{From: here, Host: "127.0.0.1:8053"}
	for i := 0; i < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; name {
		case "Authorization":
			r.Credential.Sent = true
			if token, ok := strings.CutPrefix(value, "Bearer "); ok {
				r.Credential.Token = token
			} else {
				r.Credential.Malformed = "it must be Bearer and a token"
			}
		case "Origin":
			r.Origins = append(r.Origins, value)
		case "Sec-Fetch-Site":
			r.FetchSites = append(r.FetchSites, value)
		}
	}
	return r
}

func bearing(token string) *Request { return request("Authorization", "Bearer "+token) }

// admit admits a request from an address.
func admit(g *Guard, r *Request, from netip.AddrPort, class Class, now time.Time) (*Caller, *Refusal) {
	r.From, r.Class = from, class
	return g.Admit(r, now)
}

// tokensFile returns one that holds the content.
func tokensFile(t *testing.T, content string) *TokensFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	mustWrite(t, path, content)
	file, err := OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// kinds are the kinds of refusals in short, as HTTP has them.
var kinds = map[Kind]string{NoCredential: "401", MalformedCredential: "401 malformed", UnknownToken: "401 unknown", Forbidden: "403", TooManyRequests: "429", Unavailable: "503"}

// verdict is what a guard says in short: "web", "admin", "401", "403 close".
func verdict(c *Caller, r *Refusal) string {
	switch {
	case r != nil && r.Close:
		return kinds[r.Kind] + " close"
	case r != nil:
		return kinds[r.Kind]
	case c.Admin:
		return strings.TrimSpace(c.Name + " admin")
	case c.Name == "":
		return "nobody"
	}
	return c.Name
}

func TestWhoHasWhichToken(t *testing.T) {
	g := NewGuard(Rules{Tokens: tokensFile(t, "web "+sha("s3cret")+" read:prod/web\nops "+sha("0ps")+" admin\n")})
	for _, tc := range []struct {
		sentence string
		class    Class
		headers  []string
		want     string
	}{
		{"a token", Ordinary, []string{"Authorization", "Bearer s3cret"}, "web"},
		{"that of an admin", Heartbeat, []string{"Authorization", "Bearer 0ps"}, "ops admin"},
		{"none", Ordinary, nil, "401"},
		{"a wrong one", Ordinary, []string{"Authorization", "Bearer s3cret2"}, "401 unknown"},
		{"in capitals", Ordinary, []string{"Authorization", "Bearer S3CRET"}, "401 unknown"},
		{"an empty one", Ordinary, []string{"Authorization", "Bearer "}, "401 unknown"},
		{"what is none", Ordinary, []string{"Authorization", "Basic d2ViOnMzY3JldA=="}, "401 malformed"},
		{"none, for what is open", Open, nil, "nobody"},
		{"a wrong one, for what is open", Open, []string{"Authorization", "Bearer x"}, "nobody"},
		{"an admin has no power over what is open", Open, []string{"Authorization", "Bearer 0ps"}, "nobody"},
	} {
		caller, refusal := admit(g, request(tc.headers...), here, tc.class, noon)
		if got := verdict(caller, refusal); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.sentence, got, tc.want)
		}
		if refusal == nil {
			continue
		}
		if strings.Contains(refusal.Detail, "s3cret") || strings.Contains(refusal.Detail, "0ps") {
			t.Errorf("%s: a secret is in %q", tc.sentence, refusal.Detail)
		}
	}
}

func TestTheZeroGuardLetsEverybodyDoEverything(t *testing.T) {
	g := NewGuard(Rules{})
	for range 100_000 {
		caller, refusal := admit(g, request("Authorization", "Bearer x"), here, Ordinary, noon)
		if got := verdict(caller, refusal); got != "admin" {
			t.Fatalf("got %s", got)
		}
	}
	if g.Encrypts() || g.Failing() != nil || g.Poll(noon) != nil || g.Close() != nil {
		t.Error("it has files")
	}
}

// spend sends requests until one is refused, at most so many, and returns how many were
// not, and when to try again.
func spend(g *Guard, r *Request, from netip.AddrPort, class Class, most int) (admitted int, refusal *Refusal) {
	for ; admitted < most; admitted++ {
		if _, refusal = admit(g, r, from, class, noon); refusal != nil && refusal.Kind == TooManyRequests {
			return admitted, refusal
		}
	}
	return admitted, nil
}

// A good credential pays for itself, whatever others behind its address send.
func TestOnlyWhoHasNoGoodCredentialIsCountedByAddress(t *testing.T) {
	content := "web " + sha("s3cret") + " read:prod/web\nweb " + sha("other") + " read:prod/web\nops " + sha("0ps") + " admin\n"
	const most = 30_000
	elsewhere := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 40000)
	}
	type step struct {
		sentence string
		r        *Request
		from     netip.AddrPort
		class    Class
		want     int
	}
	for _, scene := range []struct {
		sentence string
		steps    []step
	}{
		{"an address", []step{
			{"two seconds' worth without a credential", request(), here, Ordinary, 20},
			{"and of guesses none on top of that", bearing("guess"), here, Ordinary, 0},
			{"whatever the port", bearing("guess"), netip.AddrPortFrom(here.Addr(), 1), Ordinary, 0},
			{"a credential behind it pays for itself", bearing("s3cret"), here, Ordinary, 20},
			{"and so does another", bearing("0ps"), here, Ordinary, 20},
			{"another address has its own", bearing("guess"), elsewhere(1), Ordinary, 20},
			{"heartbeats are counted apart", bearing("guess"), here, Heartbeat, 20_000},
			{"what is open is not counted", request(), here, Open, most},
		}},
		{"guesses", []step{
			{"are two seconds' worth", bearing("guess"), here, Ordinary, 20},
			{"and so is what is no token, with them", request("Authorization", "Basic x"), here, Ordinary, 0},
		}},
		{"a credential", []step{
			{"two seconds' worth", bearing("s3cret"), elsewhere(2), Ordinary, 20},
			{"wherever it comes from", bearing("s3cret"), elsewhere(3), Ordinary, 0},
			{"with another token of its own too", bearing("other"), elsewhere(4), Ordinary, 0},
			{"its heartbeats are counted apart", bearing("s3cret"), elsewhere(3), Heartbeat, 20_000},
			{"and wherever they come from", bearing("s3cret"), elsewhere(5), Heartbeat, 0},
			{"another has its own", bearing("0ps"), elsewhere(6), Ordinary, 20},
		}},
		{"heartbeats that are no one's", []step{
			{"are counted by address", bearing("guess"), here, Heartbeat, 20_000},
			{"and cost others at that address nothing", bearing("s3cret"), here, Heartbeat, 20_000},
		}},
	} {
		g := NewGuard(Rules{Tokens: tokensFile(t, content), RequestsPerSecond: 10})
		for _, step := range scene.steps {
			got, refusal := spend(g, step.r, step.from, step.class, most)
			if got != step.want {
				t.Errorf("%s: %s: got %d, want %d", scene.sentence, step.sentence, got, step.want)
			}
			if refusal != nil && (refusal.RetryAfter <= 0 || refusal.RetryAfter > 200*time.Millisecond || refusal.Close) {
				t.Errorf("%s: %s: got the refusal %+v", scene.sentence, step.sentence, refusal)
			}
		}
	}
}

func TestHeartbeatsGrowWithTheLimit(t *testing.T) {
	for limit, want := range map[int]int{1: 20_000, 1000: 20_000, 5000: 100_000} {
		g := NewGuard(Rules{RequestsPerSecond: limit})
		if got, _ := spend(g, request(), here, Heartbeat, 200_000); got != want {
			t.Errorf("with %d requests a second: got %d heartbeats in two, want %d", limit, got, want)
		}
	}
}

// Whoever is refused for its rate can come when it was told to.
func TestWhoComesWhenToldIsAdmitted(t *testing.T) {
	g := NewGuard(Rules{Tokens: tokensFile(t, "web "+sha("s3cret")+" read:prod/web\n"), RequestsPerSecond: 1})
	_, refusal := spend(g, bearing("s3cret"), here, Ordinary, 10)
	caller, again := admit(g, bearing("s3cret"), here, Ordinary, noon.Add(refusal.RetryAfter))
	if got := verdict(caller, again); got != "web" {
		t.Errorf("after %s: got %s", refusal.RetryAfter, got)
	}
	for n := range 2 { // wherever it comes from, the refusal says whose rate it is
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 1)
		caller, again = admit(g, bearing("s3cret"), from, Ordinary, noon.Add(refusal.RetryAfter))
		if got := verdict(caller, again); got != "429" || caller == nil || caller.Name != "web" {
			t.Errorf("from elsewhere: got %s for %+v", got, caller)
		}
	}
}

// A guard of an endpoint that asks for client certificates of one authority.
func withCertificates(t *testing.T, tokens *TokensFile) (*Guard, *authority) {
	t.Helper()
	clients := newAuthority(t, "clients")
	cert, key := newAuthority(t, "servers").issue(t, "registry.example.org", -time.Minute, time.Hour)
	e := newEndpoint(t, cert, key, clients.pem())
	return NewGuard(Rules{Certificates: e.Certificates, Tokens: tokens}), clients
}

// over returns the request as it comes over a connection with a client certificate.
func over(r *Request, by *authority, cert tls.Certificate) *Request {
	r.Credential.TLS = &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{cert.Leaf},
		VerifiedChains:   [][]*x509.Certificate{{cert.Leaf, by.Cert}},
	}
	return r
}

func TestACertificateAloneMayWriteEverything(t *testing.T) {
	g, ca := withCertificates(t, nil)
	cert := ca.client(t, "web.example.org")
	caller, refusal := admit(g, over(request(), ca, cert), here, Ordinary, time.Now())
	if refusal != nil || caller.Name != "web.example.org" || caller.Admin || !caller.Equal(Writer("web.example.org")) {
		t.Errorf("got %+v, %+v", caller, refusal)
	}
	// There are no tokens: what looks like one is nothing to this endpoint.
	caller, refusal = admit(g, over(request("Authorization", "Bearer x"), ca, cert), here, Ordinary, time.Now())
	if got := verdict(caller, refusal); got != "web.example.org" {
		t.Errorf("with a token too: got %s", got)
	}
	if caller, refusal = admit(g, request(), here, Ordinary, time.Now()); verdict(caller, refusal) != "401 close" {
		t.Errorf("without a certificate: got %+v, %+v", caller, refusal)
	}
	nameless := ca.client(t, "spiffe://looks/like/a/uri") // a DNS name that takes on the look of one
	if caller, refusal = admit(g, over(request(), ca, nameless), here, Ordinary, time.Now()); verdict(caller, refusal) != "403" {
		t.Errorf("without a name: got %+v, %+v", caller, refusal)
	}
}

func TestATokenGoesBeforeACertificate(t *testing.T) {
	g, ca := withCertificates(t, tokensFile(t, "web.example.org cert read:prod/web\nops "+sha("0ps")+" admin\n"))
	known, unknown := ca.client(t, "web.example.org"), ca.client(t, "api.example.org")
	for _, tc := range []struct {
		sentence string
		headers  []string
		cert     tls.Certificate
		want     string
	}{
		{"a certificate with a grant", nil, known, "web.example.org"},
		{"one without", nil, unknown, "403"},
		{"a token goes before it", []string{"Authorization", "Bearer 0ps"}, known, "ops admin"},
		{"a token goes where a certificate has no grant", []string{"Authorization", "Bearer 0ps"}, unknown, "ops admin"},
		{"a wrong token is not made good by a certificate", []string{"Authorization", "Bearer x"}, known, "401 unknown"},
		{"nor is what is no token", []string{"Authorization", "Basic x"}, known, "401 malformed"},
	} {
		caller, refusal := admit(g, over(request(tc.headers...), ca, tc.cert), here, Ordinary, time.Now())
		if got := verdict(caller, refusal); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.sentence, got, tc.want)
		}
	}
	if caller, refusal := admit(g, bearing("0ps"), here, Ordinary, time.Now()); verdict(caller, refusal) != "401 close" {
		t.Errorf("a token without the certificate that CLIENT_CA asks for: got %+v, %+v", caller, refusal)
	}
}

func TestACertificateEndsOnAnOpenConnection(t *testing.T) {
	g, ca := withCertificates(t, tokensFile(t, "web.example.org cert read:prod/web\nops "+sha("0ps")+" admin\n"))
	cert := ca.client(t, "web.example.org") // for a minute
	r := over(request(), ca, cert)
	caller, refusal := admit(g, r, here, Ordinary, time.Now())
	if verdict(caller, refusal) != "web.example.org" || !g.Still(caller, &r.Credential, time.Now()) {
		t.Fatalf("got %+v, %+v", caller, refusal)
	}
	later := time.Now().Add(2 * time.Minute)
	if _, refusal := admit(g, r, here, Ordinary, later); verdict(nil, refusal) != "401 close" {
		t.Errorf("got %+v", refusal)
	}
	if g.Still(caller, &r.Credential, later) {
		t.Error("a stream goes on")
	}
	// CLIENT_CA is required, whatever else is sent.
	if _, refusal := admit(g, over(bearing("0ps"), ca, cert), here, Ordinary, later); verdict(nil, refusal) != "401 close" {
		t.Errorf("with a token: got %+v", refusal)
	}
	if caller, refusal := admit(g, r, here, Open, later); verdict(caller, refusal) != "nobody" {
		t.Errorf("for what is open: got %+v, %+v", caller, refusal)
	}
}

func TestStillIsWhetherAStreamMayGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	begun := "web " + sha("s3cret") + " read:prod/web read:dev/*\n"
	for _, tc := range []struct {
		sentence string
		content  string
		want     bool
	}{
		{"the same", begun, true},
		{"other lines", begun + "ops " + sha("0ps") + " admin\n", true},
		{"the grants in another order", "web " + sha("s3cret") + " read:dev/* read:prod/web\n", true},
		{"another token of the same name", begun + "web " + sha("new") + " admin\n", true},
		{"revoked", "web " + sha("new") + " read:prod/web read:dev/*\n", false},
		{"fewer grants", "web " + sha("s3cret") + " read:prod/web\n", false},
		{"more", begun[:len(begun)-1] + " read:*/web\n", false},
		{"the token is another's", "api " + sha("s3cret") + " read:prod/web read:dev/*\n", false},
		{"no good any more: the lines before stay", "web s3cret\n", true},
	} {
		mustWrite(t, path, begun)
		file, err := OpenTokens(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		g := NewGuard(Rules{Tokens: file, RequestsPerSecond: 1})
		r := bearing("s3cret")
		caller, refusal := admit(g, r, here, Ordinary, noon)
		if refusal != nil {
			t.Fatal(refusal)
		}
		mustWrite(t, path, tc.content)
		for range 2 {
			g.Poll(noon)
		}
		for range 10 { // it is not counted
			if got := g.Still(caller, &r.Credential, noon); got != tc.want {
				t.Errorf("%s: got %v", tc.sentence, got)
				break
			}
		}
	}
	if g := NewGuard(Rules{}); !g.Still(Anyone, &request().Credential, noon) {
		t.Error("where no credential is asked for: it ends")
	}
}

func TestAnEndpointOfThisMachineIsCalledByItsNames(t *testing.T) {
	for _, tc := range []struct {
		host string
		want bool
	}{
		{"localhost", true},
		{"LOCALHOST:1", true},
		{"localhost.", true},
		{"localhost.:8053", true},
		{"127.0.0.1:8053", true},
		{"127.0.0.9", true},
		{"[::1]:8053", true},
		{"[::1]", true},
		{"::1", true},
		{"[::ffff:127.0.0.1]:8053", true},
		{"", true}, // HTTP/1.0 has none, and no browser speaks that

		{"evil.example", false},
		{"evil.example:8053", false},
		{"127.0.0.1.evil.example", false},
		{"localhost.evil.example", false},
		{"evil.localhost", false}, // a resolver may have it anywhere
		{"localhost..", false},
		{"localhost@evil.example", false},
		{"evil.example:1:localhost", false},
		{"192.0.2.1:8053", false},
		{"0.0.0.0:8053", false},
		{"[::]:8053", false},
		{"127.1", false},
		{"0x7f000001", false},
		{"2130706433", false},
		{"127.0.0.1 ", false},
	} {
		for _, class := range []Class{Ordinary, Heartbeat, Open} {
			{
				r := request()
				r.Host = tc.host
				_, refusal := admit(NewGuard(Rules{LocalOnly: true}), r, here, class, noon)
				if got := refusal == nil; got != tc.want || refusal != nil && refusal.Kind != Forbidden {
					t.Errorf("Host %q: got %+v", tc.host, refusal)
				}
				if _, refusal := admit(NewGuard(Rules{}), r, here, class, noon); refusal != nil {
					t.Errorf("Host %q, on an endpoint for others too: got %+v", tc.host, refusal)
				}
			}
		}
	}
}

func TestAPageOfAnotherOriginIsRefused(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		headers  []string
		want     bool
	}{
		{"no browser", nil, true},
		{"a page of its own", []string{"Origin", "http://127.0.0.1:8053", "Sec-Fetch-Site", "same-origin"}, true},
		{"an older browser's, which tells the Origin alone", []string{"Origin", "http://127.0.0.1:8053"}, true},
		{"what the user has typed", []string{"Sec-Fetch-Site", "none"}, true},
		{"a page from elsewhere", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, false},
		{"by its Origin", []string{"Origin", "https://evil.example"}, false},
		{"by a name like ours", []string{"Origin", "http://127.0.0.1:8053.evil.example"}, false},
		{"with our name as its user", []string{"Origin", "http://127.0.0.1:8053@evil.example"}, false},
		{"by another port", []string{"Origin", "http://127.0.0.1:8080"}, false},
		{"by the port that its scheme has", []string{"Origin", "http://127.0.0.1"}, false},
		// The Host does not say which scheme it was asked by, and a page over HTTP on the very
		// port of TLS there cannot be.
		{"by the other scheme", []string{"Origin", "https://127.0.0.1:8053"}, true},
		{"a page in a sandbox", []string{"Origin", "null"}, false},
		{"what is no origin", []string{"Origin", "http://[::1"}, false},
		{"two origins, one of them ours", []string{"Origin", "http://127.0.0.1:8053", "Origin", "https://evil.example"}, false},
		{"a page of another machine of our domain", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"a link or a picture from elsewhere", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"from elsewhere, whatever the Origin says", []string{"Origin", "http://127.0.0.1:8053", "Sec-Fetch-Site", "cross-site"}, false},
		{"typed by the user, with the Origin of another", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "none"}, false},
		{"a value that no standard has", []string{"Sec-Fetch-Site", "any"}, false},
		{"an empty value", []string{"Sec-Fetch-Site", ""}, false},
		{"two values, one of them good", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, false},
	} {
		for _, class := range []Class{Ordinary, Heartbeat, Open} {
			{
				for _, rules := range []Rules{{}, {LocalOnly: true}} {
					_, refusal := admit(NewGuard(rules), request(tc.headers...), here, class, noon)
					if got := refusal == nil; got != tc.want || refusal != nil && refusal.Kind != Forbidden {
						t.Errorf("%s: got %+v, want %v", tc.sentence, refusal, tc.want)
					}
				}
			}
		}
	}
}

// A token does not make it good: a page may have got hold of one that is not for it.
func TestAPageFromElsewhereIsTurnedAwayWithATokenToo(t *testing.T) {
	g := NewGuard(Rules{Tokens: tokensFile(t, "ops "+sha("0ps")+" admin\n")})
	r := request("Authorization", "Bearer 0ps", "Origin", "https://evil.example")
	if _, refusal := admit(g, r, here, Ordinary, noon); verdict(nil, refusal) != "403" {
		t.Errorf("got %+v", refusal)
	}
}
