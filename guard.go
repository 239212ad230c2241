package registry

import (
	"bytes"
	"fmt"
	golog "log"
	"net"
	"net/netip"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"

	clog "github.com/coredns/coredns/plugin/pkg/log"
)

// openGuard returns who decides what may be done at an endpoint. It reads the files that the
// settings name.
func openGuard(listen string, s *Shared) (*access.Guard, error) {
	rules := access.Rules{RequestsPerSecond: s.requestRate(listen)}
	if !s.asksForCredentials() {
		if !isLoopback(listen) && !s.Insecure {
			return nil, fmt.Errorf("listen %s is not a loopback address, and nothing says who may register: write `tokens FILE`, or `tls CERT KEY CLIENT_CA`, "+
				"or `insecure` to let everybody who reaches it do everything", listen)
		}
		rules.LocalOnly = isLoopback(listen)
	}
	var err error
	if s.TLS != nil {
		if rules.Certificates, err = access.LoadTLS(s.TLS.Cert, s.TLS.Key, s.TLS.ClientCA, time.Now()); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	if s.Tokens != nil {
		if rules.Tokens, err = access.OpenTokens(*s.Tokens, s.accepts); err != nil {
			return nil, fmt.Errorf("tokens: %w", err)
		}
		if s.TLS == nil && !isLoopback(listen) {
			log.Warningf("The endpoint on %s takes tokens without TLS: whoever can listen in learns them. Write `tls CERT KEY`", listen)
		}
	}
	var to []audit.Writer
	if s.Audit != nil {
		file, err := audit.OpenFile(*s.Audit, reportAudit)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		to = append(to, file)
	}
	rules.Audit = audit.New(append(to, audit.NewWriter(logAudit))...)
	return access.NewGuard(rules), nil
}

// logAudit writes lines of the audit to the log. Where that puts nothing before a line but the
// level and the plugin, all go with one write.
func logAudit(lines []byte) {
	if clog.IsJSON() || golog.Flags() != 0 || golog.Prefix() != "" {
		for line := range bytes.Lines(lines) {
			log.Infof("audit %s", bytes.TrimSuffix(line, []byte("\n")))
		}
		return
	}
	log.Infof("audit %s", bytes.ReplaceAll(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n"), []byte("\n[INFO] plugin/registry: audit ")))
}

func reportAudit(err error) {
	if err != nil {
		log.Errorf("The audit's file cannot be written, this log has what is missing there: %v", err)
	} else {
		log.Infof("The audit's file can be written again")
	}
}

// asksForCredentials reports whether the endpoint tells its callers apart.
func (s *Shared) asksForCredentials() bool {
	return s.Tokens != nil || s.asksForCertificates()
}

func (s *Shared) asksForCertificates() bool { return s.TLS != nil && s.TLS.ClientCA != "" }

// accepts refuses tokens that nobody could use.
func (s *Shared) accepts(t *access.Tokens) error {
	if t.UsesCertificates() && !s.asksForCertificates() {
		return fmt.Errorf("there are cert credentials, and no client is asked for a certificate: write `tls CERT KEY CLIENT_CA`")
	}
	return nil
}

// defaultRequestsPerSecond is more than a sane client sends.
const defaultRequestsPerSecond = 5_000

// requestRate returns how many requests one credential or address may send. Where all
// callers are on this machine and none has a credential, they have one address, and a limit
// on it would have one that is out of bounds shut out the others: it is for who asks for it.
func (s *Shared) requestRate(listen string) int {
	if n, set := s.Limits[requestsPerSecond]; set {
		return n
	}
	if isLoopback(listen) && !s.asksForCredentials() {
		return 0
	}
	return defaultRequestsPerSecond
}

func isLoopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func closeGuard(g *access.Guard) {
	if err := g.Close(); err != nil {
		log.Warningf("Closing the audit's file: %v", err)
	}
}
