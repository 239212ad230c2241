package registry

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/engine"

	"github.com/coredns/coredns/plugin/pkg/fall"
)

// Config is what one server block's Corefile says. The zero value is not valid; parse
// starts from the defaults.
type Config struct {
	Zones  []string
	Listen string // host:port
	Dir    string // of the store on disk, absolute; empty for a table in memory
	TTL    time.Duration

	Most         int // records in one answer; 0 is all
	TransferMost int // records of one name and type in a zone transfer; 0 is all
	Fall         fall.F

	Shared
}

// Shared is what a server block says of its endpoint and table, which other blocks may
// share: what one leaves open another may say, and where two say it they must agree. The
// zero value says nothing.
type Shared struct {
	Leases   *engine.LeaseRange `directive:"lease"`
	Eviction *engine.Eviction   `directive:"eviction"`
	Networks []netip.Prefix     `directive:"admit"` // as in engine.Rules
	Limits   map[string]int     `directive:"limit"` // by kind, see limitKinds

	TLS      *TLSFiles `directive:"tls"`
	Tokens   *string   `directive:"tokens"` // path of the file
	Audit    *string   `directive:"audit"`  // likewise
	Insecure bool      `directive:"insecure"`
}

// rules returns the engine's rules, with the defaults where nothing is set.
func (s *Shared) rules() engine.Rules {
	rules := engine.DefaultRules
	if s.Leases != nil {
		rules.Leases = *s.Leases
	}
	if s.Eviction != nil {
		rules.Eviction = *s.Eviction
	}
	for kind, n := range s.Limits {
		if limit := rules.Limits.Of(kind); limit != nil { // else it is a limit of the endpoint
			*limit = n
		}
	}
	rules.Networks = s.Networks
	return rules
}

// TLSFiles are the files with the endpoint's certificate and, where clients need one, with
// the authorities that must have issued it.
type TLSFiles struct{ Cert, Key, ClientCA string }

// The defaults of the Corefile; those of what engine.Rules has are there.
const (
	defaultListen = "127.0.0.1:8053"
	defaultTTL    = 5 * time.Second
)

// directive is one line that a block may have.
type directive struct {
	least, most int // arguments
	usage       string
	paths       bool // the arguments are files
	byKind      bool // once for each first argument, else once
	parse       func(config *Config, args []string) error
}

var directives = map[string]directive{
	"listen": {least: 1, most: 1, usage: "ADDRESS", parse: parseListen},
	"tls":    {least: 2, most: 3, usage: "CERT KEY [CLIENT_CA]", paths: true, parse: parseTLS},
	"tokens": {least: 1, most: 1, usage: "FILE", paths: true, parse: func(config *Config, args []string) error {
		config.Tokens = &args[0]
		return nil
	}},
	"insecure": {parse: func(config *Config, _ []string) error {
		config.Insecure = true
		return nil
	}},
	"audit": {least: 1, most: 1, usage: "FILE", paths: true, parse: func(config *Config, args []string) error {
		config.Audit = &args[0]
		return nil
	}},
	"admit": {least: 1, most: math.MaxInt, usage: "CIDR...", parse: parseAdmit},
	"limit": {least: 2, most: 2, usage: "KIND NUMBER", byKind: true, parse: parseLimit},
	"store": {least: 1, most: 2, usage: "memory, or store disk DIR", parse: parseStore},
	"ttl": {least: 1, most: 1, usage: "DURATION", parse: func(config *Config, args []string) (err error) {
		config.TTL, err = parseSeconds(args[0], 0, time.Hour)
		return err
	}},
	"lease":    {least: 1, most: 3, usage: "DEFAULT [MIN MAX]", parse: parseLease},
	"eviction": {least: 1, most: 2, usage: "PERCENT [FLOOR]", parse: parseEviction},
	"answers":  {least: 1, most: 2, usage: "MAX [transfer]", parse: parseAnswers},
	"fallthrough": {most: math.MaxInt, usage: "[ZONES...]", parse: func(config *Config, args []string) error {
		config.Fall.SetZonesFromArgs(args)
		return nil
	}},
}

// limitKinds are the kinds of `limit`: the quotas of the table, and how many requests one
// credential or address may send in a second.
var limitKinds = append(slices.Clip(engine.LimitKinds), requestsPerSecond)

const requestsPerSecond = "requests-per-second"

// parseListen takes any address: whether it needs access control the whole of the
// endpoint's settings say.
func parseListen(config *Config, args []string) error {
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return fmt.Errorf("is not an address: write host and port, such as %s", defaultListen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port: it must be 0 to 65535", port)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil && host != "" {
		return fmt.Errorf("%q is not an IP address: write one, such as 127.0.0.1", host)
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

func parseAdmit(config *Config, args []string) error {
	for _, arg := range args {
		p, err := netip.ParsePrefix(arg)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a network: write its address and length, such as 10.0.0.0/8 or 2001:db8::/32", arg)
		case p != p.Masked():
			return fmt.Errorf("%s has host bits set: write %s", arg, p.Masked())
		case p.Addr().Is4In6():
			return fmt.Errorf("%s is an IPv4 network written as IPv6: write it as IPv4", arg)
		}
		config.Networks = append(config.Networks, p)
	}
	return nil
}

func parseLimit(config *Config, args []string) error {
	kind := args[0]
	if !slices.Contains(limitKinds, kind) {
		return fmt.Errorf("unknown limit %q: it must be one of %s", kind, strings.Join(limitKinds, ", "))
	}
	n, err := strconv.ParseUint(args[1], 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a limit: it must be a number, or 0 for no limit", args[1])
	}
	if config.Limits == nil {
		config.Limits = make(map[string]int)
	}
	config.Limits[kind] = int(n)
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
	return fmt.Errorf("unknown store: write memory, or disk and a directory")
}

// The bounds of any lease: a second is the shortest that leaseSeconds can tell, and a year is
// longer than any lease makes sense.
const (
	shortestLease = time.Second
	longestLease  = 365 * 24 * time.Hour
)

func parseLease(config *Config, args []string) error {
	if len(args) == 2 {
		return fmt.Errorf("MIN without MAX: write DEFAULT, or DEFAULT MIN MAX")
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
		return 0, fmt.Errorf("%q is not a duration: write a number and its unit, such as 30s, 5m or 1h", s)
	case d < least || d > most:
		return 0, fmt.Errorf("%s is out of range: it must be %s to %s", s, least, most)
	case d%time.Second != 0:
		return 0, fmt.Errorf("%s has a fraction of a second: write whole seconds", s)
	}
	return d, nil
}

func parseEviction(config *Config, args []string) error {
	eviction := engine.DefaultRules.Eviction
	percent, err := strconv.ParseUint(strings.TrimSuffix(args[0], "%"), 10, 8)
	if err != nil || percent > 100 {
		return fmt.Errorf("%q is not a percentage: it must be 0 to 100", args[0])
	}
	eviction.Percent = int(percent)
	if len(args) == 2 {
		floor, err := strconv.ParseUint(args[1], 10, 31)
		if err != nil {
			return fmt.Errorf("%q is not a number of instances: it must be 0 or more", args[1])
		}
		eviction.Floor = int(floor)
	}
	config.Eviction = &eviction
	return nil
}

func parseAnswers(config *Config, args []string) error {
	n, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a number of records: it must be 0 (all) to 65535", args[0])
	}
	config.Most = int(n)
	if len(args) == 2 {
		if args[1] != "transfer" {
			return fmt.Errorf("%q is unknown: write MAX, or MAX transfer to bound zone transfers too", args[1])
		}
		config.TransferMost = config.Most
	}
	return nil
}
