package access

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// sha returns the credential of a token.
func sha(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

func mustParse(t testing.TB, content string) *Tokens {
	t.Helper()
	tokens, err := ParseTokens([]byte(content))
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	return tokens
}

func TestTokensAreReadAsWritten(t *testing.T) {
	web := service.Name{Namespace: "prod", Service: "web"}
	for _, tc := range []struct {
		sentence string
		content  string
		token    string
		want     string // NAME, and what it may do to web.prod
	}{
		{"a token that may write", "ci " + sha("s3cret") + " write:prod/web", "s3cret", "ci read write"},
		{"one that may read", "ci " + sha("s3cret") + " read:prod/web\n", "s3cret", "ci read"},
		{"an admin", "ci " + sha("s3cret") + " admin\n", "s3cret", "ci read write admin"},
		{"grants for something else", "ci " + sha("s3cret") + " write:prod/api write:dev/*\n", "s3cret", "ci"},
		{"a name in a namespace of any name", "ci " + sha("s3cret") + " write:*/web\n", "s3cret", "ci read write"},
		{"another token", "ci " + sha("s3cret") + " admin\n", "s3cret ", "nobody"},
		{"no token", "ci " + sha("s3cret") + " admin\n", "", "nobody"},
		{"the credential itself is no token", "ci " + sha("s3cret") + " admin\n", sha("s3cret"), "nobody"},
		{"the second token of a name has its own grants", "ci " + sha("old") + " admin\nci " + sha("new") + " read:*/*\n", "new", "ci read"},
		{"the first keeps its own", "ci " + sha("old") + " admin\nci " + sha("new") + " read:*/*\n", "old", "ci read write admin"},
		{"capital hex digits", "ci sha256:" + strings.ToUpper(sha("s3cret")[7:]) + " admin\n", "s3cret", "ci read write admin"},
		{"tabs, and white space around", "\tci \t " + sha("s3cret") + "\tread:prod/web \t\n", "s3cret", "ci read"},
		{"CRLF", "# tokens\r\nci " + sha("s3cret") + " read:prod/web\r\n", "s3cret", "ci read"},
		{"a byte order mark", "\uFEFFci " + sha("s3cret") + " read:prod/web", "s3cret", "ci read"},
		{"a comment ends the line", "ci " + sha("s3cret") + " read:prod/web # write:prod/web", "s3cret", "ci read"},
		{"# inside a word is no comment", "ci#1 " + sha("s3cret") + " read:prod/web", "s3cret", "ci#1 read"},
		{"a NAME in any script", "žaneta " + sha("s3cret") + " read:prod/web", "s3cret", "žaneta read"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			c := mustParse(t, tc.content).ByToken(tc.token)
			if got := describe(c, web); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func describe(c *Caller, n service.Name) string {
	if c == nil {
		return "nobody"
	}
	s := c.Name
	for _, may := range []struct {
		what string
		ok   bool
	}{{" read", c.MayRead(n)}, {" write", c.MayWrite(n)}, {" admin", c.Admin}} {
		if may.ok {
			s += may.what
		}
	}
	return s
}

func TestWrongLinesAreToldAndWhatWouldBeRight(t *testing.T) {
	good := "ci " + sha("s3cret") + " admin\n"
	for _, tc := range []struct {
		sentence string
		content  string
		want     string
	}{
		{"an empty file", "", "no credential"},
		{"comments alone", "# nothing\n\n", "no credential"},
		{"a name alone", good + "web\n", "line 2: " + faultCredential},
		{"the token itself", "web hunter2 admin", "line 1: " + faultCredential},
		{"too few digits", "web sha256:abcd admin", "line 1: " + faultCredential},
		{"no digits", "web sha256:" + strings.Repeat("x", 64) + " admin", "line 1: " + faultCredential},
		{"sha256 of nothing", "web " + sha("") + " admin", "line 1: " + faultEmpty},
		{"sha256 of a newline", "web " + sha("\n") + " admin", "line 1: " + faultNewline},
		{"no grant", "web " + sha("x"), "line 1: " + faultNoGrant},
		{"a grant in a comment", "web " + sha("x") + " # admin", "line 1: " + faultNoGrant},
		{"an unknown grant", "web " + sha("x") + " admin delete:a/b", "line 1: word 4 is no grant"},
		{"a grant of one name", "web " + sha("x") + " read:web", "line 1: word 3 is no grant"},
		{"a grant of three", "web " + sha("x") + " read:a/b/c", "line 1: word 3 is no grant"},
		{"capital letters", "web " + sha("x") + " read:a/Web", "line 1: word 3 is no grant"},
		{"a pattern", "web " + sha("x") + " read:a/web-*", "line 1: word 3 is no grant"},
		{"an empty name", "web " + sha("x") + " read:a/", "line 1: word 3 is no grant"},
		{"Admin", "web " + sha("x") + " Admin", "line 1: word 3 is no grant"},
		{"a token twice", good + "web " + sha("s3cret") + " read:a/b", "line 2: this credential stands on line 1"},
		{"a certificate twice", "web cert admin\n\nweb cert admin", "line 3: this credential stands on line 1"},
		{"a certificate twice, but for case", "Web cert admin\nweb cert admin", "line 2: this credential stands on line 1"},
		{"NUL", good + "w\x00b cert admin", "line 2: " + faultControl},
		{"a lone CR would hide what comes after it", "# a comment\rweb cert admin", "line 1: " + faultControl},
		{"a name that would turn the log around", "w\u202eb cert admin", "line 1: " + faultName},
		{"a name with a space that looks like none", "w\u00a0b cert admin", "line 1: " + faultName},
		{"a long name", strings.Repeat("x", maxName+1) + " cert admin", "line 1: " + faultName},
		{"not UTF-8", good + "w\xffb cert admin", "line 2: " + faultEncoding},
		{"UTF-16", "\xff\xfew\x00e\x00b\x00", "line 1: " + faultEncoding},
		{"a long line", "web cert " + strings.Repeat("read:a/b ", maxLine/9+1), "line 1: " + faultLong},
		{"a large file", strings.Repeat("#", maxTokensFile+1), "more than 16 MiB"},
		{"every wrong line", "a\nb\n" + good + "c\n", "line 1: " + faultCredential + "; line 2: " + faultCredential + "; line 4: " + faultCredential},
		{"but not thousands", strings.Repeat("a\n", 1000), "line 20: " + faultCredential + "; and 980 more lines"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			tokens, err := ParseTokens([]byte(tc.content))
			if err == nil || tokens != nil {
				t.Fatalf("got %v, want %q", tokens, tc.want)
			}
			if got := err.Error(); !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestErrorsTellNoSecret(t *testing.T) {
	const secret = "hunter2"
	for sentence, line := range map[string]string{
		"the token for its hash":             "web " + secret + " admin",
		"behind what belongs there":          "web sha256:" + secret + " admin",
		"in front":                           secret + " web admin",
		"for a grant":                        "web " + sha("x") + " " + secret,
		"in a grant":                         "web " + sha("x") + " read:" + secret + "/Web",
		"alone":                              secret,
		"with a control character":           "web \x01" + secret,
		"in a file that is something else":   "\xff" + secret,
		"as long as a hash, but none":        "web sha256:" + secret + strings.Repeat("z", 64-len(secret)) + " admin",
		"in the headers of an HTTP request":  "Authorization: Bearer " + secret,
		"as a whole line that is too long":   secret + strings.Repeat(" ", maxLine),
		"with a NAME that could be a secret": secret + "\u200b cert admin",
	} {
		_, err := ParseTokens([]byte(line))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", sentence, err)
		}
	}
}

func TestCertificatesAreKnownToBeUsed(t *testing.T) {
	if mustParse(t, "ci "+sha("x")+" admin").UsesCertificates() {
		t.Error("there is no cert line")
	}
	if !mustParse(t, "ci "+sha("x")+" admin\nweb cert admin").UsesCertificates() {
		t.Error("there is a cert line")
	}
}

func TestByTokenAllocatesNothing(t *testing.T) {
	token := strings.Repeat("a long token ", 20)
	tokens := mustParse(t, "ci "+sha(token)+" admin")
	if n := testing.AllocsPerRun(100, func() {
		if tokens.ByToken(token) == nil || tokens.ByToken(token[1:]) != nil {
			t.Fatal("not the caller")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkByToken(b *testing.B) {
	var content strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&content, "web-%d %s write:prod/web-%d\n", n, sha(fmt.Sprint("token-", n)), n)
	}
	tokens := mustParse(b, content.String())
	b.ReportAllocs()
	for b.Loop() {
		if tokens.ByToken("token-500") == nil {
			b.Fatal("nobody")
		}
	}
}

func BenchmarkMayRead(b *testing.B) {
	c := mustParse(b, "web cert write:prod/web read:dev/* read:*/api").certs["web"]
	for b.Loop() {
		if c.MayRead(service.Name{Namespace: "prod", Service: "db"}) {
			b.Fatal("it may not")
		}
	}
}
