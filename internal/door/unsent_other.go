//go:build !linux

package door

import "net"

// boundUnsent leaves it to the system what it holds for a client that does not read.
func boundUnsent(net.Conn) {}
