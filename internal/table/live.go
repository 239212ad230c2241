package table

import "github.com/coredns-registry/registry/internal/lease"

// An instance whose lease has expired stays in the table until the writer removes it, and that may
// take as long as the store hangs. Readers do not see it: what they ask for, list and count goes by
// live, and by nothing else. Only a version of the table (see [Version]) still has it.

// live reports whether an instance that has that lease is there, in a version or not.
func live(l *lease.Lease, version bool) bool { return version || !l.Ended() }

func (v *View) live(l *lease.Lease) bool { return live(l, v.frozen) }

// Live reports whether an instance of the service is there, as it was when it was read: its lease
// may have expired since.
func (v *View) Live(i *Instance) bool { return v.live(i.lease) }

// Count returns how many instances the service has.
func (v *View) Count() int {
	if v.frozen || !v.leases.AnyExpired() {
		return v.Len()
	}
	count := 0
	for _, r := range v.runs {
		for n := range r.entries {
			if v.live(v.leases.Lease(r.entries[n].lease)) {
				count++
			}
		}
	}
	return count
}

// Exists reports whether the service is defined or has an instance.
func (v *View) Exists() bool {
	if v.Definition != nil || v.frozen || !v.leases.AnyExpired() {
		return true
	}
	for _, r := range v.runs {
		for n := range r.entries {
			if v.live(v.leases.Lease(r.entries[n].lease)) {
				return true
			}
		}
	}
	return false
}

// expired returns what is to be taken from the counts of each namespace: the instances that the
// snapshot has and that have expired, and the services that exist by them alone. It is nil if
// there are none.
func (s *Snapshot) expired() map[string]Namespace {
	if s.frozen || !s.leases.AnyExpired() {
		return nil
	}
	all := make(map[string]Namespace)
	counted := make(map[*View]bool)
	for _, i := range s.leased(s.leases.Expired()) {
		n := all[i.name.Namespace]
		n.count(i.Status, 1)
		if v := s.service(i.name); !counted[v] {
			counted[v] = true
			if !v.Exists() {
				n.Services++
			}
		}
		all[i.name.Namespace] = n
	}
	return all
}

// less returns the counts of a namespace without others.
func (n Namespace) less(m Namespace) Namespace {
	n.Services -= m.Services
	n.Up -= m.Up
	n.Draining -= m.Draining
	n.Down -= m.Down
	return n
}
