package access

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// lineTwin is a line of a tokens file as one expression; a line that is accepted fits it. That
// it is one of several words, and which, is all that the twin has to know.
var lineTwin = regexp.MustCompile(`(?i)^[ \t]*([^ \t#][^ \t]*)[ \t]+(cert|sha256:[0-9a-f]{64})((?:[ \t]+(?:admin|(?:read|write):[a-z0-9*-]+/[a-z0-9*-]+))+)[ \t]*(?:[ \t]#.*)?$`)

var emptyTwin = regexp.MustCompile(`^[ \t]*(#.*)?$`)

// messages are all that an error may consist of: whatever is not in it cannot be told.
var messages = func() *regexp.Regexp {
	var all []string
	for _, fault := range []string{faultLong, faultEncoding, faultControl, faultName, faultCredential, faultEmpty, faultNewline, faultNoGrant, faultGrant, faultTwice} {
		all = append(all, strings.ReplaceAll(regexp.QuoteMeta(fault), "%d", `\d{1,8}`))
	}
	line := `line \d{1,8}: (` + strings.Join(all, "|") + `)`
	return regexp.MustCompile(`^(the file has no credential: nobody could do anything|the file has more than 16 MiB: it is no file of tokens|` +
		line + `(; ` + line + `)*(; and \d{1,8} more lines)?)$`)
}()

// FuzzParseTokens holds what is accepted against a twin that is one expression, and against
// itself when that twin has written it anew. An error tells nothing of the file.
func FuzzParseTokens(f *testing.F) {
	for _, seed := range []string{
		"",
		"# who may do what\n\nci " + sha("s3cret") + " read:*/* write:dev/* # everything in dev\n",
		"\uFEFFspiffe://example.org/web cert write:prod/web\r\nops " + sha("x") + " admin\r\n",
		"web " + sha("old") + " write:prod/web\nweb " + sha("new") + " write:prod/web\nweb cert read:prod/web",
		"web " + sha("") + " admin",
		"web hunter2 admin\nweb sha256:hunter2 read:a\n",
		"web cert read:a/b write:a/b read:*/b",
		"Web cert admin\nweb cert admin",
		"web sha256:" + strings.ToUpper(sha("x")[7:]) + " admin",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		tokens, err := ParseTokens([]byte(content))
		if err != nil {
			if !messages.MatchString(err.Error()) {
				t.Fatalf("an error that tells more than it may: %v", err)
			}
			return
		}
		var lines []string
		decisions := make(map[string][]grant) // by credential, or name of the certificate
		for line := range strings.SplitSeq(strings.TrimPrefix(content, "\uFEFF"), "\n") {
			line = strings.TrimSuffix(line, "\r")
			if emptyTwin.MatchString(line) {
				continue
			}
			m := lineTwin.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("accepted %q", line)
			}
			var grants []grant
			for _, word := range strings.Fields(m[3]) {
				grants = append(grants, grantTwin(t, word))
			}
			key := strings.ToLower(m[2])
			if key == "cert" {
				key = m[1]
			}
			decisions[m[1]+" "+key] = grants
			lines = append(lines, m[1]+"\t"+m[2]+" "+strings.Join(strings.Fields(m[3]), " ")+" # anew")
		}
		again, err := ParseTokens([]byte(strings.Join(lines, "\r\n")))
		if err != nil {
			t.Fatalf("written anew: %v\n%q", err, lines)
		}
		checkDecisions(t, tokens, decisions)
		checkDecisions(t, again, decisions)
	})
}

// grantTwin reads a grant that was accepted.
func grantTwin(t *testing.T, word string) grant {
	if word == "admin" {
		return grant{admin: true}
	}
	g := grant{right: read}
	if strings.HasPrefix(word, "write:") {
		g.right = write
	}
	names := strings.Split(word[strings.Index(word, ":")+1:], "/")
	for _, name := range names {
		if name != "*" && !service.IsLabel(name) || name != strings.ToLower(name) {
			t.Fatalf("accepted the grant %s", word)
		}
	}
	g.to = service.Name{Namespace: names[0], Service: names[1]}
	return g
}

// checkDecisions holds every caller against the grants of its line, for each name that a grant
// has, and one that none has.
func checkDecisions(t *testing.T, tokens *Tokens, decisions map[string][]grant) {
	callers := make(map[string]*Caller)
	for _, h := range tokens.hashes {
		callers[fmt.Sprintf("%s sha256:%x", h.caller.Name, h.hash)] = h.caller
	}
	for _, c := range tokens.certs {
		callers[c.Name+" "+c.Name] = c
	}
	if len(callers) != len(decisions) {
		t.Fatalf("%d credentials, want %d", len(callers), len(decisions))
	}
	for key, grants := range decisions {
		c := callers[key]
		if c == nil || !IsName(c.Name) {
			t.Fatalf("no caller, or one without a NAME, for %q", key)
		}
		names := []string{"x-nobody-has-this"}
		for _, g := range grants[:min(len(grants), 20)] {
			if !g.admin {
				names = append(names, g.to.Namespace, g.to.Service)
			}
		}
		for _, namespace := range names {
			for _, svc := range names {
				n := service.Name{Namespace: namespace, Service: svc}
				if c.MayRead(n) != mayTwin(grants, n, read) || c.MayWrite(n) != mayTwin(grants, n, write) {
					t.Fatalf("%q on %s: may read %v, may write %v: the line says %+v", key, n, c.MayRead(n), c.MayWrite(n), grants)
				}
			}
		}
	}
}
