// Package access says who may do what at the front doors: tokens and certificates and what
// they are allowed, the files that hold them, and how fast each may come. What it cannot read or does not know is refused, never guessed;
// what was read last and was right stays in force. No secret is in any message of it.
// It knows nothing of any protocol that requests come by, and answers nobody.
package access

import (
	"maps"

	"github.com/coredns-registry/registry/service"
)

// Caller is who sent a request and what it may do. It is immutable: any goroutine may
// share it. The zero value may do nothing.
type Caller struct {
	Name  string // NAME of its credential; empty where none is asked for
	Admin bool   // may do everything, to the instances of others too

	// By the name that the grant was written with, "*" standing for any. A request that
	// has "*" for a name gains nothing from that: it meets the grants for any name alone.
	grants     map[service.Name]right
	namespaces map[string]bool // those that a grant names
}

// right is what a grant allows; the greater includes the less.
type right uint8

const (
	nothing right = iota
	read
	write
)

// anyName stands for any whole name. It is no label, so that nothing has it for a name.
const anyName = "*"

// Anyone is the caller at an endpoint that asks for no credential.
var Anyone = &Caller{Admin: true}

// Writer returns a caller that may read and write everything, as far as it is its own: the
// holder of a certificate where no file says what each may do.
func Writer(name string) *Caller {
	return newCaller(name, []grant{{to: service.Name{Namespace: anyName, Service: anyName}, right: write}})
}

func newCaller(name string, grants []grant) *Caller {
	c := &Caller{Name: name, grants: make(map[service.Name]right), namespaces: make(map[string]bool)}
	for _, g := range grants {
		if g.admin {
			c.Admin = true
			continue
		}
		c.grants[g.to] = max(c.grants[g.to], g.right)
		c.namespaces[g.to.Namespace] = true
	}
	return c
}

// MayRead reports whether the service and its instances may be shown to the caller.
func (c *Caller) MayRead(n service.Name) bool { return c.may(n, read) }

// MayWrite reports whether the caller may change the service and its instances.
func (c *Caller) MayWrite(n service.Name) bool { return c.may(n, write) }

// MayReadNamespace reports whether the caller may be shown every service of the namespace.
func (c *Caller) MayReadNamespace(namespace string) bool {
	return c.MayRead(service.Name{Namespace: namespace, Service: anyName})
}

// MayReadSome reports whether there can be a service in the namespace that the caller may
// be shown.
func (c *Caller) MayReadSome(namespace string) bool {
	return c.Admin || c.namespaces[namespace] || c.namespaces[anyName]
}

// MayWriteSome reports whether there can be a service that the caller may change.
func (c *Caller) MayWriteSome() bool {
	if c.Admin {
		return true
	}
	for _, r := range c.grants {
		if r == write {
			return true
		}
	}
	return false
}

// Equal reports whether both are the same caller and may do the same: a stream that was
// begun as the one may go on as the other. A nil d, a credential that is gone, is no caller.
func (c *Caller) Equal(d *Caller) bool {
	return d != nil && c.Name == d.Name && c.Admin == d.Admin && maps.Equal(c.grants, d.grants)
}

func (c *Caller) may(n service.Name, r right) bool {
	return c.Admin ||
		c.grants[service.Name{Namespace: anyName, Service: anyName}] >= r ||
		c.grants[n] >= r ||
		c.grants[service.Name{Namespace: n.Namespace, Service: anyName}] >= r ||
		c.grants[service.Name{Namespace: anyName, Service: n.Service}] >= r
}
