package registry

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
)

// parse reads the plugin's directives. Its errors name the directive, the value and what
// would be right.
func parse(c *caddy.Controller) (*Config, error) {
	config := &Config{Listen: defaultListen, TTL: defaultTTL}
	c.Next() // the plugin's name
	zones := c.RemainingArgs()
	config.Zones = plugin.OriginsFromArgsOrServerBlock(zones, c.ServerBlockKeys)
	if len(config.Zones) == 0 {
		return nil, c.Errf("%q is no zone: write a domain name such as cluster.local", zones)
	}
	if answer.Primary(config.Zones) == "" {
		return nil, c.Errf("every zone of %v is a reverse zone: PTR records need one to lead into, such as cluster.local", config.Zones)
	}
	seen := map[string]bool{}
	for c.NextBlock() {
		name := c.Val()
		directive, ok := directives[name]
		if !ok {
			return nil, c.Errf("unknown directive %q: it is one of %s", name, directiveNames)
		}
		if seen[name] {
			return nil, c.Errf("%s stands twice: write it once", name)
		}
		seen[name] = true
		args := c.RemainingArgs()
		if len(args) < directive.least || len(args) > directive.most {
			return nil, c.Errf("%s has %d arguments: write %q", name, len(args), strings.TrimSpace(name+" "+directive.usage))
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

// directive is one line that a block may have.
type directive struct {
	least, most int // arguments
	usage       string
	parse       func(config *Config, args []string) error
}

var directives = map[string]directive{
	"listen":      {1, 1, "ADDRESS", parseListen},
	"store":       {1, 2, "memory, or store disk DIR", parseStore},
	"ttl":         {1, 1, "DURATION", parseTTL},
	"lease":       {1, 3, "DEFAULT [MIN MAX]", parseLease},
	"eviction":    {1, 2, "PERCENT [FLOOR]", parseEviction},
	"answers":     {1, 1, "MAX", parseAnswers},
	"fallthrough": {0, math.MaxInt, "[ZONES...]", parseFallthrough},
}

const directiveNames = "listen, store, ttl, lease, eviction, answers, fallthrough"

// parseListen takes loopback addresses only: whoever reaches the endpoint may do
// everything.
func parseListen(config *Config, args []string) error {
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return fmt.Errorf("is no address: write host and port, such as %s", defaultListen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is no port: it is 0 to 65535", port)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil && host != "" {
		return fmt.Errorf("%q is no IP address: write one, such as 127.0.0.1", host)
	}
	if !ip.IsLoopback() {
		return fmt.Errorf("is not a loopback address: without access control whoever reaches the endpoint could take over any name, so it listens on 127.0.0.0/8 or [::1] only")
	}
	config.Listen = net.JoinHostPort(ip.String(), port)
	return nil
}

func parseStore(config *Config, args []string) error {
	switch {
	case args[0] == "memory" && len(args) == 1:
		config.Dir = ""
		return nil
	case args[0] == "disk" && len(args) == 2:
		dir, err := filepath.Abs(args[1])
		config.Dir = dir
		return err
	}
	return fmt.Errorf("is no store: write memory, or disk and a directory")
}

func parseTTL(config *Config, args []string) (err error) {
	config.TTL, err = parseSeconds(args[0], 0, time.Hour)
	return err
}

// The bounds on any lease: one second is the shortest that can be told in seconds, a
// year is longer than any lease makes sense.
const (
	shortestLease = time.Second
	longestLease  = 365 * 24 * time.Hour
)

func parseLease(config *Config, args []string) error {
	if len(args) == 2 {
		return fmt.Errorf("has a MIN and no MAX: write DEFAULT, or DEFAULT MIN MAX")
	}
	leases := defaultLeases
	into := []*time.Duration{&leases.Default, &leases.Min, &leases.Max}
	for i, arg := range args {
		d, err := parseSeconds(arg, shortestLease, longestLease)
		if err != nil {
			return err
		}
		*into[i] = d
	}
	if leases.Default < leases.Min || leases.Default > leases.Max {
		return fmt.Errorf("the default %s is not between the shortest %s and the longest %s: write DEFAULT MIN MAX with MIN <= DEFAULT <= MAX",
			leases.Default, leases.Min, leases.Max)
	}
	config.Leases = &leases
	return nil
}

// parseSeconds takes a duration of whole seconds, the unit of DNS and of leases.
func parseSeconds(s string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no duration: write a number and its unit, such as 30s, 5m or 1h", s)
	case d < least || d > most:
		return 0, fmt.Errorf("%s is out of range: it is %s to %s", s, least, most)
	case d%time.Second != 0:
		return 0, fmt.Errorf("%s has a fraction of a second: write whole seconds", s)
	}
	return d, nil
}

func parseEviction(config *Config, args []string) error {
	eviction := defaultEviction
	percent, err := strconv.ParseUint(strings.TrimSuffix(args[0], "%"), 10, 8)
	if err != nil || percent > 100 {
		return fmt.Errorf("%q is no percentage: it is 0 to 100", args[0])
	}
	eviction.Percent = int(percent)
	if len(args) == 2 {
		floor, err := strconv.ParseUint(args[1], 10, 31)
		if err != nil {
			return fmt.Errorf("%q is no number of instances: it is 0 or more", args[1])
		}
		eviction.Floor = int(floor)
	}
	config.Eviction = &eviction
	return nil
}

func parseAnswers(config *Config, args []string) error {
	n, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return fmt.Errorf("is no number of records: it is 0 (all) to 65535")
	}
	config.Most = int(n)
	return nil
}

func parseFallthrough(config *Config, args []string) error {
	config.Fall.SetZonesFromArgs(args)
	return nil
}
