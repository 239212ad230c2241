package disk

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// decoder reads records. What it returns is the caller's, but for strings, which it
// shares between records where they are the same: a million instances have few zones and
// few owners.
type decoder struct {
	name    service.Name // of the last record
	strings [4096]string // some of those seen, each in the place of its hash

	// Lists are gathered here, to be made in the size that they have.
	addresses []netip.Addr
	ports     []service.Port
	pairs     service.Metadata
}

func (d *decoder) object(key, value []byte) (store.Object, error) {
	id, err := d.id(key)
	if err != nil {
		return store.Object{}, err
	}
	o := store.Object{ID: id}
	d.addresses, d.ports, d.pairs = d.addresses[:0], d.ports[:0], d.pairs[:0]
	f := fields{rest: value}
	if id.ID == "" {
		d.definition(&o, &f)
	} else {
		d.instance(&o, &f)
	}
	return o, f.err
}

func (d *decoder) instance(o *store.Object, f *fields) {
	i := new(service.Instance)
	var seconds, nanos int64
	for f.next(instanceRepeats) {
		switch f.number {
		case revisionField:
			o.Revision = f.uint(math.MaxUint64)
		case registeredSecondsField:
			seconds = protowire.DecodeZigZag(f.uint(math.MaxUint64))
		case registeredNanosField:
			nanos = int64(f.uint(999_999_999))
		case addressField:
			d.address(f)
		case portField:
			d.port(f)
		case hostnameField:
			i.Hostname = d.hostname(o.ID.ID, f.bytes())
		case weightField:
			i.Weight = new(uint16(f.uint(math.MaxUint16)))
		case priorityField:
			i.Priority = uint16(f.uint(math.MaxUint16))
		case zoneField:
			i.Zone = d.string(f.bytes())
		case metadataField:
			d.pair(f)
		case leaseField:
			i.Lease = service.LeaseOf(f.int32())
		case statusField:
			i.Status = service.Status(f.uint(uint64(service.Down)))
		case ownerField:
			i.Owner = d.owner(f)
		default:
			f.unknown()
		}
	}
	o.RegisteredAt = time.Unix(seconds, nanos).UTC()
	i.Addresses, i.Ports, i.Metadata = list(d.addresses), list(d.ports), list(d.pairs)
	o.Instance = i
}

func instanceRepeats(field protowire.Number) bool {
	return field == addressField || field == portField || field == metadataField
}

func (d *decoder) definition(o *store.Object, f *fields) {
	is := new(service.Definition)
	for f.next(definitionRepeats) {
		switch f.number {
		case revisionField:
			o.Revision = f.uint(math.MaxUint64)
		case typeField:
			is.Type = service.Type(f.uint(uint64(service.ExternalName)))
		case clusterIPField:
			d.address(f)
		case externalNameField:
			is.ExternalName = string(f.bytes())
		case definitionPortField:
			d.port(f)
		case publishNotReadyField:
			is.PublishNotReady = f.uint(1) == 1
		case definitionPairField:
			d.pair(f)
		default:
			f.unknown()
		}
	}
	is.ClusterIPs, is.Ports, is.Metadata = list(d.addresses), list(d.ports), list(d.pairs)
	o.Definition = is
}

func definitionRepeats(field protowire.Number) bool {
	return field == clusterIPField || field == definitionPortField || field == definitionPairField
}

func (d *decoder) address(f *fields) {
	a, ok := netip.AddrFromSlice(f.bytes())
	if !ok {
		f.fail("field %d is no address", f.number)
	}
	d.addresses = append(d.addresses, a)
}

func (d *decoder) port(f *fields) {
	var p service.Port
	in := fields{rest: f.bytes()}
	for in.next(never) {
		switch in.number {
		case portNameField:
			p.Name = d.string(in.bytes())
		case portProtocolField:
			p.Protocol = protocols[in.uint(uint64(len(protocols)-1))]
		case portNumberField:
			p.Number = uint16(in.uint(math.MaxUint16))
		default:
			in.unknown()
		}
	}
	f.within(&in)
	d.ports = append(d.ports, p)
}

func (d *decoder) pair(f *fields) {
	var p service.Pair
	in := fields{rest: f.bytes()}
	for in.next(never) {
		switch in.number {
		case pairKeyField:
			p.Key = d.string(in.bytes())
		case pairValueField:
			p.Value = d.string(in.bytes())
		default:
			in.unknown()
		}
	}
	f.within(&in)
	d.pairs = append(d.pairs, p)
}

func never(protowire.Number) bool { return false }

// within takes over the error of a message in the field.
func (f *fields) within(in *fields) {
	if in.err != nil {
		f.fail("field %d: %w", f.number, in.err)
	}
}

// list returns what was gathered, nil where that is nothing.
func list[E any](gathered []E) []E {
	if len(gathered) == 0 {
		return nil
	}
	return slices.Clone(gathered)
}

// hostname is the instance's id more often than not.
func (d *decoder) hostname(id string, b []byte) string {
	if string(b) == id {
		return id
	}
	return string(b)
}

func (d *decoder) owner(f *fields) string {
	b := f.bytes()
	if len(b) > service.MaxOwnerBytes {
		f.fail("field %d has %d bytes, which is too long", f.number, len(b))
	}
	return d.string(b)
}

// string returns the text, by the same string as before where that is remembered.
func (d *decoder) string(b []byte) string {
	known := &d.strings[xxhash.Sum64(b)%uint64(len(d.strings))]
	if *known != string(b) {
		*known = string(b)
	}
	return *known
}
