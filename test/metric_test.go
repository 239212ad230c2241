package test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// series are values that a server exports, by name and labels.
type series map[string]float64

// scrape reads what the server exports.
func (s *server) scrape(t testing.TB) series {
	t.Helper()
	response, err := http.Get(s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := series{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		all[line[:i]] = value
	}
	return all
}

// sum adds up all series of a name whose labels have all the parts.
func (s series) sum(name string, labels ...string) (sum float64) {
next:
	for key, value := range s {
		if key != name && !strings.HasPrefix(key, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(key, label) {
				continue next
			}
		}
		sum += value
	}
	return sum
}

// of returns the series of a name.
func (s series) of(name string) []string {
	var keys []string
	for key := range s {
		if key == name || strings.HasPrefix(key, name+"{") {
			keys = append(keys, key)
		}
	}
	return keys
}
