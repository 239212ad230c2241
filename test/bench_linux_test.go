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
			s.benchmark(b, connections, func(n int) string { return registrationOf(n, "1.4.2") })
		})
	}
}

// BenchmarkDurableChange is the same with changes of instances anywhere in a table of a million,
// or of as many as RESTART_INSTANCES says.
func BenchmarkDurableChange(b *testing.B) {
	instances := largeTable()
	s := start(b, kept("limit requests-per-second 0"), "DIR="+b.TempDir())
	s.fill(b, instances, 10)
	change := 0
	for _, connections := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			change++
			s.benchmark(b, connections, func(n int) string {
				return registrationOf(n*104_729%instances, fmt.Sprintf("%d.%d.%d", change, b.N, n/instances))
			})
		})
	}
}

// benchmark sends b.N requests, and tells how long they took.
func (s *server) benchmark(b *testing.B, connections int, request func(n int) string) {
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var clients sync.WaitGroup
	b.ResetTimer()
	for range connections {
		conn, err := net.Dial("tcp", s.endpoint.address)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		clients.Go(func() {
			answers := bufio.NewReader(conn)
			for {
				n := int(next.Add(1) - 1)
				if n >= b.N {
					return
				}
				began := time.Now()
				if err := sendOver(conn, answers, request(n)); err != nil {
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
}

func registrationOf(n int, version string) string {
	body := fmt.Sprintf(`{"addresses":["10.%d.%d.%d"],"ports":[{"name":"http","port":8080}],"metadata":{"version":"%s"},"leaseSeconds":3600}`, n>>16&0xff, n>>8&0xff, n&0xff, version)
	return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s",
		instancePath(fmt.Sprintf("service-%d", n/10), fmt.Sprintf("instance-%d", n)), len(body), body)
}

func sendOver(conn net.Conn, answers *bufio.Reader, request string) error {
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK {
		return fmt.Errorf("got %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// largeTable is how many instances a benchmark has that shows more the more there are.
func largeTable() int {
	if n, err := strconv.Atoi(os.Getenv("RESTART_INSTANCES")); err == nil {
		return n
	}
	return 1_000_000
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
	instances := largeTable()
	dir := b.TempDir()
	s := start(b, kept(""), "DIR="+dir)
	began := time.Now()
	s.fill(b, instances, 10)
	filled := time.Since(began)
	b.Logf("%d instances registered by batches of %d in %s; memory then %d MB", instances, mostOperations, filled.Round(time.Second), s.memory(b))
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
		memory = s.memory(b)
		b.StopTimer()
		s.stop(b)
		b.StartTimer()
	}
	info, err := os.Stat(filepath.Join(dir, "registry.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(took.Seconds()/float64(times), "s/restart")
	b.ReportMetric(float64(memory), "memory-MB")
	b.ReportMetric(float64(info.Size()>>20), "file-MB")
	b.ReportMetric(0, "ns/op")
}

// memory is how much the server takes of its own, in megabytes: pages of its file, which the
// kernel drops when it needs the room, are left out.
func (s *server) memory(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "RssAnon:")
	var kilobytes int
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes >> 10
}
