// Package plugin is the registry as a platform team adds it to their own
// CoreDNS. Its import path is all that stands in the plugin.cfg of an
// unmodified CoreDNS checkout:
//
//	registry:github.com/coredns-registry/registry/plugin
//
// It links the plugin and whatever else belongs to it, so that the line
// stays the same when the registry grows. README.md has the steps.
package plugin

import (
	_ "github.com/coredns-registry/registry"
)
