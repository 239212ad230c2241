package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/audit"
)

// Class is what a request is counted as.
type Class uint8

const (
	Ordinary  Class = iota
	Heartbeat       // counted apart: no flood of registrations may cost anybody its lease
	Open            // takes no credential and is not counted
)

// heartbeatsPerRequest is how many heartbeats a credential or an address may send for each
// other request, and leastHeartbeats how many at least: hosts with thousands of instances
// renew them from one address, each for itself.
const (
	heartbeatsPerRequest = 10
	leastHeartbeats      = 10_000
)

// Rules are what a guard decides by.
type Rules struct {
	Tokens       *TokensFile   // nil where there are no tokens
	Certificates *Certificates // nil where the endpoint does not speak TLS
	Audit        *audit.Log    // nil where nothing is to be told

	// RequestsPerSecond is the most that one credential, and all that has none from one address,
	// may send; 0 is no limit.
	RequestsPerSecond int

	// LocalOnly says that the endpoint is for everybody on this machine, and nobody else: a
	// browser on it that has been led here by another name is not.
	LocalOnly bool
}

// Guard decides who may do what at an endpoint. Its methods may be called from any goroutine.
type Guard struct {
	rules Rules

	// By credential, and by address where there is no good one; of requests and of heartbeats.
	addresses, addressBeats      Limiter[netip.Prefix]
	credentials, credentialBeats Limiter[string]
}

// NewGuard returns a guard that decides by the rules. The zero Rules let everybody do
// everything.
func NewGuard(rules Rules) *Guard {
	g := &Guard{rules: rules}
	n := rules.RequestsPerSecond
	beats := 0
	if n > 0 {
		beats = max(n*heartbeatsPerRequest, leastHeartbeats)
	}
	g.addresses.SetRate(n)
	g.credentials.SetRate(n)
	g.addressBeats.SetRate(beats)
	g.credentialBeats.SetRate(beats)
	return g
}

// Request is what a guard has to know of a request. Each front door makes it of what its protocol
// has.
type Request struct {
	From       netip.AddrPort
	Class      Class
	Credential Credential

	// What a browser says of the page that has it send the request; empty where none does.
	Host       string   // the authority that the request is for
	Origins    []string // each Origin (RFC 6454, section 7)
	FetchSites []string // each Sec-Fetch-Site (W3C Fetch Metadata, section 2.3)
}

// Credential is what a request shows of who sends it.
type Credential struct {
	Sent      bool   // a token, which may be an empty one
	Token     string // where one was sent
	Malformed string // why what was sent is no token; empty where it is one

	TLS *tls.ConnectionState // of the connection; nil without TLS
}

// Refusal is why a request is turned away at the door. Each protocol has an answer of its own for
// each kind.
type Refusal struct {
	Kind       Kind
	Detail     string        // what is wrong, and what would be right
	RetryAfter time.Duration // 0 for never
	Close      bool          // the connection is of no more use
}

// Kind is what a refusal is about.
type Kind uint8

const (
	NoCredential        Kind = iota // one is needed, and there is none, or none that counts any more
	MalformedCredential             // what was sent as a token is none
	UnknownToken
	Forbidden       // whoever asks may not
	TooManyRequests // of this caller's
	Unavailable     // there is no room for anybody's
)

// Admit returns who sent a request; or why it is turned away, whatever it asks for.
func (g *Guard) Admit(r *Request, now time.Time) (*Caller, *Refusal) {
	if refusal := g.foreign(r); refusal != nil {
		return nil, refusal
	}
	if r.Class == Open {
		return nobody, nil
	}
	addresses, credentials := &g.addresses, &g.credentials
	if r.Class == Heartbeat {
		addresses, credentials = &g.addressBeats, &g.credentialBeats
	}
	// The credential first: to know it costs a SHA-256, and whoever has a good one pays for itself,
	// however many others behind its address have none.
	caller, refusal := g.Identify(&r.Credential, now)
	if refusal == nil && caller.Name != "" {
		if ok, wait := credentials.Allow(caller.Name, now); !ok {
			return caller, tooMany("this credential", wait)
		}
		return caller, nil
	}
	// All others are counted by address, those who guess at tokens among them.
	if ok, wait := addresses.Allow(Source(r.From.Addr()), now); !ok {
		return nil, tooMany("this address", wait)
	}
	return caller, refusal
}

// nobody may do nothing.
var nobody = &Caller{}

func tooMany(whose string, wait time.Duration) *Refusal {
	return &Refusal{
		Kind:       TooManyRequests,
		Detail:     fmt.Sprintf("too many requests from %s", whose),
		RetryAfter: wait,
	}
}

// Still reports whether a request that was admitted as a caller's would be now, and with the
// same rights.
func (g *Guard) Still(caller *Caller, c *Credential, now time.Time) bool {
	current, refusal := g.Identify(c, now)
	return refusal == nil && caller.Equal(current)
}

// Identify returns whose credential it is now: the token's, else the certificate's of the
// connection; or why it is not good. It counts nothing.
func (g *Guard) Identify(c *Credential, now time.Time) (*Caller, *Refusal) {
	certs := g.rules.Certificates
	if certs != nil && certs.clients != nil {
		if err := certs.Verify(c.TLS, now); err != nil {
			return nil, &Refusal{
				Kind:   NoCredential,
				Detail: "the client certificate is not good any more: " + err.Error(),
				Close:  true, // another can only come with another connection
			}
		}
	} else if g.rules.Tokens == nil {
		return Anyone, nil
	}
	if c.Sent && g.rules.Tokens != nil {
		return g.bearer(c)
	}
	return g.certified(c.TLS)
}

// bearer returns whose token it is.
func (g *Guard) bearer(c *Credential) (*Caller, *Refusal) {
	if c.Malformed != "" {
		return nil, &Refusal{Kind: MalformedCredential, Detail: c.Malformed}
	}
	caller := g.rules.Tokens.Tokens().ByToken(c.Token)
	if caller == nil {
		return nil, unknownToken
	}
	return caller, nil
}

// certified returns whose certificate a connection has.
func (g *Guard) certified(state *tls.ConnectionState) (*Caller, *Refusal) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, noCredential
	}
	cert := state.PeerCertificates[0]
	if g.rules.Tokens == nil {
		if name, ok := NameOf(cert); ok {
			return Writer(name), nil
		}
		return nil, unknownCertificate
	}
	if caller := g.rules.Tokens.Tokens().ByCertificate(cert); caller != nil {
		return caller, nil
	}
	return nil, unknownCertificate
}

var (
	noCredential       = &Refusal{Kind: NoCredential, Detail: "a credential is needed"}
	unknownToken       = &Refusal{Kind: UnknownToken, Detail: "the token is not known here"}
	unknownCertificate = &Refusal{Kind: Forbidden, Detail: "no grant is for a name in the client certificate"}
)

// foreign returns why a request is turned away that a web page of another origin has a browser
// send. A page can have the browser send requests to this machine, or to whatever its own name
// resolves to (DNS rebinding), and the browser adds the certificates it has.
func (g *Guard) foreign(r *Request) *Refusal {
	if !sameSite(r.FetchSites) || !sameOrigin(r) {
		return &Refusal{Kind: Forbidden, Detail: "a page of another origin may not use this endpoint"}
	}
	if g.rules.LocalOnly && !isLocal(r.Host) {
		return &Refusal{Kind: Forbidden, Detail: fmt.Sprintf("the Host must be localhost or a loopback address, not %q: this endpoint is for this machine alone", r.Host)}
	}
	return nil
}

// sameSite reports whether a request's Sec-Fetch-Site, which only browsers send, says that a
// page of this endpoint or the user sent it. It is asked whatever the method: a browser leaves the
// Origin out of a GET without CORS.
func sameSite(sites []string) bool {
	for _, site := range sites {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	return true
}

// sameOrigin reports whether each Origin of a request has the authority that the request is for.
func sameOrigin(r *Request) bool {
	for _, origin := range r.Origins {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	return true
}

// isLocal reports whether an authority is this machine as it calls itself. An HTTP/1.0
// request may have none, and no browser sends such a thing.
func isLocal(authority string) bool {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]")
	}
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Encrypts reports whether the endpoint speaks TLS.
func (g *Guard) Encrypts() bool { return g.rules.Certificates != nil }

// TLS returns how a connection that begins now is secured. The endpoint must speak TLS.
func (g *Guard) TLS() *tls.Config { return g.rules.Certificates.Config() }

// Poll takes up what has changed in the files, and returns what is worth logging. It is to be
// called every PollEvery, from one goroutine.
func (g *Guard) Poll(now time.Time) (events []Event) {
	if g.rules.Tokens != nil {
		events = g.rules.Tokens.Poll(now)
	}
	if g.rules.Certificates != nil {
		events = append(events, g.rules.Certificates.Poll(now)...)
	}
	if g.rules.Audit != nil {
		g.rules.Audit.Flush(now)
	}
	return events
}

// PollEvery is how often files are polled: what changes is in force two polls later.
const PollEvery = 500 * time.Millisecond

// Failing returns why a file is not in force as it is; nil where all are. It may be called
// from any goroutine.
func (g *Guard) Failing() error {
	var errs []error
	if g.rules.Tokens != nil {
		errs = append(errs, g.rules.Tokens.Failing())
	}
	if g.rules.Certificates != nil {
		errs = append(errs, g.rules.Certificates.Failing())
	}
	return errors.Join(errs...)
}

// NotAfter returns when the endpoint's certificate ends. The endpoint must speak TLS.
func (g *Guard) NotAfter() time.Time { return g.rules.Certificates.NotAfter() }

// Close closes the audit. It is to be called once, when another guard has taken over or nobody
// calls any more.
func (g *Guard) Close() error {
	if g.rules.Audit == nil {
		return nil
	}
	return g.rules.Audit.Close(time.Now())
}

// Note has a request told in the audit.
func (g *Guard) Note(now time.Time, e *audit.Entry) {
	if g.rules.Audit != nil {
		g.rules.Audit.Record(now, e)
	}
}
