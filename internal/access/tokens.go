package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"time"
)

// Tokens are the credentials of a tokens file, and what each of them may do. They are
// immutable: any goroutine may use them.
type Tokens struct {
	key    [32]byte // random, of these tokens alone
	hashes map[digest]hashed
	certs  map[string]*Caller // by certKey of NAME
}

// digest is a SHA-256.
type digest = [sha256.Size]byte

// hashed is a token as it is known: by its SHA-256.
type hashed struct {
	hash   digest
	caller *Caller
}

func newTokens() *Tokens {
	t := &Tokens{hashes: make(map[digest]hashed), certs: make(map[string]*Caller)}
	_, _ = rand.Read(t.key[:]) // it ends the process rather than return an error
	return t
}

// ByToken returns the caller whose bearer token (RFC 6750) this is; nil where it is no one's.
// The time that it takes tells nothing of the tokens there are: a map compares what it finds
// byte by byte, so that it is asked for a hash that nobody outside can work out, and what it
// finds is compared in constant time.
func (t *Tokens) ByToken(token string) *Caller {
	var buffer [512]byte // on the stack, and as long as tokens mostly are
	hash := sha256.Sum256(append(buffer[:0], token...))
	found := t.hashes[t.index(hash)]
	if found.caller == nil || subtle.ConstantTimeCompare(found.hash[:], hash[:]) != 1 {
		return nil
	}
	return found.caller
}

// ByCertificate returns the caller whose certificate this is; nil where it is no one's. The
// certificate's identities are tried in order, and the first that has a line is the caller.
// The certificate must have been verified.
func (t *Tokens) ByCertificate(cert *x509.Certificate) *Caller {
	for _, id := range identities(cert) {
		if c := t.certs[certKey(id.name)]; c != nil && id.is(c.Name) {
			return c
		}
	}
	return nil
}

// UsesCertificates reports whether there are credentials that only a client certificate can
// show.
func (t *Tokens) UsesCertificates() bool { return len(t.certs) > 0 }

func (t *Tokens) add(hash digest, c *Caller) { t.hashes[t.index(hash)] = hashed{hash, c} }

// index returns where a hash stands in the map. All input has one length, so that plain
// SHA-256 with the key before it is as good as HMAC here.
func (t *Tokens) index(hash digest) digest {
	var keyed [64]byte
	copy(keyed[:], t.key[:])
	copy(keyed[32:], hash[:])
	return sha256.Sum256(keyed[:])
}

// TokensFile is a file of tokens, read again when it changes.
type TokensFile struct{ file *watchedFile[*Tokens] }

// OpenTokens reads the file. accept, which may be nil, says what else is wrong with tokens,
// now and whenever the file changes: that there are some for certificates, say, where none
// is asked for.
func OpenTokens(path string, accept func(*Tokens) error) (*TokensFile, error) {
	file, err := watchFiles(fileRules[*Tokens]{
		parse: func(contents [][]byte) (*Tokens, error) {
			tokens, err := ParseTokens(contents[0])
			if err == nil && accept != nil {
				err = accept(tokens)
			}
			return tokens, err
		},
		tell: func(*Tokens) string { return "the tokens read before stay" },
	}, path)
	if err != nil {
		return nil, err
	}
	return &TokensFile{file}, nil
}

// Tokens returns those that are in force. It may be called from any goroutine.
func (f *TokensFile) Tokens() *Tokens { return f.file.current() }

// Poll takes up what the file holds now, once two polls in a row have seen it, and returns
// what is worth logging. It is to be called about twice a second, from one goroutine.
func (f *TokensFile) Poll(now time.Time) []Event {
	if event, ok := f.file.poll(now); ok {
		return []Event{event}
	}
	return nil
}

// Failing returns why the file is not in force as it is; nil where it is. It may be called
// from any goroutine.
func (f *TokensFile) Failing() error { return f.file.failing() }
