// Command coredns is CoreDNS with the registry plugin and the plugins that
// its users need beside it, and without the cloud providers: it compiles in
// a fraction of the time. Its flags are those of CoreDNS. To have the plugin
// in a CoreDNS with everything, see the package plugin.
package main

import (
	"log"
	"runtime/debug"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

func main() {
	// CoreDNS starts with the order of its own plugin.cfg, in which ours has no place.
	if err := dnsserver.SetDirectives(directives); err != nil {
		log.Fatalf("set the order of plugins: %v", err)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		showRegistry(info)
	}
	coremain.Run()
}

// showRegistry has -version, *chaos* and the build_info metric name the
// registry beside CoreDNS: two programs of one CoreDNS version may well
// differ in their registry.
func showRegistry(info *debug.BuildInfo) {
	caddy.AppVersion = coremain.CoreVersion + ", registry " + info.Main.Version
	if coremain.GitCommit == "" { // else the linker was told
		coremain.GitCommit = commit(info)
	}
}

// commit is the commit that the binary was built from, cut as git cuts it,
// and marked when the checkout had other changes; "unknown" without git.
func commit(info *debug.BuildInfo) string {
	revision, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) > 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return revision + dirty
}
