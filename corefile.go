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
	"github.com/coredns-registry/registry/internal/engine"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
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
			return nil, c.Errf("unknown directive %q: it is one of %s", name, directiveNames)
		}
		args := c.RemainingArgs()
		once := name
		if name == "limit" && len(args) > 0 {
			once += " " + args[0] // one of each kind
		}
		if seen[once] {
			return nil, c.Errf("%s stands twice: write it once", once)
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

// directive is one line that a block may have.
type directive struct {
	least, most int // arguments
	usage       string
	paths       bool // the arguments are files
	parse       func(config *Config, args []string) error
}

var directives = map[string]directive{
	"listen":      {1, 1, "ADDRESS", false, parseListen},
	"tls":         {2, 3, "CERT KEY [CLIENT_CA]", true, parseTLS},
	"tokens":      {1, 1, "FILE", true, parseTokens},
	"insecure":    {0, 0, "", false, parseInsecure},
	"audit":       {1, 1, "FILE", true, parseAudit},
	"admit":       {1, math.MaxInt, "CIDR...", false, parseAdmit},
	"limit":       {2, 2, "KIND NUMBER", false, parseLimit},
	"store":       {1, 2, "memory, or store disk DIR", false, parseStore},
	"ttl":         {1, 1, "DURATION", false, parseTTL},
	"lease":       {1, 3, "DEFAULT [MIN MAX]", false, parseLease},
	"eviction":    {1, 2, "PERCENT [FLOOR]", false, parseEviction},
	"answers":     {1, 2, "MAX [transfer]", false, parseAnswers},
	"fallthrough": {0, math.MaxInt, "[ZONES...]", false, parseFallthrough},
}

const directiveNames = "listen, tls, tokens, insecure, audit, admit, limit, store, ttl, lease, eviction, answers, fallthrough"

// inRoot makes paths absolute: those that are not are in the directory that *root* names,
// else in the one that the process was started in.
func inRoot(root string, paths []string) []string {
	all := make([]string, len(paths))
	for n, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		all[n] = path
		if abs, err := filepath.Abs(path); err == nil { // else there is no directory that we are in
			all[n] = abs
		}
	}
	return all
}

// parseListen takes any address: whether it needs access control the whole of the
// endpoint's settings say.
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
	if host != "" {
		host = ip.String()
	}
	config.Listen = net.JoinHostPort(host, port)
	return nil
}

func parseTLS(config *Config, args []string) error {
	config.TLS = &TLSFiles{Cert: args[0], Key: args[1]}
	if len(args) == 3 {
		config.TLS.ClientCA = args[2]
	}
	return nil
}

func parseTokens(config *Config, args []string) error {
	config.Tokens = &args[0]
	return nil
}

func parseInsecure(config *Config, _ []string) error {
	config.Insecure = true
	return nil
}

func parseAudit(config *Config, args []string) error {
	config.Audit = &args[0]
	return nil
}

func parseAdmit(config *Config, args []string) error {
	for _, arg := range args {
		p, err := netip.ParsePrefix(arg)
		switch {
		case err != nil:
			return fmt.Errorf("%q is no network: write its address and length, such as 10.0.0.0/8 or 2001:db8::/32", arg)
		case p != p.Masked():
			return fmt.Errorf("%s has bits behind its length: write %s", arg, p.Masked())
		case p.Addr().Is4In6():
			return fmt.Errorf("%s is an IPv4 network written as IPv6: instances have no such addresses", arg)
		}
		config.Networks = append(config.Networks, p)
	}
	return nil
}

func parseLimit(config *Config, args []string) error {
	if new(engine.Limits).Of(args[0]) == nil {
		return fmt.Errorf("%q is no kind of limit: it is one of %s", args[0], engine.LimitKinds)
	}
	n, err := strconv.ParseUint(args[1], 10, 31)
	if err != nil {
		return fmt.Errorf("%q is no number: it is 1 or more, or 0 for no limit", args[1])
	}
	if config.Limits == nil {
		config.Limits = make(map[string]int)
	}
	config.Limits[args[0]] = int(n)
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
	leases := engine.DefaultRules.Leases
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
	eviction := engine.DefaultRules.Eviction
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
		return fmt.Errorf("%q is no number of records: it is 0 (all) to 65535", args[0])
	}
	config.Most = int(n)
	if len(args) == 2 {
		if args[1] != "transfer" {
			return fmt.Errorf("%q is unknown: write MAX, or MAX transfer where zone transfers are bounded too", args[1])
		}
		config.TransferMost = config.Most
	}
	return nil
}

func parseFallthrough(config *Config, args []string) error {
	config.Fall.SetZonesFromArgs(args)
	return nil
}
