package httpapi

import (
	"net/http"
	"net/url"
)

// query reads the part of the URL after "?". Unknown parameters are ignored: proxies and
// caches add their own. Of a repeated one the first counts. Where it makes no sense the
// request is answered, and it reports false.
func (c *call) query() (url.Values, bool) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		c.fail(http.StatusBadRequest, "the query is not in URL encoding: "+err.Error())
		return nil, false
	}
	return values, true
}

// failParameter answers a parameter that is not as it must be.
func (c *call) failParameter(code int, name, message string) {
	c.failFaults(code, []fault{{name, message}})
}
