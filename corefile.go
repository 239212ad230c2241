package registry

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

// parse reads the block of a Corefile. Its errors name the directive, the value and what would be
// right.
func parse(c *caddy.Controller) (*Config, error) {
	config := &Config{Listen: defaultListen, TTL: defaultTTL}
	c.Next() // the plugin's name
	zones := c.RemainingArgs()
	config.Zones = plugin.OriginsFromArgsOrServerBlock(zones, c.ServerBlockKeys)
	if len(config.Zones) == 0 {
		return nil, c.Errf("%q is not a valid zone: write a domain name such as cluster.local", zones)
	}
	if answer.Primary(config.Zones) == "" {
		return nil, c.Errf("every zone of %v is a reverse zone: PTR records point into a forward zone, add one such as cluster.local", config.Zones)
	}
	for _, zone := range config.Zones {
		if len(zone) > answer.LongestZone {
			return nil, c.Errf("zone %q has %d bytes: at most %d leave room for the names of its own, such as ns.dns", zone, len(zone), answer.LongestZone)
		}
	}
	seen := map[string]bool{}
	for c.NextBlock() {
		name := c.Val()
		directive, ok := directives[name]
		if !ok {
			return nil, c.Errf("unknown directive %q: it must be one of %s", name, strings.Join(slices.Sorted(maps.Keys(directives)), ", "))
		}
		args := c.RemainingArgs()
		once := name
		if directive.byKind && len(args) > 0 {
			once += " " + args[0]
		}
		if seen[once] {
			return nil, c.Errf("duplicate directive %q: write it once", once)
		}
		seen[once] = true
		if len(args) < directive.least || len(args) > directive.most {
			return nil, c.Errf("%s has %d arguments: write %q", name, len(args), strings.TrimSpace(name+" "+directive.usage))
		}
		if directive.paths {
			args = inRoot(dnsserver.GetConfig(c).Root, args)
		}
		if err := directive.parse(config, args); err != nil {
			return nil, c.Errf("%s %s: %v", name, strings.Join(args, " "), err)
		}
	}
	if c.Next() {
		return nil, fmt.Errorf("%w: one table serves all the zones of a server block", plugin.ErrOnce)
	}
	return config, nil
}

// inRoot makes paths absolute: a relative path is in the directory that *root* names, else in
// the working directory.
func inRoot(root string, paths []string) []string {
	all := make([]string, len(paths))
	for n, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		all[n] = path
		if abs, err := filepath.Abs(path); err == nil { // else there is no working directory
			all[n] = abs
		}
	}
	return all
}
