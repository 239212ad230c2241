package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// etag returns the entity tag of an object: its revision. It is a strong one. What the
// revision does not count, that is leases and the names in DNS, is no part of what a
// client could overwrite.
func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// precondition reads the headers that make a write conditional (RFC 9110, section 13.1).
// Where they make no sense the request is answered, and it reports false.
func (c *call) precondition() (p service.Precondition, ok bool) {
	ifMatch, ifNoneMatch := c.r.Header["If-Match"], c.r.Header["If-None-Match"]
	if ifMatch == nil && ifNoneMatch == nil {
		return p, true
	}
	p, err := parsePrecondition(ifMatch, ifNoneMatch)
	if err != nil {
		c.fail(http.StatusBadRequest, err.Error())
	}
	return p, err == nil
}

func parsePrecondition(ifMatch, ifNoneMatch []string) (p service.Precondition, err error) {
	if ifMatch != nil {
		tags, any, err := parseTags(ifMatch)
		if err != nil {
			return p, errors.New("If-Match " + err.Error())
		}
		p.Exists = any
		if !any {
			p.Revisions = strong(tags)
		}
	}
	if ifNoneMatch != nil {
		// A write that a list of tags forbids must not be done as if it did not, and nobody
		// needs one: it says "unless it is as I know it".
		_, any, err := parseTags(ifNoneMatch)
		if err != nil || !any {
			return p, errors.New("If-None-Match of a write must be *: use If-Match for revisions")
		}
		p.Absent = true
	}
	return p, nil
}

// strong returns the revisions that may match, never nil: a weak tag matches no write,
// and a tag that is no revision of ours matches nothing.
func strong(tags []tag) []uint64 {
	revisions := make([]uint64, 0, len(tags))
	for _, t := range tags {
		revision, err := strconv.ParseUint(t.opaque, 10, 64)
		if err == nil && !t.weak && etag(revision) == `"`+t.opaque+`"` {
			revisions = append(revisions, revision)
		}
	}
	return revisions
}

// fresh answers a GET of an object of that revision if it need not be sent: with 304
// where the client has it already, or 412 where it wants another. It reports whether the
// object is to be sent.
func (c *call) fresh(revision uint64) bool {
	current := etag(revision)
	if values := c.r.Header["If-Match"]; values != nil {
		tags, any, err := parseTags(values)
		switch {
		case err != nil:
			c.fail(http.StatusBadRequest, "If-Match "+err.Error())
			return false
		case !any && !matches(tags, current, false):
			c.refuse(service.ErrPrecondition)
			return false
		}
	}
	if values := c.r.Header["If-None-Match"]; values != nil {
		tags, any, err := parseTags(values)
		switch {
		case err != nil:
			c.fail(http.StatusBadRequest, "If-None-Match "+err.Error())
			return false
		case any || matches(tags, current, true):
			c.w.Header()["Etag"] = []string{current}
			c.answerEmpty(http.StatusNotModified)
			return false
		}
	}
	return true
}

func matches(tags []tag, current string, weakly bool) bool {
	for _, t := range tags {
		if (weakly || !t.weak) && `"`+t.opaque+`"` == current {
			return true
		}
	}
	return false
}

// tag is an entity tag as a client sends it.
type tag struct {
	opaque string // without its quotes
	weak   bool
}

var errTags = errors.New(`must be * or a list of entity tags such as "17"`)

// parseTags reads the values of a header that has a list of entity tags or "*".
func parseTags(values []string) (tags []tag, any bool, err error) {
	rest := strings.Trim(strings.Join(values, ","), " \t")
	if rest == "*" {
		return nil, true, nil
	}
	for rest != "" {
		// Empty elements of a list are to be ignored (RFC 9110, section 5.6.1.2).
		if rest[0] == ',' || rest[0] == ' ' || rest[0] == '\t' {
			rest = rest[1:]
			continue
		}
		var t tag
		rest, t.weak = strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return nil, false, errTags
		}
		end := strings.IndexByte(rest[1:], '"') + 1
		if end == 0 {
			return nil, false, errTags
		}
		t.opaque, rest = rest[1:end], strings.TrimLeft(rest[end+1:], " \t")
		if rest != "" && rest[0] != ',' {
			return nil, false, errTags
		}
		tags = append(tags, t)
	}
	if tags == nil {
		return nil, false, errTags
	}
	return tags, false, nil
}
