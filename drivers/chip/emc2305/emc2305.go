// Package emc2305 reads the fan controllers EMC2301, EMC2302, EMC2303 and EMC2305 (Microchip, DS20006532A): one, two,
// three or five fans, each with a 13-bit count of 32.768 kHz periods over a number of tach edges.
//
// It is read only: the package holds no code that writes a register, so who drives the fans, and whether the
// watchdog of the part does, is left as found. Reading has one effect all the same: the part clears a stall, spin-up
// or drive failure when it is read and has passed (DS20006532A as quoted by the Rust crate emc230x), so one reader
// sees it once.
//
// The largest counts mean that no edge came in time: the fan stands, is not plugged in, or has a cut tach line. The
// part cannot tell these apart and calls them all a stall; here they are Stopped with 0 rpm, a measurement. A fan that
// the part measures with other settings than the board's, or a word that is no count, is no measurement and carries a
// Fault. Neither touches the other fans.
package emc2305

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// Registers; those of fan n, counted from 0, lie n times 10h higher (DS20006532A, register map).
const (
	fanStallStatus       = 0x25
	fanSpinStatus        = 0x26
	fanDriveFailStatus   = 0x27
	fan1Setting          = 0x30
	fan1Configuration1   = 0x32
	tach1ReadingHighByte = 0x3e // the low byte follows
	productID            = 0xfd
	manufacturerID       = 0xfe
)

const (
	smsc byte = 0x5d

	fanStride = 0x10
	mostFans  = 5

	// RANGE and EDGES of Fan Configuration 1 (bits 6:5 and 4:3) and what they are at power-on, where the register
	// reads 2B (crate emc230x, from DS20006532A).
	scaleBits    byte = 0x78
	scaleDefault byte = 0x28

	standing = 0x1ffe // this count or the one above: no edge came in time
	clockHz  = 32768

	// fastest is arbitrary, well above what the fastest fans of 40 mm turn (about 38,000 rpm).
	fastest = 60_000
)

// Part is a part number in lower case. It fixes the number of fans.
type Part string

// The parts.
const (
	EMC2301 Part = "emc2301"
	EMC2302 Part = "emc2302"
	EMC2303 Part = "emc2303"
	EMC2305 Part = "emc2305"
)

type variant struct {
	part    Part
	name    string
	product byte // Product ID (Linux emc2305 driver)
	fans    int
}

func variants() []variant {
	return []variant{
		{EMC2301, "EMC2301", 0x37, 1},
		{EMC2302, "EMC2302", 0x36, 2},
		{EMC2303, "EMC2303", 0x35, 3},
		{EMC2305, "EMC2305", 0x34, mostFans},
	}
}

// addresses are those a resistor can choose on an EMC2303 or EMC2305; the smaller parts have one of them.
func addresses() []chip.Range {
	return []chip.Range{{First: 0x2c, Last: 0x2f}, {First: 0x4c, Last: 0x4d}}
}

// Opts says where the part is, which one, and what hangs on it. Edges and Multiplier are how the part was set up to
// count; Sense compares them with the part.
type Opts struct {
	Name       string // for error texts
	Addr       uint16
	Part       Part  // empty: EMC2305
	Fitted     uint8 // bit n-1: there is a fan n; 0: all that the part has
	Poles      int   // as the data sheet calls the tach pulses of one turn; 0: 2
	Edges      int   // 3, 5, 7 or 9; 0: 5, as at power-on
	Multiplier int   // 1, 2, 4 or 8; 0: 2, as at power-on
}

// Dev is one controller. It holds no state but its options and may be used from several goroutines if its bus may.
type Dev struct {
	port  chip.Port
	part  variant
	o     Opts
	scale byte // RANGE and EDGES that the options ask for
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "emc2305", o.Name, o.Addr, addresses()...)
	if err != nil {
		return nil, err
	}
	o.Part = orElse(o.Part, EMC2305)
	o.Poles, o.Edges, o.Multiplier = orElse(o.Poles, 2), orElse(o.Edges, 5), orElse(o.Multiplier, 2)
	d := &Dev{port: port}
	for _, v := range variants() {
		if v.part == o.Part {
			d.part = v
		}
	}
	if d.part.fans == 0 {
		return nil, fmt.Errorf("%s: part %q is not known", port, o.Part)
	}
	o.Fitted = orElse(o.Fitted, 1<<d.part.fans-1)
	if o.Fitted>>d.part.fans != 0 {
		return nil, fmt.Errorf("%s: fans %08b, the part has %d", port, o.Fitted, d.part.fans)
	}
	if o.Poles < 1 || o.Poles > 8 { // the upper end is arbitrary; most fans give 2
		return nil, fmt.Errorf("%s: %d poles are outside 1-8", port, o.Poles)
	}
	var ok bool
	if d.scale, ok = scale(o.Edges, o.Multiplier); !ok {
		return nil, fmt.Errorf("%s: the part cannot count %d edges with multiplier %d", port, o.Edges, o.Multiplier)
	}
	d.o = o
	return d, nil
}

// scale finds the bits of Fan Configuration 1.
func scale(edges, multiplier int) (byte, bool) {
	for i := range byte(4) {
		for j := range byte(4) {
			if edges == 3+2*int(i) && multiplier == 1<<j {
				return j<<5 | i<<3, true
			}
		}
	}
	return 0, false
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify compares manufacturer and product with what the options name.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		name      string
		reg, want byte
	}{{"Manufacturer ID", manufacturerID, smsc}, {"Product ID", productID, d.part.product}} {
		got, err := d.port.Byte(ctx, "identify", r.name, r.reg)
		switch {
		case err != nil:
			return drivers.Ident{}, err
		case got == 0xff:
			return drivers.Ident{}, d.port.Ones("identify", r.name)
		case got != r.want:
			return drivers.Ident{}, d.port.Fail("identify", r.name, drivers.WrongDevice, fmt.Errorf("%02x instead of %02x", got, r.want))
		}
	}
	return drivers.Ident{Manufacturer: "SMSC", Part: d.part.name}, nil
}

// Fan is one fan at one moment.
type Fan struct {
	N int // counted from 1, as the data sheet does

	// Fault says why RPM and Stopped mean nothing: drivers.Restarted when the part counts as at power-on and the
	// board asks for another setting, drivers.Foreign when it counts in a third way, drivers.Implausible for words
	// that are no count. None: they are measured.
	Fault   drivers.Fault
	RPM     int
	Stopped bool // no tach edge came in time; whether it should turn is for the caller to say from Drive
	Raw     uint16

	Drive        uint8 // 0 to 255, as set; under the closed loop, as the loop has set it
	Stalled      bool  // the part's own judgement, since the status was last read
	SpinUpFailed bool  // it did not start within its time
	DriveFailed  bool  // at full drive it does not reach its target: it ages
}

// Measurement are the fitted fans, lowest number first.
type Measurement struct{ Fans []Fan }

// Sense reads all fitted fans, or none.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var stall, spin, drive byte
	for _, r := range []struct {
		name string
		reg  byte
		to   *byte
	}{
		{"Fan Stall Status", fanStallStatus, &stall},
		{"Fan Spin Status", fanSpinStatus, &spin},
		{"Fan Drive Fail Status", fanDriveFailStatus, &drive},
	} {
		v, err := d.port.Byte(ctx, "read", r.name, r.reg)
		if err != nil {
			return Measurement{}, err
		}
		if v == 0xff { // a part with five fans has five bits
			return Measurement{}, d.port.Ones("read", r.name)
		}
		*r.to = v
	}
	var m Measurement
	for n := range d.part.fans {
		if d.o.Fitted>>n&1 == 0 {
			continue
		}
		f, err := d.fan(ctx, n)
		if err != nil {
			return Measurement{}, err
		}
		f.Stalled, f.SpinUpFailed, f.DriveFailed = stall>>n&1 == 1, spin>>n&1 == 1, drive>>n&1 == 1
		m.Fans = append(m.Fans, f)
	}
	return m, nil
}

// fan reads fan n, counted from 0.
func (d *Dev) fan(ctx context.Context, n int) (Fan, error) {
	name := func(what string) string { return fmt.Sprintf("Fan %d %s", n+1, what) }
	offset := byte(n * fanStride)
	f := Fan{N: n + 1}
	var err error
	if f.Drive, err = d.port.Byte(ctx, "read", name("Setting"), fan1Setting+offset); err != nil {
		return Fan{}, err
	}
	configuration, err := d.port.Byte(ctx, "read", name("Configuration 1"), fan1Configuration1+offset)
	if err != nil {
		return Fan{}, err
	}
	if f.Raw, err = d.port.Word(ctx, "read", name("Tach Reading"), tach1ReadingHighByte+offset); err != nil {
		return Fan{}, err
	}
	rpm, ok := RPM(f.Raw, d.o.Poles, d.o.Edges, d.o.Multiplier)
	switch set := configuration & scaleBits; {
	case set != d.scale && set == scaleDefault:
		f.Fault = drivers.Restarted
	case set != d.scale:
		f.Fault = drivers.Foreign
	case !ok:
		f.Fault = drivers.Implausible
	default:
		f.RPM, f.Stopped = rpm, rpm == 0
	}
	return f, nil
}

// RPM converts a tach reading: the count is in the upper 13 bits and
//
//	rpm = (edges - 1) * multiplier * 32768 * 60 / (poles * count)
//
// (Linux emc2305 driver, which cites equations 2 and 3 of the data sheet). 0 means that no edge came in time (count 1FFE or 1FFF). It is false for FFFF,
// which the part does not give since the lower three bits read 0, for count 0, and for speeds beyond 60,000 rpm.
func RPM(tach uint16, poles, edges, multiplier int) (int, bool) {
	count := int(tach >> 3)
	switch {
	case tach == 0xffff || count == 0:
		return 0, false
	case count >= standing:
		return 0, true
	}
	rpm := (edges - 1) * multiplier * clockHz * 60 / (poles * count)
	if rpm > fastest {
		return 0, false
	}
	return rpm, true
}

var _ fmt.Stringer = (*Dev)(nil)
