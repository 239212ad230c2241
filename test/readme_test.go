package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/testkit"
)

// What the README shows is done, as its readers do it:
//
//   - Each block of ```corefile, in docs/dns.md too, is a whole Corefile: CoreDNS starts with it. Only what it
//     listens on is changed, to free ports of 127.0.0.1, and the files that it names are made.
//   - Blocks of ```tokens are files of tokens: those are what a Corefile's tokens hold.
//   - Blocks of ```console are a session with a CoreDNS that serves the Corefile at the top of
//     the repository. A line that begins with "$ " is a command, and goes on in the next line
//     after a "\" at its end. Those that begin with curl or dig are run with bash, one after
//     the other.
//   - The lines below a command are its output: each must be in a line of it, where any
//     run of blanks is like any other, and … or ... stand for anything.

const readme = "../README.md"

func TestCorefilesOfTheDocumentsStart(t *testing.T) {
	t.Parallel()
	for _, block := range append(blocks(t, readme, "corefile"), blocks(t, "../docs/dns.md", "corefile")...) {
		t.Run(fmt.Sprintf("%s line %d", filepath.Base(block.file), block.line), func(t *testing.T) {
			t.Parallel()
			s := launch(t, onFreePorts(t, withFiles(t, block.text), make(map[string]string)))
			s.log.wait(t, 0, "CoreDNS-") // told when every listener is open
			s.log.wait(t, 0, "Registration endpoint on ")
		})
	}
}

func TestCommandsOfTheREADMEDoWhatItSays(t *testing.T) {
	testkit.NeedsCommands(t, "curl", "dig")
	t.Parallel()
	corefile, err := os.ReadFile("../Corefile")
	if err != nil {
		t.Fatal(err)
	}
	ports := make(map[string]string)
	// The resolver of this machine, if there is one, is nobody's business.
	text := strings.ReplaceAll(string(corefile), "/etc/resolv.conf", "127.0.0.1:"+freePort(t))
	start(t, onFreePorts(t, text, ports))
	ran := 0
	for _, block := range blocks(t, readme, "console") {
		for _, c := range commands(block) {
			if c.run(t, ports) {
				ran++
			}
		}
	}
	if ran == 0 {
		t.Error("no command was run")
	}
}

// block is one of code in a document.
type block struct {
	file string
	line int // of its beginning
	text string
}

func blocks(t *testing.T, file, language string) (found []block) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			if inside = line == "```"+language; inside {
				found = append(found, block{file: file, line: n + 1})
			}
		case inside:
			found[len(found)-1].text += line + "\n"
		}
	}
	if len(found) == 0 {
		t.Errorf("%s has no block of %s", file, language)
	}
	return found
}

// command is one of a console, with what it should put out.
type command struct {
	line   int
	text   string
	output []string
}

func commands(b block) (all []command) {
	for n, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		last := len(all) - 1
		switch text, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			all = append(all, command{line: b.line + 1 + n, text: text})
		case last >= 0 && all[last].output == nil && strings.HasSuffix(all[last].text, `\`):
			all[last].text += "\n" + line
		case last >= 0:
			all[last].output = append(all[last].output, line)
		}
	}
	return all
}

// run runs a command, with other ports, if it is one that is to be run.
func (c command) run(t *testing.T, ports map[string]string) bool {
	t.Helper()
	name, _, _ := strings.Cut(c.text, " ")
	if name != "curl" && name != "dig" {
		return false
	}
	text := anyPort.ReplaceAllStringFunc(c.text, func(port string) string {
		if other := ports[port]; other != "" {
			return other
		}
		return port
	})
	cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", readme, c.line, text, err, out)
	}
	for _, want := range c.output {
		if !shows(string(out), want) {
			t.Errorf("%s:%d: %s\ngot\n%swant a line with\n%s", readme, c.line, text, out, want)
		}
	}
	return true
}

// shows reports whether a line of the output has in it what is wanted.
func shows(output, want string) bool {
	pattern := regexp.QuoteMeta(strings.Join(strings.Fields(want), " "))
	pattern = strings.NewReplacer("…", ".*", `\.\.\.`, ".*").Replace(pattern)
	wanted := regexp.MustCompile(pattern)
	for line := range strings.Lines(output) {
		if wanted.MatchString(strings.Join(strings.Fields(line), " ")) {
			return true
		}
	}
	return false
}

var (
	anyPort     = regexp.MustCompile(`\b[0-9]{4,5}\b`)
	serverBlock = regexp.MustCompile(`^\S.*\{$`)
	withPort    = regexp.MustCompile(`(\S*):([0-9]+)`)
)

// usual are the addresses of plugins that are given none.
var usual = map[string]string{"ready": ":8181", "health": ":8080", "prometheus": "localhost:9153", "pprof": "localhost:6053"}

// onFreePorts returns a Corefile that listens on free ports of 127.0.0.1 in place of its own.
// The map from the one to the other is added to; a port stays the same in all of the file.
func onFreePorts(t *testing.T, corefile string, ports map[string]string) string {
	t.Helper()
	free := func(port string) string {
		if ports[port] == "" {
			ports[port] = freePort(t)
		}
		return ports[port]
	}
	var out strings.Builder
	lines := strings.Split(corefile, "\n")
	for n, line := range lines {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] == "bind":
		case fields[0] == "store" && len(fields) == 3:
			fmt.Fprintf(&out, "store disk %s\n", t.TempDir())
		case serverBlock.MatchString(line):
			for i, zone := range fields[:len(fields)-1] {
				if !withPort.MatchString(zone) {
					zone += ":53"
				}
				fields[i] = withPort.ReplaceAllStringFunc(zone, func(s string) string {
					zone, port, _ := strings.Cut(s, ":")
					return zone + ":" + free(port)
				})
			}
			fmt.Fprintf(&out, "%s\n    bind 127.0.0.1\n", strings.Join(fields, " "))
		case fields[0] == "registry":
			inside := fields[len(fields)-1] == "{"
			if !inside {
				line += " {"
			}
			fmt.Fprintln(&out, line)
			if !inside || !listens(lines[n+1:]) {
				fmt.Fprintf(&out, "        listen 127.0.0.1:%s\n", free("8053"))
			}
			if !inside {
				fmt.Fprintln(&out, "    }")
			}
		case fields[0] == "listen" || usual[fields[0]] != "":
			if len(fields) == 1 {
				fields = append(fields, usual[fields[0]])
			}
			_, port, _ := strings.Cut(fields[1], ":")
			indent := line[:strings.Index(line, fields[0])]
			fmt.Fprintf(&out, "%s%s 127.0.0.1:%s\n", indent, fields[0], free(port))
		default:
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

// withFiles returns a Corefile that names files of the test's own in place of its own.
func withFiles(t *testing.T, corefile string) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokens := blocks(t, readme, "tokens")
	var out strings.Builder
	for line := range strings.Lines(corefile) {
		switch fields := strings.Fields(line); {
		case len(fields) == 0:
		case fields[0] == "tls":
			pair := file("pair.pem", ownAuthority(t))
			line = "tls" + strings.Repeat(" "+pair, len(fields)-1) + "\n"
			if len(fields) == 3 {
				tokens = tokens[:1] // the others are for clients with certificates
			}
		case fields[0] == "tokens":
			text := ""
			for _, block := range tokens {
				text += block.text
			}
			line = "tokens " + file("tokens", text) + "\n"
		case fields[0] == "audit":
			line = "audit " + filepath.Join(dir, "audit") + "\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// ownAuthority returns a certificate that is its own authority, and its key.
func ownAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// listens reports whether the block whose lines these are has a directive listen.
func listens(lines []string) bool {
	for _, line := range lines {
		switch fields := strings.Fields(line); {
		case len(fields) == 0:
		case fields[0] == "listen":
			return true
		case fields[0] == "}":
			return false
		}
	}
	return false
}

func TestREADMERules(t *testing.T) {
	for _, tt := range []struct {
		output, want string
		shown        bool
	}{
		{"192.0.2.7\n", "192.0.2.7", true},
		{"192.0.2.7\n", "192.0.2.8", false},
		{"web.example.org.\t5\tIN\tA\t192.0.2.7\n", "web.example.org. … IN A 192.0.2.7", true},
		{"web.example.org.\t5\tIN\tA\t192.0.2.7\n", "web.example.org. ... 192.0.2.7", true},
		{`{"id":"web-1","revision":17}`, `{"id":"web-1",…}`, true},
		{`{"id":"web-2","revision":17}`, `{"id":"web-1",…}`, false},
		{"one\ntwo\n", "one two", false},
	} {
		if got := shows(tt.output, tt.want); got != tt.shown {
			t.Errorf("%q shows %q: got %t, want %t", tt.output, tt.want, got, tt.shown)
		}
	}
	corefile := onFreePorts(t, readFile(t, "testdata/before.corefile"), map[string]string{
		"53": "20053", "1053": "21053", "8053": "28053", "9000": "29000", "8181": "28181", "8080": "28080"})
	if want := readFile(t, "testdata/after.corefile"); corefile != want {
		t.Errorf("got\n%s\nwant\n%s", corefile, want)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
