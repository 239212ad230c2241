package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BenchmarkDurableRegistration registers new instances over so many connections at once,
// each of which waits for its answer. The clients take their share of the same processors.
func BenchmarkDurableRegistration(b *testing.B) {
	for _, connections := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			s := start(b, kept(""), "DIR="+b.TempDir())
			var next atomic.Int64
			took := make([]time.Duration, b.N)
			var clients sync.WaitGroup
			conns := make([]net.Conn, connections)
			for n := range conns {
				conn, err := net.Dial("tcp", s.endpoint.address)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				conns[n] = conn
			}
			b.ResetTimer()
			for _, conn := range conns {
				clients.Go(func() {
					answers := bufio.NewReader(conn)
					for {
						n := int(next.Add(1) - 1)
						if n >= b.N {
							return
						}
						began := time.Now()
						if err := registerOver(conn, answers, n); err != nil {
							b.Error(err)
							return
						}
						took[n] = time.Since(began)
					}
				})
			}
			clients.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "registrations/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func registerOver(conn net.Conn, answers *bufio.Reader, n int) error {
	body := fmt.Sprintf(`{"addresses":["10.%d.%d.%d"],"ports":[{"name":"http","port":8080}],"metadata":{"version":"1.4.2"},"leaseSeconds":3600}`, n>>16&0xff, n>>8&0xff, n&0xff)
	request := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
		instancePath(fmt.Sprintf("service-%d", n/10), fmt.Sprintf("instance-%d", n)), len(body), body)
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("got %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// BenchmarkFdatasync is what the machine's disk can do: 4 KiB written over, and flushed.
func BenchmarkFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	if _, err := f.Write(make([]byte, 64*len(page))); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	n := 0
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := f.WriteAt(page, int64(n%64*len(page))); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		n++
	}
	slices.Sort(took)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "fsyncs/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRestart starts a server on a table of a million instances, in services of ten, or
// of as many as RESTART_INSTANCES says. The time is that from the start of the process to
// the first answer.
func BenchmarkRestart(b *testing.B) {
	instances := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("RESTART_INSTANCES")); err == nil {
		instances = n
	}
	dir := b.TempDir()
	s := start(b, kept(""), "DIR="+dir)
	began := time.Now()
	s.fill(b, instances, 10)
	filled := time.Since(began)
	b.Logf("%d instances registered by batches of %d in %s; resident memory then %d MB", instances, mostOperations, filled.Round(time.Second), s.resident(b))
	began = time.Now()
	s.stop(b)
	b.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
	var memory int
	var took time.Duration
	times := 0
	for b.Loop() {
		s = launch(b, kept(""), "DIR="+dir)
		s.log.wait(b, 0, fmt.Sprintf("with %d instances", instances))
		s.log.wait(b, 0, "CoreDNS-")
		if got := dial(b, "udp", s.dns).must(b, under("service-0"), dns.TypeA); len(got.Answer) != min(10, instances) {
			b.Fatalf("got\n%s", got.Msg)
		}
		took += time.Since(s.began)
		times++
		memory = s.resident(b)
		b.StopTimer()
		s.stop(b)
		b.StartTimer()
	}
	info, err := os.Stat(filepath.Join(dir, "registry.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(took.Seconds()/float64(times), "s/restart")
	b.ReportMetric(float64(memory), "resident-MB")
	b.ReportMetric(float64(info.Size()>>20), "file-MB")
	b.ReportMetric(0, "ns/op")
}

// resident is how much memory the server takes, in megabytes.
func (s *server) resident(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kilobytes int
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes >> 10
}
