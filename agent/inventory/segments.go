package inventory

import (
	"fmt"
	"slices"
	"strings"

	"rackagent/config"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/i2cbus"
)

// segments finds the way to what hangs on a bus or behind the muxes of the configuration.
type segments struct {
	conf  *config.Config
	buses map[string]Bus
	muxes map[string]*pca9548.Dev
	known map[string]*pca9548.Segment // by bus name, or by MUX.CHANNEL
}

// newSegments makes the muxes, outer ones first, and touches none.
func newSegments(c *config.Config, buses map[string]Bus) (*segments, error) {
	s := &segments{conf: c, buses: buses, muxes: make(map[string]*pca9548.Dev), known: make(map[string]*pca9548.Segment)}
	for range c.Muxes {
		for _, m := range c.Muxes {
			if s.muxes[m.Name] != nil || !s.reachable(m) {
				continue
			}
			up, err := s.poll(m.Bus, m.Via)
			if err != nil {
				return nil, fmt.Errorf("mux %s: %w", m.Name, err)
			}
			d, err := pca9548.New(up, pca9548.Opts{Name: m.Name, Addr: uint16(m.Address), Part: pca9548.Part(m.Part), Segment: s.segment(m.Bus, m.Via)})
			if err != nil {
				return nil, fmt.Errorf("mux %s: %w", m.Name, err)
			}
			s.muxes[m.Name] = d
		}
	}
	return s, nil
}

func (s *segments) reachable(m config.Mux) bool {
	if m.Via == "" {
		return true
	}
	above, _, ok := s.conf.Via(m.Via)
	return ok && s.muxes[above.Name] != nil
}

// segment is what the muxes on one stretch of bus know of each other.
func (s *segments) segment(bus, via string) *pca9548.Segment {
	key := bus
	if via != "" {
		key = via
	}
	if s.known[key] == nil {
		s.known[key] = new(pca9548.Segment)
	}
	return s.known[key]
}

func (s *segments) poll(bus, via string) (i2cbus.Conn, error) {
	return s.conn(bus, via, func(b Bus) i2cbus.Conn { return b.Poll })
}

func (s *segments) act(bus, via string) (i2cbus.Conn, error) {
	return s.conn(bus, via, func(b Bus) i2cbus.Conn { return b.Act })
}

func (s *segments) conn(bus, via string, handle func(Bus) i2cbus.Conn) (i2cbus.Conn, error) {
	if via == "" {
		b, ok := s.buses[bus]
		if !ok {
			return nil, fmt.Errorf("no bus %q", bus)
		}
		return handle(b), nil
	}
	m, channel, ok := s.conf.Via(via)
	if !ok || s.muxes[m.Name] == nil {
		return nil, fmt.Errorf("no mux for %q", via)
	}
	up, err := s.conn(m.Bus, m.Via, handle)
	if err != nil {
		return nil, err
	}
	return s.muxes[m.Name].PortOn(up, channel)
}

// taken is an address with who takes it and the way there: the bus, then the channels of muxes.
type taken struct {
	addr uint16
	way  []string
	who  string
}

// collides tells whether a transfer meant for one would reach both: a part before a mux is heard on all its channels.
func (t taken) collides(o taken) bool {
	n := min(len(t.way), len(o.way))
	return t.addr == o.addr && slices.Equal(t.way[:n], o.way[:n])
}

// Collisions refuses two parts that would answer one address at the same time: a write meant for one would reach both.
func (models Models) Collisions(c *config.Config) error {
	all, err := models.taken(c)
	if err != nil {
		return err
	}
	for i, t := range all {
		for _, o := range all[:i] {
			if t.collides(o) {
				return fmt.Errorf("%s: address 0x%02x of bus %s is taken by %s; give each a bus or a channel of its own", t.who, t.addr, strings.Join(o.way, " "), o.who)
			}
		}
	}
	return nil
}

// Overheard is an address that parts have on two buses of which one hears what is sent on the other.
type Overheard struct {
	Addr  uint16
	Buses [2]string
	Who   [2]string // "pdu pdu-a"
}

// String is for people.
func (o Overheard) String() string {
	return fmt.Sprintf("%s on bus %s and %s on bus %s have the address 0x%02x, and one of the buses is a channel of a mux of the kernel's on the other: what is sent to one may reach both, so neither is sent anything",
		o.Who[0], o.Buses[0], o.Who[1], o.Buses[1], o.Addr)
}

// Overheard finds the addresses that nothing may be sent to. below tells whether a bus is a channel of a mux that the
// kernel operates on another. Muxes of the agent's own keep nobody apart here: each bus is used without regard to which
// channels are connected on the other, and the kernel may leave its own connected.
func (models Models) Overheard(c *config.Config, below func(bus, other string) bool) ([]Overheard, error) {
	all, err := models.taken(c)
	if err != nil {
		return nil, err
	}
	var found []Overheard
	for i, t := range all {
		for _, o := range all[:i] {
			one, other := o.way[0], t.way[0]
			if t.addr == o.addr && one != other && (below(one, other) || below(other, one)) {
				found = append(found, Overheard{Addr: t.addr, Buses: [2]string{one, other}, Who: [2]string{o.who, t.who}})
			}
		}
	}
	return found, nil
}

// taken lists every address of the configuration.
func (models Models) taken(c *config.Config) ([]taken, error) {
	var all []taken
	add := func(addr uint16, way []string, who string) { all = append(all, taken{addr, way, who}) }
	for _, m := range c.Muxes {
		add(uint16(m.Address), wayTo(c, m.Bus, m.Via), "mux "+m.Name)
	}
	for _, p := range c.PDUs {
		m, err := models.Load(p.Model)
		if err != nil {
			return nil, fmt.Errorf("pdu %s: %w", p.Name, err)
		}
		way := wayTo(c, p.Bus, p.Via)
		for _, at := range m.Places() {
			here := way
			if at.Behind != "" {
				here = append(slices.Clone(way), p.Name+" "+at.Behind)
			}
			add(at.Addr, here, "pdu "+p.Name)
		}
	}
	for _, s := range c.Sensors {
		if s.Address != 0 {
			add(uint16(s.Address), wayTo(c, s.Bus, s.Via), "sensor "+s.Name)
		}
	}
	return all, nil
}

// wayTo lists the bus and then the channels down to a place.
func wayTo(c *config.Config, bus, via string) []string {
	var way []string
	for range len(c.Muxes) + 1 {
		if via == "" {
			return append([]string{bus}, way...)
		}
		way = append([]string{via}, way...)
		m, _, ok := c.Via(via)
		if !ok {
			return way
		}
		bus, via = m.Bus, m.Via
	}
	return way
}
