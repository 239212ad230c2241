package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// coredns starts a CoreDNS with a plugin, and those for observation where they are wanted.
func (b *bench) coredns(ctx context.Context, s *server, plugin string) error {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	lines := []string{"bind 127.0.0.1", plugin}
	if s.observed {
		metrics, err := freeAddress()
		if err != nil {
			return err
		}
		lines = append(lines, "errors", "prometheus "+metrics)
	}
	if s.ready != "" {
		lines = append(lines, "ready "+s.ready)
	}
	corefile, err := b.writeText("Corefile-*", fmt.Sprintf(".:%s {\n%s\n}\n", port, strings.Join(lines, "\n")))
	if err != nil {
		return err
	}
	if s.free != nil {
		s.process, err = b.background(unpinned(ctx, s.free, b.program, "-conf", corefile), b.program)
		return err
	}
	s.process, err = b.launch(ctx, b.program, "-conf", corefile)
	return err
}

func startRegistry(ctx context.Context, b *bench, s *server) error {
	err := b.emptyRegistry(ctx, s, "store memory")
	if err != nil {
		return err
	}
	if s.empty, _, err = s.memory(); err != nil {
		return err
	}
	return fill(ctx, s)
}

// emptyRegistry starts a registry that nothing is registered with.
func (b *bench) emptyRegistry(ctx context.Context, s *server, lines ...string) (err error) {
	if s.endpoint, err = freeAddress(); err != nil {
		return err
	}
	lines = append(lines, "listen "+s.endpoint, fmt.Sprintf("ttl %ds", ttl))
	if err := b.coredns(ctx, s, fmt.Sprintf("registry %s %s {\n%s\n}", zone, reverseZone, strings.Join(lines, "\n"))); err != nil {
		return err
	}
	return s.waitEndpoint(ctx)
}

func startHosts(ctx context.Context, b *bench, s *server) error {
	path, err := b.write("hosts-*", func(f *os.File) error { return s.writeHosts(f) })
	if err != nil {
		return err
	}
	return b.coredns(ctx, s, fmt.Sprintf("hosts %s %s %s {\nttl %d\n}", path, zone, reverseZone, ttl))
}

func startFile(ctx context.Context, b *bench, s *server) error {
	forward, backward, err := b.zoneFiles(s.world)
	if err != nil {
		return err
	}
	return b.coredns(ctx, s, fmt.Sprintf("file %s %s\nfile %s %s", forward, zone, backward, reverseZone))
}

func (b *bench) zoneFiles(w world) (forward, backward string, err error) {
	if forward, err = b.write("zone-*", func(f *os.File) error { return w.writeZone(f) }); err != nil {
		return "", "", err
	}
	backward, err = b.write("reverse-*", func(f *os.File) error { return w.writeReverseZone(f) })
	return forward, backward, err
}

func startKubernetes(ctx context.Context, b *bench, s *server) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	api := &http.Server{Handler: s.cluster().Handler()}
	go api.Serve(listener) // until the context ends
	context.AfterFunc(ctx, func() { api.Close() })
	return b.coredns(ctx, s, fmt.Sprintf("kubernetes %s %s {\nendpoint http://%s\nttl %d\n}", zone, reverseZone, listener.Addr(), ttl))
}

func startWhoami(ctx context.Context, b *bench, s *server) error {
	return b.coredns(ctx, s, "whoami")
}
