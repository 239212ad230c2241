//go:build build

package build

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long anything may take, on a machine that may have much else to do.
const patience = time.Minute

// server is a CoreDNS that runs until the test ends.
type server struct {
	dns      string // host:port of the zone cluster.local
	endpoint string // host:port of the registration endpoint
}

func start(t *testing.T, binary string) server {
	t.Helper()
	s := server{dns: freeAddress(t), endpoint: freeAddress(t)}
	_, port, err := net.SplitHostPort(s.dns)
	if err != nil {
		t.Fatal(err)
	}
	corefile := filepath.Join(t.TempDir(), "Corefile")
	text := fmt.Sprintf(`
cluster.local:%s {
    bind 127.0.0.1
    registry {
        listen %s
    }
    errors
}`, port, s.endpoint)
	if err := os.WriteFile(corefile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), binary, "-conf", corefile)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience // then it is killed
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { input.CloseWithError(cmd.Wait()) }()

	up, ended := follow(t, output)
	t.Cleanup(func() { <-ended }) // t.Context ends before it, and the process with it
	select {
	case <-up:
	case <-ended:
		t.Fatal("coredns ended instead of serving")
	case <-time.After(patience):
		t.Fatal("coredns does not say that it serves")
	}
	return s
}

// follow logs what a CoreDNS writes. It closes up at the line with its
// version, which stands after every listener is open, and ended at the end.
func follow(t *testing.T, output io.Reader) (up, ended <-chan struct{}) {
	isUp, hasEnded := make(chan struct{}), make(chan struct{})
	serves := sync.OnceFunc(func() { close(isUp) })
	go func() {
		defer close(hasEnded)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			t.Log(lines.Text())
			if strings.HasPrefix(lines.Text(), "CoreDNS-") {
				serves()
			}
		}
	}()
	return isUp, hasEnded
}

func (s server) register(t *testing.T, namespace, service, id, instance string) {
	t.Helper()
	url := fmt.Sprintf("http://%s/v1/namespaces/%s/services/%s/instances/%s", s.endpoint, namespace, service, id)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(instance))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s of %s: got %s, want 201\n%s", url, instance, response.Status, body)
	}
}

func (s server) wantAddress(t *testing.T, name, address string) {
	t.Helper()
	a, ok := s.ask(t, name, dns.TypeA).(*dns.A)
	if !ok || a.A.String() != address {
		t.Errorf("A of %s: got %v, want %s", name, a, address)
	}
}

func (s server) wantTarget(t *testing.T, name, target string, port uint16) {
	t.Helper()
	srv, ok := s.ask(t, name, dns.TypeSRV).(*dns.SRV)
	if !ok || srv.Target != target || srv.Port != port {
		t.Errorf("SRV of %s: got %v, want %s port %d", name, srv, target, port)
	}
}

// ask gives the only record of the answer.
func (s server) ask(t *testing.T, name string, rrtype uint16) dns.RR {
	t.Helper()
	client := dns.Client{Timeout: patience}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, rrtype), s.dns)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Rcode != dns.RcodeSuccess || len(answer.Answer) != 1 {
		t.Fatalf("want one record, got\n%s", answer)
	}
	return answer.Answer[0]
}

// freeAddress is one of loopback where both a TCP and a UDP port were free just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close() // at the end: the next round gets another
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			udp.Close()
			return tcp.Addr().String()
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return ""
}
