package inventory

import (
	"context"
	"fmt"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
)

// Line is a GPIO line that is read. Nothing here drives one.
type Line interface {
	// High tells the level; an error means that it is not known.
	High() (bool, error)
	Close() error
}

// Counter counts the pulses on a GPIO line.
type Counter interface {
	// Count is how many there were since the counter was made; an error means that some may be missing.
	Count() (uint64, error)
	Close() error
}

// linesBus is the name under which poll reads lines: they share no wires, but one slow one must not hold up a bus. No bus
// of the configuration can have it, as names have no capitals.
const linesBus = "GPIO"

// contactsBus is the same of contacts: a float takes 75 ms to be read, and a stop button does not wait for ten of them.
const contactsBus = "GPIO-contacts"

// lineBus is where a part of a line is read.
func lineBus(part string) string {
	if part == "contact-line" {
		return contactsBus
	}
	return linesBus
}

// lineParts are what a GPIO line may be.
func lineParts() []sensorPart {
	return []sensorPart{
		{name: "leak-float", conf: config.Part{Kind: config.PartLine, Needs: []string{"line", "active"}}},
		{name: "contact-line", conf: config.Part{Kind: config.PartLine, Needs: []string{"line", "active"}}},
		{name: "flow-pulse", conf: config.Part{Kind: config.PartLine, Keys: []string{"litres_per_pulse"}, Needs: []string{"line", "litres_per_pulse"}}},
	}
}

// openLine makes a part of a line. The line itself is taken at the first reading, and again after it was lost.
func openLine(o Opts, c config.Sensor) (part, func() error, error) {
	switch c.Part {
	case "leak-float":
		f := &float{name: c.Name, line: c.Line, high: c.Active == "high", take: o.Line, q: rack.Leak, looks: floatLooks}
		return part{shape: []value{f.value(false)}, read: f.read}, f.close, nil
	case "contact-line":
		f := &float{name: c.Name, line: c.Line, high: c.Active == "high", take: o.Line, q: rack.Contact, looks: contactLooks}
		return part{shape: []value{f.value(false)}, read: f.read}, f.close, nil
	case "flow-pulse":
		m := &flowMeter{name: c.Name, line: c.Line, litres: c.PerPulse, take: o.Counter}
		return part{shape: []value{flowValue(0, 0)}, read: m.read}, m.close, nil
	default:
		return part{}, nil, fmt.Errorf("no part %q", c.Part)
	}
}

// value is what is told of the switch.
func (f *float) value(on bool) value {
	v := value{q: f.q, i: 1, rng: poll.Range{Min: 0, Max: 1}}
	if on {
		v.v, v.raw = 1, 1
	}
	return v
}

func flowValue(lpm float64, raw uint32) value {
	return value{q: rack.FlowLPM, i: 1, v: lpm, raw: raw, rng: poll.Range{Min: 0, Max: 10_000}} // arbitrary
}

// float is a switch on a line: a float, a button, a contact of a supply. One that chatters is a fault and not dry.
type float struct {
	name, line string
	high       bool // the level that means water, or whatever it is there for
	q          rack.Quantity
	looks      int
	take       func(string) (Line, error)
	taken      Line
}

// Debounce of a float: looks so far apart must agree. Contacts bounce for some milliseconds, and a wave in a tray takes
// longer; both figures are arbitrary.
const (
	floatLooks = 4
	floatGap   = 25 * time.Millisecond
	// contactLooks is for contacts that move by themselves and at once: one more look.
	contactLooks = 2
)

func (f *float) read(ctx context.Context) ([]value, error) {
	if f.taken == nil {
		if f.take == nil {
			return nil, lineError(f.name, drivers.Unsupported, fmt.Errorf("there are no GPIO lines here"))
		}
		line, err := f.take(f.line)
		if err != nil {
			return nil, lineError(f.name, drivers.FaultOf(err), err)
		}
		f.taken = line
	}
	first := false
	for k := range f.looks {
		if k > 0 && !rest(ctx, floatGap) {
			return nil, lineError(f.name, drivers.Cancelled, context.Cause(ctx))
		}
		high, err := f.taken.High()
		if err != nil {
			_ = f.close() // it is taken anew next time
			return nil, lineError(f.name, drivers.FaultOf(err), err)
		}
		if k == 0 {
			first = high
		} else if high != first {
			return nil, lineError(f.name, drivers.Implausible, fmt.Errorf("the contact chatters"))
		}
	}
	return []value{f.value(first == f.high)}, nil
}

func (f *float) close() error {
	line := f.taken
	f.taken = nil
	if line == nil {
		return nil
	}
	return line.Close()
}

// flowMeter turns pulses into a flow.
type flowMeter struct {
	name, line string
	litres     float64
	take       func(string) (Counter, error)
	taken      Counter
	before     uint64
	at         time.Time // of before; zero: none
}

func (m *flowMeter) read(context.Context) ([]value, error) {
	if m.taken == nil {
		if m.take == nil {
			return nil, lineError(m.name, drivers.Unsupported, fmt.Errorf("there are no GPIO lines here"))
		}
		c, err := m.take(m.line)
		if err != nil {
			return nil, lineError(m.name, drivers.FaultOf(err), err)
		}
		m.taken, m.at = c, time.Time{}
	}
	n, err := m.taken.Count()
	now := time.Now()
	if err != nil {
		_ = m.close()
		return nil, lineError(m.name, drivers.FaultOf(err), err)
	}
	before, since := m.before, m.at
	m.before, m.at = n, now
	if since.IsZero() || !now.After(since) {
		return nil, lineError(m.name, drivers.Settling, nil) // one count is no flow
	}
	lpm := float64(n-before) * m.litres / now.Sub(since).Minutes()
	return []value{flowValue(lpm, uint32(n))}, nil
}

func (m *flowMeter) close() error {
	c := m.taken
	m.taken = nil
	if c == nil {
		return nil
	}
	return c.Close()
}

func lineError(name string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: "read line", Device: name, Fault: f, Err: cause}
}

// rest waits and tells whether the context is still alive.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
