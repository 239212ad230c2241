package door

import (
	"net"
	"syscall"
)

const (
	// tcpNotSentLowat is TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall does not have.
	tcpNotSentLowat = 25

	// maxUnsent is how many bytes the kernel takes for a connection before it can send them: enough
	// to keep a fast one busy while we are woken.
	maxUnsent = 64 << 10
)

// boundUnsent bounds what the kernel holds for a client that does not read. It would hold megabytes
// for each, and when all TCP sockets of the machine together hold what tcp_mem allows, it breaks
// connections, whosever they are. What is on its way is not bounded, so that a distant client is
// served as fast as before.
func boundUnsent(conn net.Conn) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return // no socket
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return // it is closed already
	}
	// A kernel that does not know it goes on as before.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, maxUnsent)
	})
}
