package registry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coredns-registry/registry/service"
)

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
	return prometheus.NewDesc("coredns_registry_"+name, help, labels, nil)
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
