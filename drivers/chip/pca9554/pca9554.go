// Package pca9554 drives the 8-bit I/O expanders PCA9554 and PCA9554A (NXP, PCA9554_PCA9554A rev. 9), TCA9554 and
// TCA9554A (Texas Instruments, SCPS233) and MAX7310 (Maxim, 19-2698), as far as relays need it: the output latch,
// the direction and the polarity. The parts share four registers of one byte.
//
// At power-on all pins are inputs. What the latch then reads differs by part, FF everywhere but on the MAX7310,
// where it is 00. A relay board must therefore write the latch before the direction; that order is the caller's,
// because only the caller knows what the latch must hold. Nothing is cached: every read asks the chip and no write
// is left out because it looks redundant, since a brown-out of the expander makes every remembered word wrong.
//
// Words have 16 bits, as those of larger expanders: the pins 8 to 15 that these parts lack read as inputs, with
// latch and polarity 0, and a write that asks for anything else of them is refused. The bus timeout of the MAX7310
// (register 04) keeps its power-on setting. It is not a GPIO package: there are no pins, no edges and no
// read-modify-write, and the input register is not offered, since on an output it shows the pin and proves neither
// the latch nor the relay.
package pca9554

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// Command bytes (PCA9554_PCA9554A, table 4). 00 is the input port.
const (
	outputPort        = 0x01
	polarityInversion = 0x02
	configuration     = 0x03
)

// absent are the pins that an 8-bit part lacks.
const absent uint16 = 0xff00

// Part is a part number in lower case. It fixes the addresses and the power-on polarity.
type Part string

// The parts. The A of a part number moves the addresses and changes nothing else.
const (
	PCA9554  Part = "pca9554"
	PCA9554A Part = "pca9554a"
	TCA9554  Part = "tca9554"
	TCA9554A Part = "tca9554a"
	MAX7310  Part = "max7310"
)

type variant struct {
	part     Part
	ident    drivers.Ident
	addrs    chip.Range
	polarity byte // at power-on
}

// variants lists the parts. The MAX7310 has 56 addresses, chosen by what its three address pins are tied to (ground,
// supply, SCL or SDA); the exact table is recalled, not re-read, so the whole run of strapped addresses is taken. Its
// polarity register wakes as F0 and its latch as 00 (QEMU model hw/gpio/max7310.c for the former; the latter
// recalled).
func variants() []variant {
	low, high := chip.Range{First: 0x20, Last: 0x27}, chip.Range{First: 0x38, Last: 0x3f}
	return []variant{
		{PCA9554, drivers.Ident{Manufacturer: "NXP", Part: "PCA9554"}, low, 0x00},
		{PCA9554A, drivers.Ident{Manufacturer: "NXP", Part: "PCA9554A"}, high, 0x00},
		{TCA9554, drivers.Ident{Manufacturer: "Texas Instruments", Part: "TCA9554"}, low, 0x00},
		{TCA9554A, drivers.Ident{Manufacturer: "Texas Instruments", Part: "TCA9554A"}, high, 0x00},
		{MAX7310, drivers.Ident{Manufacturer: "Maxim", Part: "MAX7310"}, chip.Range{First: 0x18, Last: 0x5f}, 0xf0},
	}
}

// Known lists the part numbers.
func Known() []Part {
	var out []Part
	for _, v := range variants() {
		out = append(out, v.part)
	}
	return out
}

// Opts says where the part is and which one.
type Opts struct {
	Name string // for error texts
	Addr uint16
	Part Part // no default: the part decides what a power-on looks like
}

// Dev is one expander. It holds no state but where it is and may be used from several goroutines if its bus may.
type Dev struct {
	port chip.Port
	part variant
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	for _, v := range variants() {
		if v.part != o.Part {
			continue
		}
		port, err := chip.NewPort(bus, string(v.part), o.Name, o.Addr, v.addrs)
		if err != nil {
			return nil, err
		}
		return &Dev{port, v}, nil
	}
	return nil, fmt.Errorf("pca9554 %q: part %q is none of %q", o.Name, o.Part, Known())
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify reads the three registers. The parts have no identification register, so all it can prove is that
// something answers here like one: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return d.part.ident, nil
}

// Read gives all three words, or none, and looks twice at what a bus without the part could have given;
// chip.Port.SureWords says at what.
//
// Polarity has the bits that differ from the part's own power-on value, so that 0 means undisturbed for every part:
// a MAX7310 wakes with its upper four inputs inverted, and nobody here ever writes that register.
func (d *Dev) Read(ctx context.Context) (chip.Words, error) {
	var w chip.Words
	value := func(reg byte, to *uint16) chip.Value[uint16] { return d.port.ByteValue(ctx, regName(reg), reg, to) }
	err := d.port.SureWords(value(outputPort, &w.Latch), value(configuration, &w.Direction), value(polarityInversion, &w.Polarity))
	if err != nil {
		return chip.Words{}, err
	}
	w.Direction |= absent
	w.Polarity ^= uint16(d.part.polarity)
	return w, nil
}

// ReadLatch gives the output port register alone.
func (d *Dev) ReadLatch(ctx context.Context) (uint16, error) {
	return d.word(ctx, "read", outputPort)
}

// WriteLatch writes the output port register and reads it back; chip.Port.WriteBack says what it promises. A word
// that sets a pin beyond the eighth is refused with drivers.Unsupported before anything is sent.
func (d *Dev) WriteLatch(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, outputPort, word, 0)
}

// WriteDirection writes the configuration register and reads it back, with the same promises as WriteLatch. The
// pins beyond the eighth must be inputs, as Read gives them.
func (d *Dev) WriteDirection(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, configuration, word, absent)
}

func (d *Dev) write(ctx context.Context, reg byte, word, upper uint16) (chip.Written, error) {
	name := regName(reg)
	if word&absent != upper {
		return chip.Written{}, d.port.Fail("write", name, drivers.Unsupported,
			fmt.Errorf("%04x asks for pins that the part lacks", word))
	}
	return d.port.WriteBack(ctx, name, word,
		func(ctx context.Context) error { return d.port.Tx(ctx, "write", name, []byte{reg, byte(word)}, nil) },
		func(ctx context.Context) (uint16, error) {
			v, err := d.word(ctx, "read back", reg)
			return v | upper, err
		})
}

// word reads one register into the low byte.
func (d *Dev) word(ctx context.Context, op string, reg byte) (uint16, error) {
	v, err := d.port.Byte(ctx, op, regName(reg), reg)
	return uint16(v), err
}

// regName spells a command byte as the NXP data sheet does.
func regName(reg byte) string {
	switch reg {
	case outputPort:
		return "Output Port"
	case polarityInversion:
		return "Polarity Inversion"
	case configuration:
		return "Configuration"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
