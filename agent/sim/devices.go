package sim

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Meter is a metering part as the faults of a world see it.
type Meter interface {
	drivertest.Chip
	// SetPowered takes away or gives back the part's supply, which comes from the feed it measures.
	SetPowered(on bool)
	// Freeze stops all measurement, or lets it go on: the part answers, and its codes do not move.
	Freeze(on bool)
	// SetScale makes every reading wrong by a factor: 1 is right, 0 a meter that sees nothing.
	SetScale(f float64)
}

// Expander is a part that drives relays, as what ran before an agent left it.
type Expander interface {
	drivertest.Expander
	// Preset puts latch and direction where a program that ran before would have left them, both at once.
	Preset(latch, direction uint16)
}

// Devices are the chips of a built board.
type Devices struct {
	Muxes  []*drivertest.PCA9548
	Relays []Expander // as Board.Relays
	Meters []Meter    // as Board.Meters
	Slots  []*Slot    // of each outlet; nil where a relay switches it
	Temps  []*drivertest.TMP75
	FRU    *drivertest.AT24

	Mux  *drivertest.PCA9548 // the first switch; nil: none
	Bank *drivertest.TCA9555 // the first relay part, where it is a TCA9555; else nil

	named map[string]drivertest.Chip // by what the bus calls them
}

// preset16 and preset8 give the expanders one way to be preset.
type (
	preset16 struct{ *drivertest.TCA9555 }
	preset8  struct{ *drivertest.Expander8 }
)

// Preset loads both words.
func (p preset16) Preset(latch, direction uint16) { p.Load(latch, direction) }

// Preset loads the lower halves; the part has no more pins.
func (p preset8) Preset(latch, direction uint16) { p.Load(byte(latch), byte(direction)) }

// check tells what does not fit together.
func (b *Board) check() error {
	if !rack.ValidName(b.Name) {
		return fmt.Errorf("board %q: not a name", b.Name)
	}
	if len(b.Outlets) == 0 || len(b.Outlets) > 48 {
		return fmt.Errorf("board %q: %d outlets, want 1 to 48", b.Name, len(b.Outlets))
	}
	for i, p := range b.Relays {
		if p.pins() == 0 {
			return fmt.Errorf("board %q: relay part %d is a %q", b.Name, i, p.Kind)
		}
	}
	bits := map[[2]int]int{}
	for i, s := range b.Outlets {
		if err := b.checkSocket(s, bits); err != nil {
			return fmt.Errorf("board %q: outlet %d: %w", b.Name, i+1, err)
		}
	}
	for i, p := range b.Meters {
		if err := b.checkMeter(i, p); err != nil {
			return fmt.Errorf("board %q: meter %d: %w", b.Name, i, err)
		}
	}
	return nil
}

func (b *Board) checkSocket(s Socket, bits map[[2]int]int) error {
	switch {
	case s.Meter < Unmetered || s.Meter >= len(b.Meters):
		return fmt.Errorf("there are %d meters", len(b.Meters))
	case s.Slot && (s.Meter == Unmetered || b.Meters[s.Meter].Kind != partADM1272):
		return fmt.Errorf("its meter is no hot-swap controller")
	case s.Slot:
		return nil
	case s.Relays < 0 || s.Relays >= len(b.Relays):
		return fmt.Errorf("there are %d relay parts", len(b.Relays))
	case s.Bit < 0 || s.Bit >= b.Relays[s.Relays].pins():
		return fmt.Errorf("a %s has no pin %d", b.Relays[s.Relays].Kind, s.Bit)
	}
	at := [2]int{s.Relays, s.Bit}
	bits[at]++
	if bits[at] > 1 {
		return fmt.Errorf("pin %d drives two relays", s.Bit)
	}
	return nil
}

func (b *Board) checkMeter(i int, p MeterPart) error {
	switch {
	case p.inputs() == 0:
		return fmt.Errorf("it is a %q", p.Kind)
	case p.Channel != Upstream && (p.Mux < 0 || p.Mux >= len(b.Muxes)):
		return fmt.Errorf("there are %d switches", len(b.Muxes))
	case p.Channel < Upstream || p.Channel > 7:
		return fmt.Errorf("a switch has no channel %d", p.Channel)
	}
	feed := b.feedOf(i)
	if feed == "" {
		return fmt.Errorf("it measures nothing")
	}
	for input := range p.inputs() {
		own := 0
		for _, o := range b.on(i, input) {
			if b.Outlets[o].Meter == i {
				own++
			}
			if p.Kind == partADM1272 && !b.Outlets[o].Slot {
				return fmt.Errorf("outlet %d is no slot", o+1)
			}
			if b.Outlets[o].Feed != feed {
				return fmt.Errorf("what it measures hangs on the feeds %s and %s", feed, b.Outlets[o].Feed)
			}
		}
		if own > 1 {
			return fmt.Errorf("input %d is taken by %d outlets", input, own)
		}
	}
	return nil
}

// builder makes a board in a rack.
type builder struct {
	*Board
	rack    *Rack
	bus     *drivertest.Bus
	outlets []*outlet
	d       *Devices
}

// build makes the outlets in the rack and the chips on the bus.
func (b *Board) build(r *Rack, bus *drivertest.Bus) (*Devices, error) {
	m := builder{Board: b, rack: r, bus: bus, d: &Devices{named: map[string]drivertest.Chip{}}}
	for i, s := range b.Outlets {
		o, err := r.addOutlet(b.outlet(i), s)
		if err != nil {
			return nil, err
		}
		m.outlets = append(m.outlets, o)
	}
	for i, addr := range b.Muxes {
		c := drivertest.NewPCA9548()
		m.d.Muxes = append(m.d.Muxes, c)
		m.attach(&bus.Segment, b.part("mux", i, len(b.Muxes)), addr, c)
	}
	for i, p := range b.Relays {
		c := m.expander(i)
		m.d.Relays = append(m.d.Relays, c)
		m.attach(&bus.Segment, b.part("bank", i, len(b.Relays)), p.Addr, c)
	}
	m.meters()
	for i, addr := range b.Temps {
		c := drivertest.NewTMP75(b.celsius(r, i), r.now)
		m.d.Temps = append(m.d.Temps, c)
		m.attach(&bus.Segment, b.numbered("temp", i), addr, c)
	}
	if len(m.d.Muxes) > 0 {
		m.d.Mux = m.d.Muxes[0]
	}
	return m.d, m.memory()
}

func (m *builder) attach(s *drivertest.Segment, name string, addr uint16, c drivertest.Chip) {
	s.Attach(name, addr, c)
	m.d.named[name] = c
}

// expander is a relay part whose pins drive the coils of its outlets.
func (m *builder) expander(part int) Expander {
	var on []wired
	for i, s := range m.Outlets {
		if !s.Slot && s.Relays == part {
			on = append(on, wired{uint16(1) << s.Bit, m.outlets[i].own})
		}
	}
	coils := func(p drivertest.Pins) { m.rack.coils(on, p) }
	if m.Relays[part].Kind == partPCA9554A {
		return preset8{drivertest.NewPCA9554(coils)}
	}
	c := drivertest.NewTCA9555(coils)
	if part == 0 {
		m.d.Bank = c
	}
	return preset16{c}
}

// meters puts the metering parts in their places.
func (m *builder) meters() {
	m.d.Slots = make([]*Slot, len(m.outlets))
	for i, p := range m.Meters {
		c := m.meter(i, p)
		m.d.Meters = append(m.d.Meters, c)
		segment := &m.bus.Segment
		if p.Channel != Upstream {
			segment = m.d.Muxes[p.Mux].Channel(p.Channel)
		}
		m.attach(segment, m.numbered("meter", i), p.Addr, c)
	}
}

const (
	// meterNoise is the largest error of an ADE7953's code: arbitrary, about 0.06 W and 2 mV in an AC8.
	meterNoise = 40
	// frameDelay is how long a MCP39F521 thinks about a frame: libraries wait for none to 100 ms; arbitrary, between.
	frameDelay = 10 * time.Millisecond
)

func (m *builder) meter(i int, p MeterPart) Meter {
	line := meter{rack: m.rack, feed: m.rack.feeds[m.feedOf(i)]}
	for input := range line.inputs {
		for _, o := range m.on(i, input) {
			line.inputs[input] = append(line.inputs[input], m.outlets[o])
		}
	}
	switch p.Kind {
	case partMCP39F5:
		return drivertest.NewMCP39F521(drivertest.MCP39F521Opts{Line: line, Delay: frameDelay, Now: m.rack.now})
	case partADM1272:
		o := m.on(i, 0)[0]
		s := newSlot(m.rack, m.outlets[o], p)
		m.d.Slots[o] = s
		return s
	default:
		return drivertest.NewADE7953(drivertest.ADE7953Opts{
			Line: line, Divider: p.Divider, ShuntOhm: [2]float64{p.ShuntOhm, p.ShuntOhm},
			NoiseCodes: meterNoise,
			Seed:       m.rack.seed.Stream(3000 + uint64(len(m.rack.order)*16+i)),
			Now:        m.rack.now,
		})
	}
}

func (m *builder) memory() error {
	image, err := m.image(m.Serial)
	if err != nil {
		return err
	}
	if m.d.FRU, err = drivertest.NewAT24C02(image, m.rack.now); err != nil {
		return err
	}
	m.attach(&m.bus.Segment, m.Name+".fru", m.FRUAddr, m.d.FRU)
	return nil
}
