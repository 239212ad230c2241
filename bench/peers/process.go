package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a program that runs until it is stopped.
type process struct {
	cmd    *exec.Cmd
	began  time.Time
	log    string // the file with what it said
	exited chan struct{}
}

// pinned is a command that runs on one core; Go programs then have one thread for Go code.
func pinned(ctx context.Context, core int, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core), name}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd
}

// unpinned is a command that runs on any core, with that added to its environment.
func unpinned(ctx context.Context, environment []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), environment...)
	return cmd
}

// launch starts a program in the background, on the core of the server. It ends with the
// mode, if not before.
func (b *bench) launch(ctx context.Context, name string, args ...string) (*process, error) {
	return b.background(pinned(ctx, b.serverCore, name, args...), name)
}

// background starts a command like launch, wherever it is to run.
func (b *bench) background(cmd *exec.Cmd, name string) (*process, error) {
	log, err := os.CreateTemp(b.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p := &process{cmd: cmd, began: time.Now(), log: log.Name(), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // whoever needs the process finds it gone
	}()
	b.launched = append(b.launched, p)
	return p, nil
}

// stopAll ends what was launched.
func (b *bench) stopAll() {
	for _, p := range b.launched {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // all at once; it may have ended
	}
	for _, p := range b.launched {
		p.stop()
	}
	b.launched = nil
}

// stop ends the process, and kills it if it takes long.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// said is the end of what the process said.
func (p *process) said() string {
	text, _ := os.ReadFile(p.log) // what cannot be read is not shown
	return string(text[max(0, len(text)-2000):])
}

// cpu is the time that the process and its children have had a core, in full: the kernel
// counts it in nanoseconds. Threads that have ended are left out; servers keep theirs.
func (p *process) cpu() (time.Duration, error) { return cpuOfTree(p.cmd.Process.Pid) }

func cpuOfTree(pid int) (sum time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("read the CPU time of process %d: it is gone", pid)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(filepath.Join(thread, "schedstat"))
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of a thread: %w", err)
		}
		had, err := parseSchedstat(text)
		if err != nil {
			return 0, err
		}
		sum += had
		children, err := os.ReadFile(filepath.Join(thread, "children"))
		if err != nil {
			return 0, fmt.Errorf("read the children of a thread: %w", err)
		}
		for _, word := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return 0, fmt.Errorf("read the children of a thread: %w", err)
			}
			had, err := cpuOfTree(child)
			if err != nil {
				return 0, err
			}
			sum += had
		}
	}
	return sum, nil
}

// parseSchedstat reads the time on a core: the first of three numbers, in nanoseconds.
func parseSchedstat(text []byte) (time.Duration, error) {
	fields := bytes.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("read schedstat: %q does not have three numbers", text)
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read schedstat: %w", err)
	}
	return time.Duration(n), nil
}

// memory returns what the process has of its own, in bytes, and of files: pages that the kernel
// drops when it needs the room.
func (p *process) memory() (own, files int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for name, bytes := range map[string]*int{"RssAnon:": &own, "RssFile:": &files} {
		_, after, _ := strings.Cut(string(text), name)
		if _, err := fmt.Sscan(after, bytes); err != nil {
			return 0, 0, fmt.Errorf("read %s the process has: %w", name, err)
		}
		*bytes <<= 10
	}
	return own, files, nil
}
