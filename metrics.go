package registry

import (
	"strconv"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// namePrefix is what the names of a CoreDNS plugin's metrics begin with.
const namePrefix = "coredns_registry_"

// What is counted as it happens. Each table has the address of its endpoint as a label.
var (
	answersTotal  = newCounter("answers_total", "Questions answered, by what there was to say: found, nodata, noname, alias, notready.", "zone", "outcome")
	requestsTotal = newCounter("endpoint_requests_total", "Requests to the registration endpoint.", "endpoint", "route", "code")

	requestDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    namePrefix + "endpoint_request_duration_seconds",
		Help:    "Time from a request's header to its answer; watches are left out.",
		Buckets: prometheus.ExponentialBuckets(0.00005, 4, 10), // 50 µs to 13 s
	}, []string{"endpoint", "route"})
)

func newCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return promauto.NewCounterVec(prometheus.CounterOpts{Name: namePrefix + name, Help: help}, labels)
}

// observeRequests returns what counts the requests to an endpoint. There are few routes and
// codes: what counts each of them is looked up once.
func observeRequests(endpoint string) func(route string, code int, took time.Duration) {
	type outcome struct {
		route string
		code  int
	}
	type counted struct {
		total    prometheus.Counter
		duration prometheus.Observer
	}
	var mu sync.RWMutex
	known := make(map[outcome]counted) // guarded by mu
	return func(route string, code int, took time.Duration) {
		mu.RLock()
		c, ok := known[outcome{route, code}]
		mu.RUnlock()
		if !ok {
			c = counted{requestsTotal.WithLabelValues(endpoint, route, strconv.Itoa(code)), requestDuration.WithLabelValues(endpoint, route)}
			mu.Lock()
			known[outcome{route, code}] = c
			mu.Unlock()
		}
		c.total.Inc()
		c.duration.Observe(took.Seconds())
	}
}

// answerCounts are the counters of a server block's zones, found once.
type answerCounts map[*answer.Zone][]prometheus.Counter

func countAnswers(zones []*answer.Zone) answerCounts {
	counts := make(answerCounts, len(zones))
	for _, z := range zones {
		for _, o := range answer.Outcomes {
			counts[z] = append(counts[z], answersTotal.WithLabelValues(z.Origin, o.String()))
		}
	}
	return counts
}

func (c answerCounts) count(z *answer.Zone, o answer.Outcome) { c[z][o].Inc() }
