package pdu

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/at24"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/chip/tca9555"
	"rackagent/drivers/chip/tmp75"
)

// Words of model files.
const (
	inputA     = "a"
	inputB     = "b"
	activeHigh = "high"
	activeLow  = "low"
	lossOpen   = "open"
	lossClosed = "closed"
)

// relayPins is how many relays an expander carries, and so how many outlets a model can have.
const relayPins = 16

// nameRule is what names in topics look like.
var nameRule = regexp.MustCompile(`^[a-z0-9-]{1,23}$`)

// checker collects what is wrong with a file.
type checker struct {
	file     string
	tree     *ast.File
	mistakes []error
}

func (c *checker) bad(key, format string, args ...any) {
	c.mistakes = append(c.mistakes, &Mistake{File: c.file, Line: line(c.tree, key), Key: key, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) check(f *modelFile) {
	if !nameRule.MatchString(f.Model) {
		c.bad("model", "%q is not a name: 1 to 23 of a-z, 0-9 and -", f.Model)
	}
	if f.Manufacturer == "" {
		c.bad("manufacturer", "missing")
	}
	if f.Product == "" {
		c.bad("product", "missing")
	}
	c.within("nominal_v", f.NominalV, 100, 277) // mains of the world, line to neutral or line to line
	c.within("settling_ms", float64(f.SettlingMS), 200, 60_000)
	c.buses(f)
	for i, m := range f.Meters {
		c.meter(f, i, m)
	}
	switch n := len(f.Outlets); {
	case n == 0:
		c.bad("outlets", "missing")
	case n > relayPins:
		c.bad("outlets", "%d outlets, one expander carries %d", n, relayPins)
	}
	for i, o := range f.Outlets {
		c.outlet(f, i, o)
	}
}

// within also refuses what is not a number.
func (c *checker) within(key string, v, low, high float64) bool {
	ok := v >= low && v <= high
	if !ok {
		c.bad(key, "%v is outside %v to %v", v, low, high)
	}
	return ok
}

func (c *checker) oneOf(key, v string, words ...string) {
	if !slices.Contains(words, v) {
		c.bad(key, "%q is none of %q", v, words)
	}
}

// buses checks where the chips are. Parts before the mux are heard on every channel, so their addresses must be
// free on all of them.
func (c *checker) buses(f *modelFile) {
	seen := map[place]string{}
	put := func(key string, addr int, channel *int, first, last int) {
		if addr < first || addr > last {
			c.bad(key+".address", "0x%02x is outside 0x%02x to 0x%02x", addr, first, last)
			return
		}
		c.channel(f, key, channel)
		here := placeAt(addr, channel)
		for p, other := range seen {
			if p.addr == here.addr && (p.channel == here.channel || p.channel == upstream || here.channel == upstream) {
				c.bad(key, "address 0x%02x is taken by %s", addr, other)
			}
		}
		seen[here] = key
	}
	if m := f.Buses.Mux; m != nil {
		if m.Channel != nil {
			c.bad("buses.mux.channel", "a mux sits on the upstream segment")
		}
		put("buses.mux", m.Address, nil, pca9548.FirstAddr, pca9548.LastAddr)
	}
	if r := f.Buses.Relays; r == nil {
		c.bad("buses.relays", "missing")
	} else {
		if r.Channel != nil {
			c.bad("buses.relays.channel", "a relay must not wait for a mux: the expander sits on the upstream segment")
		}
		put("buses.relays", r.Address, nil, tca9555.FirstAddr, tca9555.LastAddr)
	}
	if e := f.Buses.FRU; e != nil {
		put("buses.fru", e.Address, e.Channel, at24.FirstAddr, at24.LastAddr)
		c.memory(e)
	}
	for i, t := range f.Buses.Temperatures {
		put(fmt.Sprintf("buses.temperatures[%d]", i), t.Address, t.Channel, tmp75.FirstAddr, tmp75.LastAddr)
	}
	for i, m := range f.Meters {
		put(fmt.Sprintf("meters[%d]", i), ade7953.Address, m.Channel, ade7953.Address, ade7953.Address)
	}
}

func (c *checker) channel(f *modelFile, key string, channel *int) {
	switch {
	case channel == nil:
	case f.Buses.Mux == nil:
		c.bad(key+".channel", "there is no buses.mux")
	case *channel < 0 || *channel >= pca9548.Channels:
		c.bad(key+".channel", "%d is outside 0 to %d", *channel, pca9548.Channels-1)
	}
}

func (c *checker) memory(e *fruEntry) {
	if part := at24.Part(e.Part); !slices.Contains(at24.Known(), part) {
		c.bad("buses.fru.part", "%q is none of %q", part, at24.Known())
	} else if err := (at24.Opts{Addr: uint16(e.Address), Part: part}).Check(); err != nil {
		c.bad("buses.fru.address", "%v", err)
	}
}

func (c *checker) meter(f *modelFile, i int, m meterEntry) {
	key := fmt.Sprintf("meters[%d]", i)
	if c.within(key+".divider", m.Divider, 1, 1e6) {
		if v := float64(ade7953.FullScaleVoltage(m.Divider)) / float64(physic.Volt); v < 1.1*f.NominalV {
			c.bad(key+".divider", "full scale is %.1f V, below 1.1 x nominal_v", v)
		}
	}
	gains := []int{1, 2, 4, 8, 16}
	c.input(key+".a", m.A, append(gains, 22))
	c.input(key+".b", m.B, gains)
}

func (c *checker) input(key string, in inputEntry, gains []int) {
	c.within(key+".shunt_ohm", in.ShuntOhm, 1e-6, 10)
	if !slices.Contains(gains, in.Gain) {
		c.bad(key+".gain", "%d is none of %v", in.Gain, gains)
	}
}

func (c *checker) outlet(f *modelFile, i int, o outletEntry) {
	key := fmt.Sprintf("outlets[%d]", i)
	if !nameRule.MatchString(o.Bank) {
		c.bad(key+".bank", "%q is not a name: 1 to 23 of a-z, 0-9 and -", o.Bank)
	}
	c.within(key+".rating_a", o.RatingA, 1, 125)
	c.within(key+".continuous", continuousOf(o), 0.1, 1)
	c.within(key+".noise_w", o.NoiseW, 0.01, 100)
	c.oneOf(key+".active", o.Active, activeHigh, activeLow)
	c.relay(f, key, i, o)
	c.position(key, o)
	c.metering(f, key, i, o)
}

func (c *checker) relay(f *modelFile, key string, i int, o outletEntry) {
	key += ".relay"
	switch {
	case o.Relay == nil:
		c.bad(key, "missing")
	case *o.Relay < 0 || *o.Relay >= relayPins:
		c.bad(key, "bit %d is outside 0 to %d", *o.Relay, relayPins-1)
	default:
		for j, other := range f.Outlets[:i] {
			if other.Relay != nil && *other.Relay == *o.Relay {
				c.bad(key, "bit %d is taken by outlet %d", *o.Relay, j+1)
			}
		}
	}
}

// position checks that both ways of saying where a contact rests agree. Whether a server keeps its power when the
// controller loses its own hangs on this key, so the file says it twice.
func (c *checker) position(key string, o outletEntry) {
	c.oneOf(key+".contact", o.Contact, string(normallyOpen), string(normallyClosed))
	c.oneOf(key+".on_controller_power_loss", o.PowerLoss, lossOpen, lossClosed)
	rest := map[string]string{string(normallyOpen): lossOpen, string(normallyClosed): lossClosed}[o.Contact]
	if rest != "" && (o.PowerLoss == lossOpen || o.PowerLoss == lossClosed) && rest != o.PowerLoss {
		c.bad(key+".on_controller_power_loss", "a relay that is not latching with contact %q is %s without supply", o.Contact, rest)
	}
}

func (c *checker) metering(f *modelFile, key string, i int, o outletEntry) {
	if o.Meter == nil {
		if o.Input != "" {
			c.bad(key+".input", "there is no meter")
		}
		return
	}
	if *o.Meter < 0 || *o.Meter >= len(f.Meters) {
		c.bad(key+".meter", "there are %d meters, counted from 0", len(f.Meters))
		return
	}
	c.oneOf(key+".input", o.Input, inputA, inputB)
	for j, other := range f.Outlets[:i] {
		if other.Meter != nil && *other.Meter == *o.Meter && other.Input == o.Input {
			c.bad(key+".input", "input %s of meter %d is taken by outlet %d", o.Input, *o.Meter, j+1)
		}
	}
	in := f.Meters[*o.Meter].A
	if o.Input == inputB {
		in = f.Meters[*o.Meter].B
	}
	if in.Gain < 1 || in.ShuntOhm < 1e-6 {
		return // said at the meter
	}
	if a := float64(ade7953.FullScaleCurrent(in.Gain, in.ShuntOhm)) / float64(physic.Ampere); a < o.RatingA {
		c.bad(key+".rating_a", "the meter's full scale is %.1f A", a)
	}
}
