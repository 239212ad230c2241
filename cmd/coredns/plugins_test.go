package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// Until main runs, dnsserver.Directives is the order of CoreDNS's own plugin.cfg.
func TestOrderIsThatOfCoreDNSWithRegistryBeforeHosts(t *testing.T) {
	whole := slices.Clone(dnsserver.Directives)
	whole = slices.Insert(whole, slices.Index(whole, "hosts"), "registry")

	var want []string
	for _, d := range whole {
		if d == "registry" || slices.Contains(directives, d) {
			want = append(want, d)
		}
	}
	if !slices.Equal(directives, want) {
		t.Errorf("directives\n got %q\nwant %q", directives, want)
	}
}

func TestEveryDirectiveHasItsPlugin(t *testing.T) {
	for _, d := range directives {
		if _, err := caddy.DirectiveAction("dns", d); err != nil {
			t.Errorf("%s stands in the order, but nothing imports its package: %v", d, err)
		}
	}
}

// CoreDNS never runs a plugin that the order leaves out, and does not say so.
func TestEveryPluginHasItsDirective(t *testing.T) {
	for _, name := range caddy.ListPlugins()["others"] {
		name = strings.TrimPrefix(name, "dns.")
		if !slices.Contains(directives, name) {
			t.Errorf("%s is linked, but does not stand in the order", name)
		}
	}
}

// The setups run, the startups do not: no socket is opened.
func TestCorefileIsUnderstood(t *testing.T) {
	ofCoreDNS := dnsserver.Directives
	t.Cleanup(func() { dnsserver.Directives = ofCoreDNS })
	if err := dnsserver.SetDirectives(directives); err != nil {
		t.Fatal(err)
	}

	text, err := os.ReadFile("../../Corefile")
	if err != nil {
		t.Fatal(err)
	}
	corefile := caddy.CaddyfileInput{Filepath: "Corefile", Contents: text, ServerTypeName: "dns"}
	if err := caddy.ValidateAndExecuteDirectives(corefile, nil, true); err != nil {
		t.Errorf("Corefile: %v", err)
	}
}
