// Package tca9555 drives the 16-bit I/O expander TCA9555 (Texas Instruments, SCPS200) and its register twins
// PCA9555, PCA9535 and TCA9535, as far as relays need it: the output latch, the direction and the polarity.
//
// At power-on all pins are inputs, the latch reads FFFF and the polarity 0000. A relay board must therefore
// write the latch before the direction; that order is the caller's, because only the caller knows what the
// latch must hold. Nothing is cached: every read asks the chip and no write is left out because it looks
// redundant, since a brown-out of the expander makes every remembered word wrong.
//
// It is not a GPIO package: there are no pins, no edges and no read-modify-write. The input register is not
// offered, since on an output it shows the pin and proves neither the latch nor the relay.
package tca9555

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x20
	LastAddr  = 0x27
)

// AllInputs is the direction word of a part that was just powered up: no pin drives anything.
const AllInputs uint16 = 0xffff

// Command bytes (SCPS200, table "Command Byte"). Each names the register of port 0; the second byte of a
// transfer goes to port 1.
const (
	outputPort0            = 0x02
	polarityInversionPort0 = 0x04
	configurationPort0     = 0x06
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one expander. It holds no state but where it is and may be used from several goroutines if its bus may.
type Dev struct {
	bus  i2c.Bus
	addr uint16
	name string
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if bus == nil {
		return nil, errors.New("tca9555: no bus")
	}
	if o.Addr < FirstAddr || o.Addr > LastAddr {
		return nil, fmt.Errorf("tca9555 %q: address 0x%02x is outside 0x%02x-0x%02x", o.Name, o.Addr, FirstAddr, LastAddr)
	}
	return &Dev{bus: bus, addr: o.Addr, name: fmt.Sprintf("tca9555 %q", o.Name)}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

// Words are the registers that decide what the pins do. Bit k is pin Pk of port 0, bit 8+k pin Pk of port 1.
type Words struct {
	Latch     uint16 // output port registers
	Direction uint16 // configuration registers: 1 = input
	Polarity  uint16 // polarity inversion registers: must be 0, a disturbed one inverts what inputs read
}

// Written says what became of a write.
type Written struct {
	At   time.Time // when the write transfer returned, acknowledged or not; zero: no write was handed to the bus
	Word uint16    // what the register held afterwards; means nothing while Read is zero
	Read time.Time // when Word was read back; zero: it could not be read
}

// Identify reads the three words. The part has no identification register, so all it can prove is that
// something answers here like one: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: "TCA9555"}, nil
}

// Read gives all three words, or none. FFFF is the power-on value of latch and direction and thus legitimate
// there; with the polarity at FFFF too it is a bus on which nobody drives the line.
func (d *Dev) Read(ctx context.Context) (Words, error) {
	var w Words
	for _, r := range []struct {
		reg byte
		to  *uint16
	}{{outputPort0, &w.Latch}, {configurationPort0, &w.Direction}, {polarityInversionPort0, &w.Polarity}} {
		v, err := d.read(ctx, "read", r.reg)
		if err != nil {
			return Words{}, err
		}
		*r.to = v
	}
	if w.Latch&w.Direction&w.Polarity == 0xffff {
		return Words{}, &drivers.Error{Op: "read", Device: d.name, Fault: drivers.Implausible, Err: errors.New("all registers read ones")}
	}
	return w, nil
}

// ReadLatch gives the output port registers alone.
func (d *Dev) ReadLatch(ctx context.Context) (uint16, error) { return d.read(ctx, "read", outputPort0) }

// WriteLatch writes both output port registers in one transfer and reads them back.
//
// The read-back decides, not the acknowledgement: if the register holds the word after a write that failed on
// the bus, the write worked and the error is nil. drivers.Mismatch means another word was read (it is in
// Written.Word). Any other error with Written.At set means the write may have happened; with Written.At zero it did
// not. Once the write was handed to the bus the end of ctx no longer stops the read-back.
func (d *Dev) WriteLatch(ctx context.Context, word uint16) (Written, error) {
	return d.write(ctx, outputPort0, word)
}

// WriteDirection writes both configuration registers in one transfer and reads them back, with the same
// promises as WriteLatch.
func (d *Dev) WriteDirection(ctx context.Context, word uint16) (Written, error) {
	return d.write(ctx, configurationPort0, word)
}

func (d *Dev) write(ctx context.Context, reg byte, word uint16) (Written, error) {
	if ctx.Err() != nil {
		return Written{}, d.fail("write", reg, drivers.Cancelled, context.Cause(ctx))
	}
	werr := d.bus.Tx(d.addr, []byte{reg, byte(word), byte(word >> 8)}, nil)
	if notSent(werr) {
		return Written{}, d.fail("write", reg, drivers.FaultOf(werr), werr)
	}
	done := Written{At: time.Now()}
	got, rerr := d.read(context.WithoutCancel(ctx), "read back", reg)
	if rerr != nil {
		cause := also(werr, rerr)
		return done, d.fail("write", reg, drivers.FaultOf(cause), cause)
	}
	done.Word, done.Read = got, time.Now()
	if got == word {
		return done, nil
	}
	return done, d.fail("write", reg, drivers.Mismatch, also(werr, fmt.Errorf("wrote %04x, read back %04x", word, got)))
}

// also puts two causes on one line; the first may be nil.
func also(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

// notSent tells the faults with which a bus refuses a transfer from those of a transfer that began.
func notSent(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Cancelled, drivers.Unsupported, drivers.Foreign:
		return true
	default:
		return false
	}
}

func (d *Dev) read(ctx context.Context, op string, reg byte) (uint16, error) {
	if ctx.Err() != nil {
		return 0, d.fail(op, reg, drivers.Cancelled, context.Cause(ctx))
	}
	var b [2]byte
	if err := d.bus.Tx(d.addr, []byte{reg}, b[:]); err != nil {
		return 0, d.fail(op, reg, drivers.FaultOf(err), err)
	}
	return uint16(b[0]) | uint16(b[1])<<8, nil
}

func (d *Dev) fail(op string, reg byte, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: d.name, Reg: regName(reg), Fault: f, Err: cause}
}

// regName spells a command byte as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case outputPort0:
		return "Output Port 0"
	case polarityInversionPort0:
		return "Polarity Inversion Port 0"
	case configurationPort0:
		return "Configuration Port 0"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
