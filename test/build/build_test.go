//go:build build

// Package build walks the road of plugin/README.md as a platform team does:
// an unmodified CoreDNS, our plugin.cfg, go generate, go build. Then the
// binary must take a registration and answer for it. All of CoreDNS is
// compiled, so it has a build tag: make test-build.
package build

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	ourModule = "github.com/coredns-registry/registry"
	ourLine   = "registry:" + ourModule + "/plugin"
)

func TestUnmodifiedCoreDNSServesTheRegistry(t *testing.T) {
	checkout := t.TempDir()
	if err := os.CopyFS(checkout, os.DirFS(coreDNS(t))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(checkout, "plugin.cfg"), []byte(ourPluginCfg(t)), 0o644); err != nil {
		t.Fatal(err)
	}

	run(t, checkout, "go", "generate")
	run(t, checkout, "go", "mod", "edit", "-require="+ourModule+"@v0.0.0", "-replace="+ourModule+"="+ourCheckout(t))
	run(t, checkout, "go", "build", "-mod=mod")

	server := start(t, filepath.Join(checkout, "coredns"))
	server.register(t, "default", "web", "web-1",
		`{"addresses":["192.0.2.7"],"ports":[{"name":"http","port":8080}]}`)
	server.wantAddress(t, "web.default.svc.cluster.local.", "192.0.2.7")
	server.wantTarget(t, "_http._tcp.web.default.svc.cluster.local.", "web-1.web.default.svc.cluster.local.", 8080)
}

func TestPluginCfgIsThatOfCoreDNSAndOneLine(t *testing.T) {
	theirs, err := os.ReadFile(filepath.Join(coreDNS(t), "plugin.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(theirs), "\n")
	want = slices.Insert(want, slices.Index(want, "hosts:hosts"), ourLine)

	if got := strings.Split(ourPluginCfg(t), "\n"); !slices.Equal(got, want) {
		t.Errorf("plugin/plugin.cfg is not CoreDNS's with %q before hosts:\n%s", ourLine, strings.Join(got, "\n"))
	}
}

// coreDNS is the source of the CoreDNS that go.mod names, as the module cache
// has it: read only, checked against go.sum, downloaded when it is missing.
func coreDNS(t *testing.T) string {
	t.Helper()
	var module struct{ Dir string }
	answer := run(t, ourCheckout(t), "go", "mod", "download", "-json", "github.com/coredns/coredns")
	if err := json.Unmarshal(answer, &module); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return module.Dir
}

func ourPluginCfg(t *testing.T) string {
	t.Helper()
	cfg, err := os.ReadFile(filepath.Join(ourCheckout(t), "plugin", "plugin.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	return string(cfg)
}

func ourCheckout(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run gives what the command wrote to its standard output.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	t.Log(name, strings.Join(args, " "))
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &complaint)
	}
	return out
}
