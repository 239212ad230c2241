package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/miekg/dns"
)

// A peer is a kind of server that can be told the world.
type peer struct {
	name  string
	asked []string // names of the questions that it can answer, besides those that only the registry is asked
	// servfail is what it answers where a name does not exist: that it cannot tell.
	servfail bool
	// floor says that it looks nothing up: its answers are not compared with anything.
	floor bool
	// alone says that it is no plugin, and has no others beside it.
	alone bool
	// program is what must be installed, if it is not our build of CoreDNS.
	program string
	start   func(ctx context.Context, b *bench, s *server) error
}

// ours is the name of the peer that the others are held against.
const ours = "registry"

var everything = []string{"A", "AAAA", "SRV", "PTR", "NXDOMAIN"}

var peers = []peer{
	{name: ours, asked: everything, start: startRegistry},
	{name: "hosts", asked: []string{"A", "AAAA", "PTR", "NXDOMAIN"}, servfail: true, start: startHosts},
	{name: "file", asked: everything, start: startFile},
	{name: "kubernetes", asked: everything, start: startKubernetes},
	{name: "whoami", asked: everything, floor: true, start: startWhoami},
	{name: "NSD", asked: everything, alone: true, program: "nsd", start: startNSD},
	{name: "Knot", asked: everything, alone: true, program: "knotd", start: startKnot},
}

// A server is a running peer.
type server struct {
	*process
	peer
	world
	observed bool   // with the plugins errors and prometheus
	address  string // of DNS
	endpoint string // of registration, if it is the registry
	empty    int    // bytes of memory that it had before it was told the world, if it is
	ready    string // address of the plugin ready, if it is wanted

	// free is what the environment of a server has more that runs on all cores; nil is for
	// one that has one core.
	free []string
}

func (s *server) String() string {
	if s.observed {
		return s.name + ", observed"
	}
	return s.name
}

// installed reports whether the peer can be started here.
func (p peer) installed() bool {
	if p.program == "" {
		return true
	}
	_, err := exec.LookPath(p.program)
	return err == nil
}

func (p peer) answers(q question) bool {
	if q.own {
		return p.name == ours
	}
	return slices.Contains(p.asked, q.name)
}

// rcode is what the peer answers the question with.
func (p peer) rcode(q question) int {
	switch {
	case p.floor:
		return dns.RcodeSuccess
	case p.servfail && q.rcode == dns.RcodeNameError:
		return dns.RcodeServerFailure
	}
	return q.rcode
}

// serve starts a peer, and returns when it answers for all of the world.
func (b *bench) serve(ctx context.Context, p peer, w world, observed bool) (*server, error) {
	s := &server{peer: p, world: w, observed: observed}
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if err := p.start(ctx, b, s); err != nil {
		return nil, fmt.Errorf("start %s: %w", s, err)
	}
	if err := s.wait(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w\n%s", s, err, s.said())
	}
	return s, nil
}

// freeAddress is one of loopback where both a TCP and a UDP port were free just now.
func freeAddress() (string, error) {
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		tcp.Close()
		if err == nil {
			udp.Close()
			return tcp.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("no port is free for both TCP and UDP")
}

// write makes a file in the bench's directory.
func (b *bench) write(pattern string, content func(*os.File) error) (path string, err error) {
	f, err := os.CreateTemp(b.dir, pattern)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := content(f); err != nil {
		return "", fmt.Errorf("write %s: %w", filepath.Base(f.Name()), err)
	}
	return f.Name(), nil
}

func (b *bench) writeText(pattern, text string) (path string, err error) {
	return b.write(pattern, func(f *os.File) error {
		_, err := f.WriteString(text)
		return err
	})
}
