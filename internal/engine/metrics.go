package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What is counted as it happens. Each table has the address of its endpoint as a label.
var (
	registrations = newCounter("registrations_total", "Registrations that put an instance there or changed it.")
	renewals      = newCounter("renewals_total", "Leases renewed, by heartbeat or by the same registration again.")
	deregistered  = newCounter("deregistrations_total", "Instances taken away by request.")
	expiries      = newCounter("expiries_total", "Instances dropped because their lease ended.")
	storeFailures = newCounter("store_failures_total", "Commits that the store could not keep.")

	programming = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    namePrefix + "programming_duration_seconds",
		Help:    "Time from the arrival of a registration to the moment DNS can answer it.",
		Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10), // 10 µs to 2.6 s
	}, []string{"endpoint"})
)

// namePrefix is what the names of a CoreDNS plugin's metrics begin with.
const namePrefix = "coredns_registry_"

func newCounter(name, help string) *prometheus.CounterVec {
	return promauto.NewCounterVec(prometheus.CounterOpts{Name: namePrefix + name, Help: help}, []string{"endpoint"})
}

// metrics are the counters of one table.
type metrics struct {
	registrations, renewals, deregistered, expiries, storeFailures prometheus.Counter
	programming                                                    prometheus.Observer
}

func newMetrics(endpoint string) *metrics {
	return &metrics{
		registrations: registrations.WithLabelValues(endpoint),
		renewals:      renewals.WithLabelValues(endpoint),
		deregistered:  deregistered.WithLabelValues(endpoint),
		expiries:      expiries.WithLabelValues(endpoint),
		storeFailures: storeFailures.WithLabelValues(endpoint),
		programming:   programming.WithLabelValues(endpoint),
	}
}

// applied counts a transaction that has been published.
func (m *metrics) applied(t *transaction, took time.Duration) {
	m.registrations.Add(float64(t.registrations))
	m.renewals.Add(float64(len(t.renewed)))
	m.deregistered.Add(float64(t.deregistrations))
	if t.registrations > 0 {
		m.programming.Observe(took.Seconds())
	}
}
