package registry

import (
	"strconv"
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/answer"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/plugin"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const subsystem = "registry"

// What is counted as it happens. Each table has the address of its endpoint as a label.
var (
	answersTotal  = newCounter("answers_total", "Questions answered, by what there was to say: found, nodata, noname, alias, notready.", "zone", "outcome")
	requestsTotal = newCounter("endpoint_requests_total", "Requests to the registration endpoint.", "endpoint", "route", "code")

	requestDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: plugin.Namespace,
		Subsystem: subsystem,
		Name:      "endpoint_request_duration_seconds",
		Help:      "Time from a request's header to its answer; watches are left out.",
		Buckets:   prometheus.ExponentialBuckets(0.00005, 4, 10), // 50 µs to 13 s
	}, []string{"endpoint", "route"})
)

func newCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: plugin.Namespace,
		Subsystem: subsystem,
		Name:      name,
		Help:      help,
	}, labels)
}

// What is read off the tables when it is asked for.
var (
	describeInstances = describe("instances", "Instances in the table, by namespace and status.", "endpoint", "namespace", "status")
	describeServices  = describe("services", "Services in the table, by namespace.", "endpoint", "namespace")
	describeRevision  = describe("revision", "The table's revision.", "endpoint")
	describeWatchers  = describe("watchers", "Clients that follow the changes of the table.", "endpoint")
	describeFailing   = describe("access_files_failing", "1 while a file of tokens or of TLS is not in force as it is, else 0.", "endpoint")
	describeNotAfter  = describe("tls_not_after_timestamp_seconds", "When the endpoint's certificate ends.", "endpoint")
	describeHeldBy    = describe("evictions_held_by_service", "Instances that stay although their lease has ended, of the ten services that have the most.", "endpoint", "namespace", "service")
	describeHeld      = describe("evictions_held", "Instances that stay although their lease has ended, because too many fell due at once.", "endpoint")
)

// heldByService is how many services have a series of instances that are held back.
const heldByService = 10

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, subsystem, name), help, labels, nil)
}

func init() { prometheus.MustRegister(tables{}) }

// tables collects what is in the tables that are open. A namespace that is gone has no
// series any more.
type tables struct{}

func (tables) Describe(ch chan<- *prometheus.Desc) {
	ch <- describeInstances
	ch <- describeServices
	ch <- describeRevision
	ch <- describeWatchers
	ch <- describeHeld
	ch <- describeHeldBy
	ch <- describeFailing
	ch <- describeNotAfter
}

func (tables) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	for _, r := range open.all() {
		gauge(describeWatchers, float64(r.watchers.Load()), r.listen)
		evictions := r.engine.Evictions()
		gauge(describeHeld, float64(evictions.Held), r.listen)
		for _, of := range evictions.Services[:min(len(evictions.Services), heldByService)] {
			gauge(describeHeldBy, float64(of.Held), r.listen, of.Namespace, of.Service)
		}
		guard, failing := r.guard.Load(), 0.0
		if guard.Failing() != nil {
			failing = 1
		}
		gauge(describeFailing, failing, r.listen)
		if guard.Encrypts() {
			gauge(describeNotAfter, float64(guard.NotAfter().Unix()), r.listen)
		}
		state := r.engine.State()
		if state == nil {
			continue
		}
		gauge(describeRevision, float64(state.Revision), r.listen)
		for n := range state.Namespaces("") {
			gauge(describeServices, float64(n.Services), r.listen, n.Name)
			gauge(describeInstances, float64(n.Up), r.listen, n.Name, service.Up.String())
			gauge(describeInstances, float64(n.Draining), r.listen, n.Name, service.Draining.String())
			gauge(describeInstances, float64(n.Down), r.listen, n.Name, service.Down.String())
		}
	}
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
