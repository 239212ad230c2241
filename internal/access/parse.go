package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on a file of tokens. Past them it is some other file.
const (
	maxTokensFile = 16 << 20
	maxLine       = 64 << 10 // some thousand grants
	maxName       = 2048     // a SPIFFE ID's (SPIFFE-ID, section 2.3)
	maxFaults     = 20       // told at once: enough to see what the file is
)

// ParseTokens reads the content of a tokens file. Its lines, ended by LF or CRLF, are
//
//	NAME CREDENTIAL GRANT...
//	# a comment, which may also stand after white space
//
// where CREDENTIAL is sha256:HEX, the SHA-256 of a bearer token, or cert. A NAME may have
// several lines: two tokens while one takes the other's place, or a token and a
// certificate; the grants of a line are its own credential's.
//
// The error tells every line that is wrong, and repeats nothing of the file: a line that is
// wrong may have a secret anywhere in it.
func ParseTokens(content []byte) (*Tokens, error) {
	if len(content) > maxTokensFile {
		return nil, fmt.Errorf("the file has more than %d MiB: it is no file of tokens", maxTokensFile>>20)
	}
	p := tokensParser{tokens: newTokens(), hashLines: make(map[digest]int), certLines: make(map[string]int)}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	for line := range bytes.Lines(content) {
		p.line++
		if fault := p.parse(line); fault != "" {
			p.faults = append(p.faults, fmt.Sprintf("line %d: %s", p.line, fault))
		}
	}
	if n := len(p.faults) - maxFaults; n > 0 {
		p.faults = append(p.faults[:maxFaults], fmt.Sprintf("and %d more lines", n))
	}
	if p.faults != nil {
		return nil, errors.New(strings.Join(p.faults, "; "))
	}
	if len(p.hashLines)+len(p.certLines) == 0 {
		return nil, errors.New("the file has no credential: nobody could do anything")
	}
	return p.tokens, nil
}

type tokensParser struct {
	tokens    *Tokens
	line      int
	faults    []string
	hashLines map[digest]int // where each credential stands
	certLines map[string]int
}

// What can be wrong with a line, beside what says where another one is.
const (
	faultLong       = "has more than 64 KiB"
	faultEncoding   = "is not UTF-8: the file is another one, or was saved in another encoding"
	faultControl    = "has a control character in it: the file is text with lines that end in LF or CRLF"
	faultName       = "the first word is no NAME: it is 1 to 2048 bytes, all printable"
	faultCredential = "the second word is no credential: it is cert, or sha256: and the 64 hex digits of the SHA-256 of a token, never the token itself"
	faultEmpty      = "this is the SHA-256 of an empty token: what was hashed had no value"
	faultNewline    = "this is the SHA-256 of a newline alone: what was hashed had no value, and a token is hashed without a newline"
	faultNoGrant    = "there is no grant: after NAME and CREDENTIAL come read:NAMESPACE/SERVICE, write:NAMESPACE/SERVICE or admin"
	faultGrant      = "word %d is no grant: a grant is admin, read:NAMESPACE/SERVICE or write:NAMESPACE/SERVICE, each name a label in lower case or *"
	faultTwice      = "this credential stands on line %d already: put its grants on one line"
)

// parse takes one line, and returns what is wrong with it.
func (p *tokensParser) parse(line []byte) (fault string) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	switch {
	case len(line) > maxLine:
		return faultLong
	case !utf8.Valid(line):
		return faultEncoding
	case bytes.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		return faultControl
	}
	words := words(string(line))
	if len(words) == 0 {
		return ""
	}
	if !IsName(words[0]) {
		return faultName
	}
	if len(words) == 1 {
		return faultCredential
	}
	isCert := words[1] == "cert"
	var hash digest
	if !isCert {
		if hash, fault = parseHash(words[1]); fault != "" {
			return fault
		}
	}
	if len(words) == 2 {
		return faultNoGrant
	}
	grants := make([]grant, len(words)-2)
	for i, word := range words[2:] {
		var ok bool
		if grants[i], ok = parseGrant(word); !ok {
			return fmt.Sprintf(faultGrant, i+3)
		}
	}
	caller := newCaller(words[0], grants)
	if isCert {
		key := certKey(caller.Name)
		if n := p.certLines[key]; n != 0 {
			return fmt.Sprintf(faultTwice, n)
		}
		p.certLines[key] = p.line
		p.tokens.certs[key] = caller
		return ""
	}
	if n := p.hashLines[hash]; n != 0 {
		return fmt.Sprintf(faultTwice, n)
	}
	p.hashLines[hash] = p.line
	p.tokens.add(hash, caller)
	return ""
}

// words splits a line at spaces and tabs, up to a comment.
func words(line string) []string {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	for i, word := range words {
		if word[0] == '#' {
			return words[:i]
		}
	}
	return words
}

func parseHash(word string) (hash digest, fault string) {
	digits, ok := strings.CutPrefix(word, "sha256:")
	if !ok || len(digits) != 2*len(hash) {
		return hash, faultCredential
	}
	if _, err := hex.Decode(hash[:], []byte(digits)); err != nil {
		return hash, faultCredential // the error would tell a byte of it
	}
	switch hash {
	case sha256.Sum256(nil):
		return hash, faultEmpty
	case sha256.Sum256([]byte("\n")):
		return hash, faultNewline
	}
	return hash, ""
}

// IsName reports whether s may be the NAME of a credential: in a file of tokens or in a certificate.
func IsName(s string) bool {
	if len(s) == 0 || len(s) > maxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == ' ' || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
