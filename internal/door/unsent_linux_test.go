package door

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestTheKernelHoldsLittleForWhoReadsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil { // what is there is the client's
		t.Fatal(err)
	}
	server, err := NewConnections(8, time.Now).Listener(l, func(err error) { t.Error(err) }).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.SetWriteDeadline(time.Now().Add(time.Second / 4)); err != nil {
		t.Fatal(err)
	}
	n, err := server.Write(make([]byte, 16<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nobody reads, and yet: %v", err)
	}
	// The last piece that is taken may be as large as a packet can be, and some are on their way.
	if most := maxUnsent + 256<<10; n > most {
		t.Errorf("%d bytes were taken, want at most %d", n, most)
	}
	t.Logf("%d bytes were taken", n)
}
