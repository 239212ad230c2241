// Package registry is a CoreDNS plugin that keeps an in-memory table of services, fed by
// a small registration endpoint, and answers DNS queries for it as cluster DNS does.
//
// Read [Registry] first: it tells how a change and how a query goes.
package registry

import (
	"net"
	"net/netip"
	"runtime"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"
)

func init() {
	plugin.Register(pluginName, setup)

	// Linux gives a signal for the process to its first thread if it can, and then to no
	// other. Were that one writing to a disk that hangs, SIGTERM and SIGUSR1 would be heard
	// when the disk is back, or when the runtime happens to signal another thread: up to two
	// minutes later. An init that locks its thread keeps the first one for main, which does
	// nothing but wait once CoreDNS has started.
	runtime.LockOSThread()
}

// setup puts the plugin into its server block. It opens nothing: a Corefile that turns
// out wrong further down must leave no trace.
func setup(c *caddy.Controller) error {
	config, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	g := generationOf(c)
	if err := g.add(config); err != nil {
		return plugin.Error(pluginName, err)
	}
	server := dnsserver.GetConfig(c)
	h := newHandler(config, nameServers(server.ListenHosts))
	complete := h.addTo(server)

	stop := func() {}
	c.OnStartup(func() error {
		complete()
		if err := open.acquire(g, h, config); err != nil {
			return plugin.Error(pluginName, err)
		}
		if t, ok := server.Handler("transfer").(*transfer.Transfer); ok {
			stop = h.startNotify(t)
		}
		return nil
	})
	c.OnShutdown(func() error {
		stop()
		return open.release(g, h)
	})
	// A reload that fails runs no callback of the generation that failed.
	c.OnRestartFailed(func() error { return open.keepOnly(g) })
	return nil
}

// nameServers returns the addresses that the server is bound to, else those of its
// interfaces: without the link-local ones, and loopback only if there is no other.
func nameServers(bound []string) []netip.Addr {
	var addrs []netip.Addr
	for _, host := range bound {
		if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
			addrs = append(addrs, ip.WithZone("").Unmap())
		}
	}
	if len(addrs) > 0 {
		return distinct(addrs)
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		log.Warningf("Reading the addresses of the interfaces: %v: ns.dns has none", err)
	}
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil && !prefix.Addr().IsLinkLocalUnicast() {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	addrs = distinct(addrs)
	if outside := slices.DeleteFunc(slices.Clone(addrs), netip.Addr.IsLoopback); len(outside) > 0 {
		return outside
	}
	return addrs
}

func distinct(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
