// Package at24 reads serial EEPROMs of the AT24C family (Microchip AT24C01C..AT24C512C and equals).
//
// It is read only: the package holds no code that could write memory contents. The width of the memory pointer
// comes from the part number alone. Finding it out by trying is not harmless: a two-byte pointer sent to a part
// with a one-byte pointer looks like a write of the second byte.
package at24

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// The address pins place a part between these two addresses.
const (
	FirstAddr = 0x50
	LastAddr  = 0x57
)

// piece is the longest single read: 11.8 ms at 100 kHz, after which other traffic of the bus gets its turn. The
// Linux at24 driver reads in pieces of the same size.
const piece = 128

// Part is a part number in lower case. It fixes size and pointer width.
type Part string

type geometry struct {
	part    Part
	size    int
	pointer int // bytes
}

// geometries lists the parts: up to 16 kbit the pointer has one byte and further address bits go into the device
// address; from 32 kbit on it has two, high byte first (Linux at24 driver, device table).
func geometries() []geometry {
	return []geometry{
		{"at24c01", 128, 1},
		{"at24c02", 256, 1},
		{"at24c04", 512, 1},
		{"at24c08", 1024, 1},
		{"at24c16", 2048, 1},
		{"at24c32", 4096, 2},
		{"at24c64", 8192, 2},
		{"at24c128", 16384, 2},
		{"at24c256", 32768, 2},
		{"at24c512", 65536, 2},
	}
}

// Known lists the part numbers, smallest first.
func Known() []Part {
	var out []Part
	for _, g := range geometries() {
		out = append(out, g.part)
	}
	return out
}

// Opts says where the part is and which one.
type Opts struct {
	Name string // for error texts
	Addr uint16
	Part Part
}

// Dev is one EEPROM.
type Dev struct {
	bus  i2c.Bus
	addr uint16
	geo  geometry
	name string
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if bus == nil {
		return nil, errors.New("at24: no bus")
	}
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("at24 %q: %w", o.Name, err)
	}
	geo, _ := o.Part.geometry()
	return &Dev{bus: bus, addr: o.Addr, geo: geo, name: fmt.Sprintf("%s %q", geo.part, o.Name)}, nil
}

// Check tells what New would refuse.
func (o Opts) Check() error {
	geo, ok := o.Part.geometry()
	if !ok {
		return fmt.Errorf("part %q is not known", o.Part)
	}
	if o.Addr < FirstAddr || o.Addr > LastAddr || o.Addr%geo.addresses() != 0 {
		return fmt.Errorf("no %s can be at address 0x%02x", geo.part, o.Addr)
	}
	return nil
}

// Addresses lists all that the part answers to, Addr first: whatever else sits at one of them is read as the AND of both
// and written together with the memory. It is empty where Check fails.
func (o Opts) Addresses() []uint16 {
	if o.Check() != nil {
		return nil
	}
	geo, _ := o.Part.geometry()
	var out []uint16
	for n := range geo.addresses() {
		out = append(out, o.Addr+n)
	}
	return out
}

func (p Part) geometry() (geometry, bool) {
	for _, g := range geometries() {
		if g.part == p {
			return g, true
		}
	}
	return geometry{}, false
}

// addresses is how many device addresses the part answers to.
func (g geometry) addresses() uint16 {
	if g.pointer == 1 && g.size > 256 {
		return uint16(g.size / 256)
	}
	return 1
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

// Size is the memory in bytes.
func (d *Dev) Size() int { return d.geo.size }

// Identify proves that something answers here, with a read of one byte. The part has no identification register.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx, 0, 1); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Part: strings.ToUpper(string(d.geo.part))}, nil
}

// Read gives n bytes from offset off on, or none. Each piece of 128 bytes is a transfer of its own, so other jobs
// of the bus may run in between. All ones are passed on: they are what an empty memory holds.
func (d *Dev) Read(ctx context.Context, off, n int) ([]byte, error) {
	if off < 0 || n < 0 || off > d.geo.size || n > d.geo.size-off {
		return nil, &drivers.Error{
			Op: "read", Device: d.name, Fault: drivers.Unsupported,
			Err: fmt.Errorf("bytes %d to %d of %d", off, off+n, d.geo.size),
		}
	}
	buf := make([]byte, n)
	for at := 0; at < n; {
		size := min(piece-(off+at)%piece, n-at) // ending on a multiple of 128 keeps a piece inside one device address
		if err := d.readPiece(ctx, off+at, buf[at:at+size]); err != nil {
			return nil, err
		}
		at += size
	}
	return buf, nil
}

func (d *Dev) readPiece(ctx context.Context, off int, buf []byte) error {
	fail := func(f drivers.Fault, cause error) error {
		return &drivers.Error{Op: "read", Device: d.name, Reg: fmt.Sprintf("%04x", off), Fault: f, Err: cause}
	}
	if ctx.Err() != nil {
		return fail(drivers.Cancelled, context.Cause(ctx))
	}
	addr, pointer := d.addr, []byte{byte(off >> 8), byte(off)}
	if d.geo.pointer == 1 {
		addr, pointer = d.addr+uint16(off>>8), pointer[1:]
	}
	if err := d.bus.Tx(addr, pointer, buf); err != nil {
		return fail(drivers.FaultOf(err), err)
	}
	return nil
}

var _ fmt.Stringer = (*Dev)(nil)
