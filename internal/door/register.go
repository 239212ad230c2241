package door

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/engine"
)

// Protocol is a kind of front door, by the name of its Corefile directive, whose first argument is
// the address to listen on.
type Protocol struct {
	Name  string // of the directive; in the audit too
	Usage string // of the arguments after the address, such as "[NAMESPACE]"

	// Setup reads the arguments after the address and returns what makes the handler. It opens
	// nothing: a Corefile that turns out wrong further down must leave no trace. Its error says
	// which argument is wrong, and what would be right.
	Setup func(args []string) (func(Env) http.Handler, error)

	HTTP2      bool                                  // as in Options
	Credential func(*http.Request) access.Credential // as in Options
}

// Env is what the handler of a front door is made with.
type Env struct {
	Engine *engine.Engine // through which it changes the table, and which has the table to read
	Server *Server        // that serves the handler: for admission, answers that last and the audit
}

var (
	protocolsMu sync.Mutex
	protocols   = make(map[string]Protocol) // by name; guarded by protocolsMu
)

// Register makes a kind of front door known under its name. A package that has one calls it from its
// init, so that to have the door is to import the package. It panics where the name is taken, or
// something is missing: that is a fault of the build.
func Register(p Protocol) {
	protocolsMu.Lock()
	defer protocolsMu.Unlock()
	if _, taken := protocols[p.Name]; taken || p.Name == "" || p.Setup == nil {
		panic(fmt.Sprintf("door: %q cannot be registered: the name is taken or empty, or there is no Setup", p.Name))
	}
	protocols[p.Name] = p
}

// Lookup returns the kind of front door of that name; false where none is registered.
func Lookup(name string) (Protocol, bool) {
	protocolsMu.Lock()
	defer protocolsMu.Unlock()
	p, ok := protocols[name]
	return p, ok
}

// Names returns the names that are registered, in order.
func Names() []string {
	protocolsMu.Lock()
	defer protocolsMu.Unlock()
	return slices.Sorted(maps.Keys(protocols))
}

// NewServer returns a server of such a door for an engine. What the protocol decides of the options
// is set here. It serves nothing yet.
func (p Protocol) NewServer(args []string, e *engine.Engine, o Options) (*Server, error) {
	handler, err := p.Setup(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	o.Name, o.HTTP2, o.Credential = p.Name, p.HTTP2, p.Credential
	s := NewServer(nil, o)
	s.handler = handler(Env{e, s})
	return s, nil
}
