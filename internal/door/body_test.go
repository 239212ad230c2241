package door

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func headed(headers ...string) *http.Request {
	r := httptest.NewRequest("PUT", "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestAMediaTypeIsOneOfThose(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		headers  []string
		want     string
		err      error
	}{
		{"none is the first", nil, "application/json", nil},
		{"the first", []string{"Content-Type", "application/json"}, "application/json", nil},
		{"another", []string{"Content-Type", "application/xml"}, "application/xml", nil},
		{"in capitals, with a charset", []string{"Content-Type", "Application/XML; charset=UTF-8"}, "application/xml", nil},
		{"in another charset", []string{"Content-Type", "application/xml; charset=latin1"}, "", ErrMediaType},
		{"one that is not among them", []string{"Content-Type", "text/plain"}, "", ErrMediaType},
		{"an empty one", []string{"Content-Type", ""}, "", ErrMediaType},
		{"what is none", []string{"Content-Type", "application/json; ;"}, "", ErrMediaType},
		{"two", []string{"Content-Type", "application/json", "Content-Type", "application/json"}, "", ErrMediaType},
		{"compressed", []string{"Content-Encoding", "gzip"}, "", ErrEncoded},
		{"not compressed, in so many words", []string{"Content-Encoding", "Identity"}, "application/json", nil},
	} {
		if got, err := MediaType(headed(tc.headers...), "application/json", "application/xml"); got != tc.want || err != tc.err {
			t.Errorf("%s: got %q and %v, want %q and %v", tc.sentence, got, err, tc.want, tc.err)
		}
	}
}

func TestABodyIsReadUpToItsLimit(t *testing.T) {
	const limit = 2000
	for _, tc := range []struct {
		sentence string
		body     io.Reader
		length   int64 // announced
		want     error
	}{
		{"none", strings.NewReader(""), 0, nil},
		{"as much as may be", strings.NewReader(strings.Repeat("x", limit)), limit, nil},
		{"as much, not announced", iotest.OneByteReader(strings.NewReader(strings.Repeat("x", limit))), -1, nil},
		{"a byte more, not announced", iotest.OneByteReader(strings.NewReader(strings.Repeat("x", limit+1))), -1, ErrTooLarge},
		{"more is announced", iotest.ErrReader(errors.New("it is read")), limit + 1, ErrTooLarge},
		{"it takes too long", iotest.ErrReader(os.ErrDeadlineExceeded), -1, ErrTooSlow},
		{"it breaks off", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10, ErrBroken},
	} {
		r := headed()
		r.Body, r.ContentLength = io.NopCloser(tc.body), tc.length
		got, err := ReadBody([]byte("before"), r, limit)
		if err != tc.want || !strings.HasPrefix(string(got), "before") || err == nil && tc.length >= 0 && int64(len(got)) != 6+tc.length {
			t.Errorf("%s: got %d bytes and %v, want %v", tc.sentence, len(got), err, tc.want)
		}
	}
}

func TestWhatIsABearerToken(t *testing.T) {
	for _, tc := range []struct {
		sentence  string
		headers   []string
		sent      bool
		token     string
		malformed bool
	}{
		{"a token", []string{"Authorization", "Bearer s3cret"}, true, "s3cret", false},
		{"a scheme is written in any case", []string{"Authorization", "bEARER s3cret"}, true, "s3cret", false},
		{"spaces around it", []string{"Authorization", "Bearer   s3cret "}, true, "s3cret", false},
		{"none", nil, false, "", false},
		{"an empty one", []string{"Authorization", "Bearer "}, true, "", false},
		{"an empty header", []string{"Authorization", ""}, true, "", true},
		{"the token alone", []string{"Authorization", "s3cret"}, true, "", true},
		{"Basic", []string{"Authorization", "Basic d2ViOnMzY3JldA=="}, true, "", true},
		{"two", []string{"Authorization", "Bearer s3cret", "Authorization", "Bearer 0ps"}, true, "", true},
		{"the same twice", []string{"Authorization", "Bearer s3cret", "Authorization", "Bearer s3cret"}, true, "", true},
		{"a list of two is one that nobody has", []string{"Authorization", "Bearer s3cret, Bearer 0ps"}, true, "s3cret, Bearer 0ps", false},
		{"in another header", []string{"Proxy-Authorization", "Bearer s3cret", "X-Api-Key", "s3cret"}, false, "", false},
	} {
		c := Bearer(headed(tc.headers...))
		if c.Sent != tc.sent || c.Token != tc.token || (c.Malformed != "") != tc.malformed {
			t.Errorf("%s: got %+v", tc.sentence, c)
		}
		if strings.Contains(c.Malformed, "s3cret") || strings.Contains(c.Malformed, "0ps") {
			t.Errorf("%s: a secret is in %q", tc.sentence, c.Malformed)
		}
	}
}
