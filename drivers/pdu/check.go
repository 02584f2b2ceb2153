package pdu

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/at24"
	"rackagent/drivers/chip/pca9548"
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
	lossStays  = "unchanged"
	currentAC  = "ac"
	currentDC  = "dc"
)

// mostOutlets is what an outlet's number may be: two digits (rack.ParseOutletID), and half of that for people.
const mostOutlets = 48

// longestSettling is in ms. The proof of a cut ends 5 s after its write and begins once the meter has settled: this
// leaves 2 s for the two samples that it takes. With more no cut could ever be proven.
const longestSettling = 3000

// nameRule is what names in topics look like.
var nameRule = regexp.MustCompile(`^[a-z0-9-]{1,23}$`)

// checker collects what is wrong with a file.
type checker struct {
	file     string
	tree     *ast.File
	mistakes []error
	inputs   map[string]string // meter and input -> key of what hangs on it
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
	c.oneOf("current", or(f.Current, currentAC), currentAC, currentDC)
	if f.Current == currentDC {
		c.within("nominal_v", f.NominalV, 10, 60) // extra-low voltage: 12, 24, 48 and 54 V
	} else {
		c.within("nominal_v", f.NominalV, 100, 277) // mains of the world, line to neutral or line to line
	}
	c.within("settling_ms", float64(f.SettlingMS), 200, longestSettling)
	c.buses(f)
	for i, m := range f.Meters {
		c.meter(f, i, m)
	}
	switch n := len(f.Outlets); {
	case n == 0:
		c.bad("outlets", "missing")
	case n > mostOutlets:
		c.bad("outlets", "%d outlets, a PDU has at most %d", n, mostOutlets)
	}
	for i, o := range f.Outlets {
		c.outlet(f, i, o)
	}
	c.supplies(f)
	c.banksUsed(f)
}

// banksUsed refuses a part that drives nothing: its state would be judged for nothing.
func (c *checker) banksUsed(f *modelFile) {
	for i := range f.Buses.Relays {
		if !slices.ContainsFunc(f.Outlets, func(o outletEntry) bool { return !o.Operation && o.Relays == i }) {
			c.bad(fmt.Sprintf("buses.relays[%d]", i), "no outlet hangs on it")
		}
	}
}

// within also refuses what is not a number.
func (c *checker) within(key string, v, low, high float64) bool {
	ok := v >= low && v <= high
	if !ok {
		c.bad(key, "%s is outside %s to %s", number(v), number(low), number(high))
	}
	return ok
}

// number writes a number as people do: 1000000, not 1e+06.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// withArticle puts the article before the name of a part. Such names are read letter by letter: an ADM, a PCA.
func withArticle(part string) string {
	if part != "" && strings.Contains("aefhilmnorsx", part[:1]) {
		return "an " + part
	}
	return "a " + part
}

func (c *checker) oneOf(key, v string, words ...string) {
	if !slices.Contains(words, v) {
		c.bad(key, "%q is none of %q", v, words)
	}
}

// taken is an address that a part of the file has. Parts before the muxes are heard on every channel, so their addresses
// must be free on all of them.
type taken struct {
	place
	by string // its key
}

// put notes where a part is, behind those that stand before it in the file.
func (c *checker) put(f *modelFile, seen *[]taken, key string, addr int, mux, channel *int, first, last int) {
	if addr < first || addr > last {
		c.bad(key+".address", "0x%02x is outside 0x%02x to 0x%02x", addr, first, last)
		return
	}
	c.channel(f, key, mux, channel)
	c.occupy(seen, key, placeAt(addr, mux, channel), "")
}

// occupy notes an address of a part; why says why it is not the one in the file, empty where it is.
func (c *checker) occupy(seen *[]taken, key string, here place, why string) {
	again := false // the first at a place keeps it
	for _, p := range *seen {
		same := p.mux == here.mux && p.channel == here.channel
		if p.addr == here.addr && (same || p.mux == upstream || here.mux == upstream) {
			c.bad(key, "address 0x%02x is taken by %s%s", here.addr, p.by, why)
		}
		again = again || p.place == here
	}
	if !again {
		*seen = append(*seen, taken{here, key})
	}
}

func (c *checker) buses(f *modelFile) {
	seen := new([]taken)
	for i, m := range f.Buses.Muxes {
		key := fmt.Sprintf("buses.muxes[%d]", i)
		c.oneOf(key+".part", m.part(), muxParts()...)
		c.put(f, seen, key, m.Address, nil, nil, pca9548.FirstAddr, pca9548.LastAddr)
	}
	for i, r := range f.Buses.Relays {
		key := fmt.Sprintf("buses.relays[%d]", i)
		part, known := relayParts()[r.part()]
		if !known {
			c.bad(key+".part", "%q is none of %q", r.Part, relayPartNames())
			continue
		}
		// A relay must not wait for a mux: the parts that drive relays sit on the upstream segment.
		c.put(f, seen, key, r.Address, nil, nil, part.first, part.last)
	}
	if e := f.Buses.FRU; e != nil {
		c.put(f, seen, "buses.fru", e.Address, e.Mux, e.Channel, at24.FirstAddr, at24.LastAddr)
		c.memory(seen, e)
	}
	for i, t := range f.Buses.Temperatures {
		c.put(f, seen, fmt.Sprintf("buses.temperatures[%d]", i), t.Address, t.Mux, t.Channel, tmp75.FirstAddr, tmp75.LastAddr)
	}
	for i, m := range f.Meters {
		key := fmt.Sprintf("meters[%d]", i)
		if !m.known() || m.homeless() { // said at the meter
			c.channel(f, key, m.Mux, m.Channel)
			continue
		}
		first, last := m.addresses()
		c.put(f, seen, key, m.address(), m.Mux, m.Channel, first, last)
	}
}

func (c *checker) channel(f *modelFile, key string, mux, channel *int) {
	n := 0
	if mux != nil {
		n = *mux
	}
	switch {
	case channel == nil && mux != nil:
		c.bad(key+".mux", "it needs a channel")
	case channel == nil:
	case n < 0 || n >= len(f.Buses.Muxes):
		c.bad(key+".channel", "there is no mux %d in buses.muxes, counted from 0", n)
	case !slices.Contains(muxParts(), f.Buses.Muxes[n].part()): // said at the mux
	case *channel < 0 || *channel >= muxChannels(f.Buses.Muxes[n].part()):
		c.bad(key+".channel", "%d is outside 0 to %d", *channel, muxChannels(f.Buses.Muxes[n].part())-1)
	}
}

// memory also occupies what the part answers to beside its address: a relay bank there would be read as the AND of both
// latches, and what is written from that moves relays that nobody named.
func (c *checker) memory(seen *[]taken, e *fruEntry) {
	const key = "buses.fru"
	part := at24.Part(e.Part)
	if !slices.Contains(at24.Known(), part) {
		c.bad(key+".part", "%q is none of %q", part, at24.Known())
		return
	}
	o := at24.Opts{Addr: uint16(e.Address), Part: part}
	if err := o.Check(); err != nil {
		c.bad(key+".address", "%v", err)
		return
	}
	for _, addr := range o.Addresses()[1:] {
		at := placeAt(int(addr), e.Mux, e.Channel)
		c.occupy(seen, key, at, fmt.Sprintf(", and %s at 0x%02x answers there too", withArticle(e.Part), e.Address))
	}
}

func (c *checker) ade(f *modelFile, key string, m meterEntry) {
	if c.within(key+".divider", m.Divider, 1, 1e6) {
		if v := float64(ade7953.FullScaleVoltage(m.Divider)) / float64(physic.Volt); v < 1.1*f.NominalV {
			c.bad(key+".divider", "full scale is %.1f V, below 1.1 x nominal_v", v)
		}
	}
	gains := []int{1, 2, 4, 8, 16}
	c.input(key+".a", m.A, append(gains, 22))
	c.input(key+".b", m.B, gains)
}

func (c *checker) input(key string, in *inputEntry, gains []int) {
	if in == nil {
		c.bad(key, "missing")
		return
	}
	c.within(key+".shunt_ohm", in.ShuntOhm, 1e-6, 10)
	if !slices.Contains(gains, in.Gain) {
		c.bad(key+".gain", "%d is none of %v", in.Gain, gains)
	}
}

// supplies checks the meters of whole banks. An outlet that is metered itself needs no other proof, so a bank has one
// meter or each of its outlets has.
func (c *checker) supplies(f *modelFile) {
	for i, s := range f.Supplies {
		key := fmt.Sprintf("supplies[%d]", i)
		members := 0
		for n, o := range f.Outlets {
			if o.Bank != s.Bank {
				continue
			}
			members++
			if o.Meter != nil {
				c.bad(key+".bank", "outlet %d has a meter of its own", n+1)
			}
		}
		if members == 0 {
			c.bad(key+".bank", "no outlet is in bank %q", s.Bank)
		}
		for j, other := range f.Supplies[:i] {
			if other.Bank == s.Bank {
				c.bad(key+".bank", "bank %q is taken by supplies[%d]", s.Bank, j)
			}
		}
		c.within(key+".noise_w", s.NoiseW, 0.01, 100)
		if s.Meter == nil {
			c.bad(key+".meter", "missing")
			continue
		}
		c.hung(f, key, *s.Meter, s.Input)
		c.carries(f, key, s)
	}
}

// carries refuses a meter whose full scale is below what the outlets of its bank may draw together: a model has no other
// rating of a bank, and a meter that clips shows no step.
func (c *checker) carries(f *modelFile, key string, s supplyEntry) {
	if *s.Meter < 0 || *s.Meter >= len(f.Meters) {
		return // said by hung
	}
	rating := 0.0
	for _, o := range f.Outlets {
		if o.Bank == s.Bank {
			rating += o.RatingA
		}
	}
	if a, ok := f.Meters[*s.Meter].fullScale(s.Input); ok && a < rating {
		c.bad(key+".meter", "the meter's full scale is %.1f A, the outlets of bank %q are rated %s A together", a, s.Bank, number(rating))
	}
}

// hung checks the input of a meter that something hangs on and notes who has it.
func (c *checker) hung(f *modelFile, key string, meter int, input string) {
	if meter < 0 || meter >= len(f.Meters) {
		c.bad(key+".meter", "there are %d meters, counted from 0", len(f.Meters))
		return
	}
	m := f.Meters[meter]
	if !m.known() {
		return // said at the meter
	}
	if m.part() != partADE {
		if input != "" {
			c.bad(key+".input", "%s has one input only", withArticle(m.part()))
		}
		input = inputA
	} else {
		c.oneOf(key+".input", input, inputA, inputB)
	}
	at := fmt.Sprintf("%d%s", meter, input)
	if other, taken := c.inputs[at]; taken {
		c.bad(key+".input", "input %s of meter %d is taken by %s", input, meter, other)
	}
	if c.inputs == nil {
		c.inputs = map[string]string{}
	}
	c.inputs[at] = key
}

func (c *checker) outlet(f *modelFile, i int, o outletEntry) {
	key := fmt.Sprintf("outlets[%d]", i)
	if !nameRule.MatchString(o.Bank) {
		c.bad(key+".bank", "%q is not a name: 1 to 23 of a-z, 0-9 and -", o.Bank)
	}
	c.within(key+".rating_a", o.RatingA, 1, 125)
	c.within(key+".continuous", continuousOf(o), 0.1, 1)
	c.within(key+".noise_w", o.NoiseW, 0.01, 100)
	if o.Operation {
		c.operation(f, key, o)
	} else {
		c.oneOf(key+".active", o.Active, activeHigh, activeLow)
		c.reset(f, key, o)
		c.relay(f, key, i, o)
		c.position(key, o)
	}
	c.metering(f, key, o)
}

// operation checks an outlet that its hot-swap part switches.
func (c *checker) operation(f *modelFile, key string, o outletEntry) {
	if o.Relay != nil || o.Active != "" || o.Contact != "" {
		c.bad(key+".operation", "a hot-swap part has no relay, active or contact")
	}
	if o.PowerLoss != lossStays {
		c.bad(key+".on_controller_power_loss", "a hot-swap part lives on the bus it switches: %q", lossStays)
	}
	if o.Meter == nil || *o.Meter < 0 || *o.Meter >= len(f.Meters) || !f.Meters[*o.Meter].switches() {
		c.bad(key+".operation", "its meter is no hot-swap part")
	}
}

// reset refuses coils that a part without a direction register energises when it loses its supply and comes back: it
// releases all its pins then, so every contact would stand where on_controller_power_loss does not say, and the words
// would not tell.
func (c *checker) reset(f *modelFile, key string, o outletEntry) {
	if o.Relays < 0 || o.Relays >= len(f.Buses.Relays) || o.Active != activeHigh {
		return
	}
	name := f.Buses.Relays[o.Relays].part()
	if part, known := relayParts()[name]; known && !part.directed {
		c.bad(key+".active", "%s releases its pins after a reset, which with %q energises the coil against on_controller_power_loss: it takes %q only",
			withArticle(name), activeHigh, activeLow)
	}
}

func (c *checker) relay(f *modelFile, key string, i int, o outletEntry) {
	if o.Relays < 0 || o.Relays >= len(f.Buses.Relays) {
		c.bad(key+".relays", "there are %d in buses.relays, counted from 0", len(f.Buses.Relays))
		return
	}
	key += ".relay"
	part, known := relayParts()[f.Buses.Relays[o.Relays].part()]
	switch {
	case o.Relay == nil:
		c.bad(key, "missing")
	case known && (*o.Relay < 0 || *o.Relay >= part.pins):
		c.bad(key, "bit %d is outside 0 to %d", *o.Relay, part.pins-1)
	default:
		for j, other := range f.Outlets[:i] {
			if other.Relay != nil && *other.Relay == *o.Relay && other.Relays == o.Relays {
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

func (c *checker) metering(f *modelFile, key string, o outletEntry) {
	if o.Meter == nil {
		if o.Input != "" {
			c.bad(key+".input", "there is no meter")
		}
		return
	}
	c.hung(f, key, *o.Meter, o.Input)
	if *o.Meter < 0 || *o.Meter >= len(f.Meters) {
		return
	}
	if a, ok := f.Meters[*o.Meter].fullScale(o.Input); ok && a < o.RatingA {
		c.bad(key+".rating_a", "the meter's full scale is %.1f A", a)
	}
}
