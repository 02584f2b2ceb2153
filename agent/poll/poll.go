package poll

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"rackagent/agent/rack"
)

// Opts is what a Poller needs beside its devices.
type Opts struct {
	// Sink gets all readings of a device after every attempt on it, from the goroutine of its bus: it must
	// not block. After a failed attempt these are the last good values with their old times and a quality
	// below ok; a consumer that counts samples compares At. The slice is the consumer's own. May be nil.
	Sink func([]rack.Reading)
	// Events gets changes of health and hung buses, under the same terms. May be nil.
	Events func(rack.Event)
	// Jitter gives random numbers in [0, 1) for the pause after a lost arbitration; it is called from several
	// goroutines. nil: math/rand.
	Jitter func() float64
}

// Poller reads devices and keeps their latest values. All methods may be called from any goroutine.
type Poller struct {
	buses  []*bus
	places map[string]place     // by device name
	points map[rack.Point]place // where each point is kept
	units  []*unit              // in the order given to New
}

// place is a device on its bus, and for a point its index there.
type place struct {
	bus   *bus
	unit  int
	point int
}

// New checks the devices and touches none of them.
func New(o Opts, devices []Device) (*Poller, error) {
	p := &Poller{places: map[string]place{}, points: map[rack.Point]place{}}
	byName := map[string]*bus{}
	for i := range devices {
		d := devices[i]
		if err := d.check(); err != nil {
			return nil, err
		}
		b := byName[d.Bus]
		if b == nil {
			b = &bus{name: d.Bus, opts: o.filled(), wake: make(chan struct{}, 1)}
			byName[d.Bus] = b
			p.buses = append(p.buses, b)
		}
		if err := p.add(b, d); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (o Opts) filled() Opts {
	if o.Sink == nil {
		o.Sink = func([]rack.Reading) {}
	}
	if o.Events == nil {
		o.Events = func(rack.Event) {}
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	return o
}

func (p *Poller) add(b *bus, d Device) error {
	if _, twice := p.places[d.Name]; twice {
		return fmt.Errorf("device %s: %w", d.Name, ErrDuplicate)
	}
	at := place{bus: b, unit: len(b.units)}
	p.places[d.Name] = at
	for i, pt := range d.Points {
		if _, twice := p.points[pt.Point]; twice {
			return fmt.Errorf("device %s: point %s: %w", d.Name, pt.Point, ErrDuplicate)
		}
		at.point = i
		p.points[pt.Point] = at
	}
	u := newUnit(d)
	b.units = append(b.units, u)
	p.units = append(p.units, u)
	return nil
}

// Run reads until ctx ends and returns when the last call into a device has returned. It may run once.
func (p *Poller) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, b := range p.buses {
		all.Go(func() { b.run(ctx) })
	}
	all.Wait()
	return nil
}

// Sample asks for one more reading of each named device, before anything that is due on its bus. It never
// blocks. Requests that find one waiting are put together with it; a reading that has begun already does not
// count for a request made after that. Absent devices keep their slow pace, unknown names do nothing.
func (p *Poller) Sample(names ...string) {
	for _, n := range names {
		if at, ok := p.places[n]; ok {
			at.bus.ask(at.unit)
		}
	}
}

// Latest is the latest reading of a point, judged now; false if no device has such a point.
func (p *Poller) Latest(pt rack.Point) (rack.Reading, bool) {
	at, ok := p.points[pt]
	if !ok {
		return rack.Reading{Point: pt, Quality: rack.QualityAbsent}, false
	}
	return at.bus.units[at.unit].shelf.reading(time.Now(), at.point), true
}

// All is the latest reading of every point, judged at the given time, in the order of the devices and of
// their points.
func (p *Poller) All(now time.Time) []rack.Reading {
	out := make([]rack.Reading, 0, len(p.points))
	for _, u := range p.units {
		out = append(out, u.shelf.readings(now)...)
	}
	return out
}

// Stats tells about every device, in the order given to New.
func (p *Poller) Stats() []Stats {
	now := time.Now()
	out := make([]Stats, 0, len(p.units))
	for _, u := range p.units {
		out = append(out, u.shelf.snapshot(now))
	}
	return out
}
