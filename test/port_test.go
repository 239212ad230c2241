package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below those that systems give to outgoing connections, so that
// none of them comes in between.
const firstPort, lastPort = 20000, 32000

// given are the ports that a test of this process has got already.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// freePort is one that was free just now on 127.0.0.1, for both TCP and UDP.
func freePort(t testing.TB) string {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = make(map[int]bool)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !given.ports[port] && isFree(port) {
			given.ports[port] = true
			return fmt.Sprint(port)
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return ""
}

func isFree(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}
