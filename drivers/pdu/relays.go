package pdu

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/chip/mcp23017"
	"rackagent/drivers/chip/pca9552"
	"rackagent/drivers/chip/pca9554"
	"rackagent/drivers/chip/tca9555"
	"rackagent/drivers/i2cbus"
)

// relayChip is the part that drives the relays of one bank. Its verbs promise what chip.Port.WriteBack does.
type relayChip interface {
	fmt.Stringer
	Read(ctx context.Context) (chip.Words, error)
	ReadLatch(ctx context.Context) (uint16, error)
	WriteLatch(ctx context.Context, word uint16) (chip.Written, error)
	WriteDirection(ctx context.Context, word uint16) (chip.Written, error)
}

// bankSpec is one relay bank of a model.
type bankSpec struct {
	place
	part  relayPart
	meter int // whose hot-swap part switches the one outlet; noMeter: a part of its own
}

const noMeter = -1

// relayPart is a kind of relayChip.
type relayPart struct {
	name        string
	pins        int
	first, last int // addresses
	// directed: the part has a direction register, whose reset value (all inputs) tells that the bank is out of control.
	// A part without one releases all its pins after a reset, so it takes coils that a low level energises only.
	directed bool
	open     func(bus i2c.Bus, name string, addr uint16) (relayChip, error)
}

// direction is what Words.Direction reads with these pins driving relays and the part under control. A part without
// the register always drives its pins.
func (p relayPart) direction(relays uint16) uint16 {
	if p.directed {
		return ^relays
	}
	return ^p.all()
}

// all is a latch with every pin of the part high.
func (p relayPart) all() uint16 { return uint16(1<<p.pins - 1) }

// relayParts are the parts a model file may name.
func relayParts() map[string]relayPart {
	parts := map[string]relayPart{
		"tca9555": {pins: 16, first: tca9555.FirstAddr, last: tca9555.LastAddr, directed: true, open: func(bus i2c.Bus, name string, addr uint16) (relayChip, error) {
			return tca9555.New(bus, tca9555.Opts{Name: name, Addr: addr})
		}},
		"mcp23017": {pins: 16, first: mcp23017.FirstAddr, last: mcp23017.LastAddr, directed: true, open: func(bus i2c.Bus, name string, addr uint16) (relayChip, error) {
			return mcp23017.New(bus, mcp23017.Opts{Name: name, Addr: addr})
		}},
		"pca9552": {pins: 16, first: pca9552.FirstAddr, last: pca9552.LastAddr, open: func(bus i2c.Bus, name string, addr uint16) (relayChip, error) {
			return pca9552.New(bus, pca9552.Opts{Name: name, Addr: addr})
		}},
	}
	for _, kind := range pca9554.Known() {
		first, last := expanderAddresses(kind)
		parts[string(kind)] = relayPart{pins: 8, first: first, last: last, directed: true, open: func(bus i2c.Bus, name string, addr uint16) (relayChip, error) {
			return pca9554.New(bus, pca9554.Opts{Name: name, Addr: addr, Part: kind})
		}}
	}
	return parts
}

// expanderAddresses is where a part of eight pins can sit, as its driver says.
func expanderAddresses(kind pca9554.Part) (first, last int) {
	switch kind {
	case pca9554.PCA9554A, pca9554.TCA9554A:
		return 0x38, 0x3f
	case pca9554.MAX7310:
		return 0x18, 0x5f
	default:
		return 0x20, 0x27
	}
}

func relayPartNames() []string {
	var names []string
	for n := range relayParts() {
		names = append(names, n)
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// bank is one relay bank with its two ways to the bus.
type bank struct {
	spec      bankSpec
	name      string
	poll, act i2cbus.Conn
	hotSwap   *adm1272.Dev // nil: a part of its own
}

func (b *bank) chip(tx i2c.Bus) (relayChip, error) {
	if b.hotSwap != nil {
		return operation{b.hotSwap.On(tx)}, nil
	}
	return b.spec.part.open(tx, b.name, b.spec.addr)
}

// errNoBank is the refusal of a bank that is not there.
func (p *PDU) bankAt(op string, i int) (*bank, error) {
	if i < 0 || i >= len(p.banks) {
		return nil, p.fail(op, drivers.Unsupported, fmt.Errorf("there are %d relay banks", len(p.banks)))
	}
	return p.banks[i], nil
}
