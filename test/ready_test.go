package test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

const withReady = `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    ready {$READY}
    errors
}`

func TestReadyOnceTheTableIsLoaded(t *testing.T) {
	t.Parallel()
	s := launch(t, withReady)
	if status := getStatus(s.ready + "/ready"); status == http.StatusOK {
		t.Error("ready before it has begun")
	}
	soon(t, "it is ready", func() bool { return getStatus(s.ready+"/ready") == http.StatusOK })
	s.log.wait(t, 0, "CoreDNS-")
	var status struct{ Ready bool }
	decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
	if !status.Ready {
		t.Error("/ready says yes, and /v1/status says no")
	}
	dial(t, "udp", s.dns).wants(t, under("web"), dns.TypeA, dns.RcodeNameError)
}

// A probe comes whenever it likes: while the plugins are being set up, too.
func TestProbesWhileStartingDoNoHarm(t *testing.T) {
	t.Parallel()
	for range 5 {
		s := launch(t, withReady)
		stop := make(chan struct{})
		var probes sync.WaitGroup
		for range 4 {
			probes.Go(func() {
				client := http.Client{Timeout: patience}
				defer client.CloseIdleConnections()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if response, err := client.Get(s.ready + "/ready"); err == nil {
						response.Body.Close()
					}
				}
			})
		}
		s.log.wait(t, 0, "CoreDNS-")
		close(stop)
		probes.Wait()
		s.stop(t)
	}
}
