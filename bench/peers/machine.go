package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine says in a line what figures were measured on, and with which CoreDNS.
func (b *bench) machine() string {
	coredns := "CoreDNS of unknown version"
	if text, err := exec.Command(b.program, "-version").Output(); err == nil {
		coredns, _, _ = strings.Cut(string(text), "\n")
	}
	return fmt.Sprintf("%s, %d cores, %s %s, %s, %s",
		field("/proc/cpuinfo", "model name"), runtime.NumCPU(), runtime.GOOS, kernel(), runtime.Version(), coredns)
}

// field is the first value of a name in a file of lines like "name : value".
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of unknown release"
	}
	return strings.TrimSpace(string(text))
}

// commit is that of the checkout, as git tells it.
func commit() string {
	text, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
