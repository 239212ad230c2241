package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

// Servers for zones that never change, in C: what can be had without Go and without plugins.

const nsdConf = `server:
  ip-address: %s@%s
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "%[3]s"
  zonelistfile: "%[3]s/zone.list"
  xfrdfile: "%[3]s/xfrd.state"
  xfrdir: "%[3]s"
  pidfile: ""
  database: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "%s"
  zonefile: "%s"
zone:
  name: "%s"
  zonefile: "%s"
`

func startNSD(ctx context.Context, b *bench, s *server) error {
	return b.nameserver(ctx, s, nsdConf, "nsd", "-d", "-c")
}

const knotConf = `server:
  listen: "%s@%s"
  rundir: "%[3]s"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "%[3]s"
zone:
  - domain: "%s"
    file: "%s"
    zonefile-sync: -1
    journal-content: none
  - domain: "%s"
    file: "%s"
    zonefile-sync: -1
    journal-content: none
`

func startKnot(ctx context.Context, b *bench, s *server) error {
	return b.nameserver(ctx, s, knotConf, "knotd", "-c")
}

// nameserver starts a program with a configuration, the path of which is its last argument.
func (b *bench) nameserver(ctx context.Context, s *server, conf, program string, args ...string) error {
	forward, backward, err := b.zoneFiles(s.world)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, program+"-*")
	if err != nil {
		return err
	}
	path, err := b.writeText(program+"-*.conf", fmt.Sprintf(conf, host, port, dir, zone, forward, reverseZone, backward))
	if err != nil {
		return err
	}
	s.process, err = b.launch(ctx, program, append(args, path)...)
	return err
}
