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
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x20
	LastAddr  = 0x27
)

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
type Dev struct{ port chip.Port }

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "tca9555", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify reads the three words. The part has no identification register, so all it can prove is that
// something answers here like one: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: "TCA9555"}, nil
}

// Read gives all three words, or none, and looks twice at what a bus without the part could have given;
// chip.Port.SureWords says at what.
func (d *Dev) Read(ctx context.Context) (chip.Words, error) {
	var w chip.Words
	value := func(reg byte, to *uint16) chip.Value[uint16] {
		return chip.Value[uint16]{Reg: regName(reg), Ones: 0xffff, To: to, Read: func() (uint16, error) {
			return d.port.WordLow(ctx, "read", regName(reg), reg)
		}}
	}
	err := d.port.SureWords(value(outputPort0, &w.Latch), value(configurationPort0, &w.Direction), value(polarityInversionPort0, &w.Polarity))
	if err != nil {
		return chip.Words{}, err
	}
	return w, nil
}

// ReadLatch gives the output port registers alone.
func (d *Dev) ReadLatch(ctx context.Context) (uint16, error) {
	return d.port.WordLow(ctx, "read", regName(outputPort0), outputPort0)
}

// WriteLatch writes both output port registers in one transfer and reads them back; chip.Port.WriteBack says what
// it promises.
func (d *Dev) WriteLatch(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, outputPort0, word)
}

// WriteDirection writes both configuration registers in one transfer and reads them back, with the same
// promises as WriteLatch.
func (d *Dev) WriteDirection(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, configurationPort0, word)
}

func (d *Dev) write(ctx context.Context, reg byte, word uint16) (chip.Written, error) {
	name := regName(reg)
	return d.port.WriteBack(ctx, name, word,
		func(ctx context.Context) error {
			return d.port.Tx(ctx, "write", name, []byte{reg, byte(word), byte(word >> 8)}, nil)
		},
		func(ctx context.Context) (uint16, error) { return d.port.WordLow(ctx, "read back", name, reg) })
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
