package table

import (
	"slices"

	"github.com/coredns-registry/registry/service"
)

// traits are what instances mostly say alike: those who do share one. They are never changed.
type traits struct {
	Ports    []service.Port
	Weight   *uint16
	Zone     string
	Metadata service.Metadata
	Owner    string
}

func (t *traits) equal(u *traits) bool {
	return t == u ||
		slices.Equal(t.Ports, u.Ports) &&
			(t.Weight == nil) == (u.Weight == nil) && (t.Weight == nil || *t.Weight == *u.Weight) &&
			t.Zone == u.Zone &&
			slices.Equal(t.Metadata, u.Metadata) &&
			t.Owner == u.Owner
}

// alike are traits that were put into the table lately, so that what is said again is not kept
// again. They belong to whoever changes the table.
type alike [256]*traits

// of returns traits that say the same: those of another instance, or a copy that shares what it
// can with the ones that say nearly the same. The traits themselves may be published.
func (a *alike) of(t *traits) *traits {
	type mostly struct { // what those have in common that are compared
		port        service.Port
		zone, owner string
	}
	m := mostly{zone: t.Zone, owner: t.Owner}
	if len(t.Ports) > 0 {
		m.port = t.Ports[0]
	}
	lately := &a[hash(m)%uint64(len(a))]
	switch was := *lately; {
	case was == nil:
		*lately = t
	case !was.equal(t):
		own := *t
		own.share(was)
		*lately = &own
	}
	return *lately
}

// share takes the lists and strings of other traits where they say the same.
func (t *traits) share(with *traits) {
	if slices.Equal(t.Ports, with.Ports) {
		t.Ports = with.Ports
	}
	if slices.Equal(t.Metadata, with.Metadata) {
		t.Metadata = with.Metadata
	}
	if t.Zone == with.Zone {
		t.Zone = with.Zone
	}
	if t.Owner == with.Owner {
		t.Owner = with.Owner
	}
}
