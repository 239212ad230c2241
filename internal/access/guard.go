package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// Refusal is why a request is turned away at the door.
type Refusal struct {
	Code       int           // the HTTP status
	Detail     string        // what is wrong, and what would be right
	Challenge  string        // WWW-Authenticate (RFC 9110, section 11.6.1); empty for none
	RetryAfter time.Duration // 0 for never
	Close      bool          // the connection is of no more use
}

// Admit returns who sent a request; or why it is turned away, whatever it asks for.
func (g *Guard) Admit(r *http.Request, from netip.AddrPort, class Class, now time.Time) (*Caller, *Refusal) {
	if refusal := g.foreign(r); refusal != nil {
		return nil, refusal
	}
	if class == Open {
		return nobody, nil
	}
	addresses, credentials := &g.addresses, &g.credentials
	if class == Heartbeat {
		addresses, credentials = &g.addressBeats, &g.credentialBeats
	}
	// The credential first: to know it costs a SHA-256, and whoever has a good one pays for itself,
	// however many others behind its address have none.
	caller, refusal := g.Identify(r, now)
	if refusal == nil && caller.Name != "" {
		if ok, wait := credentials.Allow(caller.Name, now); !ok {
			return caller, tooMany("this credential", wait)
		}
		return caller, nil
	}
	// All others are counted by address, those who guess at tokens among them.
	if ok, wait := addresses.Allow(Source(from.Addr()), now); !ok {
		return nil, tooMany("this address", wait)
	}
	return caller, refusal
}

// nobody may do nothing.
var nobody = &Caller{}

func tooMany(whose string, wait time.Duration) *Refusal {
	return &Refusal{
		Code:       http.StatusTooManyRequests,
		Detail:     fmt.Sprintf("too many requests from %s: come again when Retry-After says", whose),
		RetryAfter: wait,
	}
}

// Still reports whether a request that was admitted as a caller's would be now, and with the
// same rights.
func (g *Guard) Still(c *Caller, r *http.Request, now time.Time) bool {
	is, refusal := g.Identify(r, now)
	return refusal == nil && c.Equal(is)
}

// Identify returns whose credential a request has now: its bearer token, else the certificate
// of its connection; or why it has none that is good. It counts nothing.
func (g *Guard) Identify(r *http.Request, now time.Time) (*Caller, *Refusal) {
	certs := g.rules.Certificates
	if certs != nil && certs.clients != nil {
		if err := certs.Verify(r.TLS, now); err != nil {
			return nil, &Refusal{
				Code:      http.StatusUnauthorized,
				Detail:    "the client certificate is not good any more: " + err.Error(),
				Challenge: challenge(""),
				Close:     true, // another can only come with another connection
			}
		}
	} else if g.rules.Tokens == nil {
		return Anyone, nil
	}
	if values := r.Header["Authorization"]; len(values) > 0 && g.rules.Tokens != nil {
		return g.bearer(values)
	}
	return g.certified(r.TLS)
}

// bearer returns whose token it is that a request has in its header (RFC 6750, section 2.1).
func (g *Guard) bearer(values []string) (*Caller, *Refusal) {
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, &Refusal{Code: http.StatusUnauthorized, Detail: "there must be one Authorization, and it must be Bearer and a token", Challenge: challenge("invalid_request")}
	}
	caller := g.rules.Tokens.Tokens().ByToken(strings.Trim(token, " "))
	if caller == nil {
		return nil, &Refusal{Code: http.StatusUnauthorized, Detail: "the token is not known here", Challenge: challenge("invalid_token")}
	}
	return caller, nil
}

// certified returns whose certificate a connection has.
func (g *Guard) certified(state *tls.ConnectionState) (*Caller, *Refusal) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, &Refusal{Code: http.StatusUnauthorized, Detail: "a credential is needed: Authorization: Bearer and a token", Challenge: challenge("")}
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

var unknownCertificate = &Refusal{Code: http.StatusForbidden, Detail: "no grant is for a name in the client certificate"}

// challenge says how to authenticate, and what was wrong with how it was tried (RFC 6750,
// section 3).
func challenge(wrong string) string {
	c := `Bearer realm="registry"`
	if wrong != "" {
		c += `, error="` + wrong + `"`
	}
	return c
}

// foreign returns why a request is turned away that a web page of another origin has a browser
// send. A page can have the browser send requests to this machine, or to whatever its own name
// resolves to (DNS rebinding), and the browser adds the certificates it has.
func (g *Guard) foreign(r *http.Request) *Refusal {
	if !sameSite(r) || !sameOrigin(r) {
		return &Refusal{Code: http.StatusForbidden, Detail: "a page of another origin may not use this endpoint"}
	}
	if g.rules.LocalOnly && !isLocal(r.Host) {
		return &Refusal{Code: http.StatusForbidden, Detail: fmt.Sprintf("the Host must be localhost or a loopback address, not %q: this endpoint is for this machine alone", r.Host)}
	}
	return nil
}

// sameSite reports whether a request's Sec-Fetch-Site, which only browsers send, says that a
// page of this endpoint or the user sent it (W3C Fetch Metadata, section 2.3). It is asked
// whatever the method: a browser leaves the Origin out of a GET without CORS.
func sameSite(r *http.Request) bool {
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	return true
}

// sameOrigin reports whether each Origin of a request has the authority that the request is for.
func sameOrigin(r *http.Request) bool {
	for _, origin := range r.Header["Origin"] {
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

// Look takes up what has changed in the files, and returns what is worth telling. It is to be
// called every LookEvery, from one goroutine.
func (g *Guard) Look(now time.Time) (events []Event) {
	if g.rules.Tokens != nil {
		events = g.rules.Tokens.Look(now)
	}
	if g.rules.Certificates != nil {
		events = append(events, g.rules.Certificates.Look(now)...)
	}
	if g.rules.Audit != nil {
		g.rules.Audit.Flush(now)
	}
	return events
}

// LookEvery is how often files are looked at: what changes is in force two looks later.
const LookEvery = 500 * time.Millisecond

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
