package sim

import (
	"fmt"
	"math"
	"sort"
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Feed is a supply: one phase, or direct current.
type Feed struct {
	Name  string
	Volts float64 // rms, 230; or 54
	Hertz float64 // 50; 0: direct current, which has no reactive power
}

// Plug says which outlets a load hangs on, one for each inlet.
type Plug struct {
	Load    Load
	Outlets []rack.OutletID
}

const (
	// voltNoise and hertzNoise are how far a feed wanders: arbitrary, of the order of a quiet grid.
	voltNoise  = 0.002
	hertzNoise = 0.0004
	// cycle is how often the noise of volts and watts changes: one period at 50 Hz.
	cycle = 20 * time.Millisecond
)

// Rack is the physics: feeds, relays, loads. All methods may be called from any goroutine.
type Rack struct {
	now   func() time.Time
	seed  drivertest.Noise
	trace *Trace

	mu       sync.Mutex
	started  bool
	feeds    map[string]*feed
	outlets  map[rack.OutletID]*outlet
	order    []rack.OutletID
	plugs    map[string]*plugged
	queue    []due
	contacts []Contact
	downs    []Down
}

type feed struct {
	Feed
	live  bool
	volts Curve
	noise drivertest.Noise
}

type outlet struct {
	id    rack.OutletID
	feed  *feed
	own   *relay // the relay of this position
	relay *relay // the relay that really switches it
	plug  *plugged
	watts Curve
	noise drivertest.Noise
	plate Plate
}

// plugged is a load in its place.
type plugged struct {
	load    Load
	plate   Plate
	outlets []*outlet
}

// on is the plate as a feed sees it: direct current knows no power factor.
func (p Plate) on(f *feed) Plate {
	if f.Hertz == 0 {
		p.PF, p.Capacitive = 1, false
	}
	return p
}

// due is something that happens at a moment.
type due struct {
	at time.Time
	do func(at time.Time)
}

func newRack(now func() time.Time, seed uint64, t *Trace) *Rack {
	return &Rack{
		now: now, seed: drivertest.Noise(seed), trace: t,
		feeds: map[string]*feed{}, outlets: map[rack.OutletID]*outlet{}, plugs: map[string]*plugged{},
	}
}

func (r *Rack) addFeed(f Feed) error {
	if r.feeds[f.Name] != nil {
		return fmt.Errorf("feed %q is there twice", f.Name)
	}
	n := uint64(len(r.feeds))
	r.feeds[f.Name] = &feed{Feed: f, live: true, volts: Curve{{r.now(), f.Volts}}, noise: r.seed.Stream(1000 + n)}
	return nil
}

func (r *Rack) addOutlet(id rack.OutletID, s Socket) (*outlet, error) {
	f := r.feeds[s.Feed]
	if f == nil {
		return nil, fmt.Errorf("outlet %s: no feed %q", id, s.Feed)
	}
	rl := &relay{at: id, kind: s.Contact, operate: operateTime, closed: s.Contact == NormallyClosed}
	if s.Slot {
		rl.operate = slotTime
	}
	o := &outlet{id: id, feed: f, own: rl, relay: rl, noise: r.seed.Stream(2000 + uint64(len(r.order))), plate: Plate{PF: 1}}
	rl.outlet = o
	r.outlets[id] = o
	r.order = append(r.order, id)
	return o, nil
}

func (r *Rack) addLoad(p Plug) error {
	plate := p.Load.Plate()
	if r.plugs[plate.Name] != nil {
		return fmt.Errorf("load %q is there twice", plate.Name)
	}
	if len(p.Outlets) != plate.Inlets {
		return fmt.Errorf("load %q has %d inlets and is plugged into %d outlets", plate.Name, plate.Inlets, len(p.Outlets))
	}
	pl := &plugged{load: p.Load, plate: plate}
	for _, id := range p.Outlets {
		o := r.outlets[id]
		switch {
		case o == nil:
			return fmt.Errorf("load %q: no outlet %s", plate.Name, id)
		case o.plug != nil:
			return fmt.Errorf("load %q: outlet %s is taken by %q", plate.Name, id, o.plug.plate.Name)
		}
		o.plug, o.plate = pl, plate.on(o.feed)
		pl.outlets = append(pl.outlets, o)
	}
	r.plugs[plate.Name] = pl
	return nil
}

// start ends the assembly: loads begin, and from now on contacts take their time.
func (r *Rack) start(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for _, id := range r.order { // in order, so that a seed gives one world
		pl := r.outlets[id].plug
		if pl != nil && pl.outlets[0].id == id {
			pl.load.Begin(now, running)
			r.supply(pl, now)
		}
	}
	r.started = true
}

// after queues something.
func (r *Rack) after(at time.Time, do func(time.Time)) {
	i := sort.Search(len(r.queue), func(i int) bool { return r.queue[i].at.After(at) })
	r.queue = append(r.queue, due{})
	copy(r.queue[i+1:], r.queue[i:])
	r.queue[i] = due{at, do}
}

// advance lets happen what was due up to a moment, in order.
func (r *Rack) advance(to time.Time) {
	for len(r.queue) > 0 && !r.queue[0].at.After(to) {
		next := r.queue[0]
		r.queue = r.queue[1:]
		next.do(next.at)
	}
}

// Advance works out everything that has happened up to now.
func (r *Rack) Advance() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
}

// supply tells a load which of its inlets have power, and takes over what it draws from then on.
func (r *Rack) supply(pl *plugged, at time.Time) {
	if pl == nil {
		return
	}
	live := make([]bool, len(pl.outlets))
	for i, o := range pl.outlets {
		live[i] = o.relay.closed && o.feed.live
	}
	next := pl.load.Step(at, live)
	for i, o := range pl.outlets {
		o.watts = o.watts.Then(at, next.Draw[i])
	}
	if next.Down {
		d := Down{At: at, Load: pl.plate.Name}
		r.downs = append(r.downs, d)
		r.trace.add(at, d)
	}
	if !next.Again.IsZero() {
		r.after(next.Again, func(at time.Time) { r.supply(pl, at) })
	}
}

// setFeed takes a feed away or gives it back.
func (r *Rack) setFeed(name string, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	f := r.feeds[name]
	if f.live == live {
		return
	}
	f.live = live
	v := 0.0
	if live {
		v = f.Volts
	}
	f.volts = f.volts.Then(now, Curve{{now, v}})
	for _, id := range r.order {
		if o := r.outlets[id]; o.feed == f {
			r.supply(o.plug, now)
		}
	}
}

// unrest is noise at a moment or, where from is before to, its mean over the cycles between. Over many cycles it
// comes to nothing.
func unrest(n drivertest.Noise, from, to time.Time) float64 {
	last := to.UnixNano() / int64(cycle)
	first := min(from.UnixNano()/int64(cycle), last)
	if last-first > 64 {
		return 0
	}
	var sum float64
	for slot := first; slot <= last; slot++ {
		sum += n.At(slot)
	}
	return sum / float64(last-first+1)
}

// wander is the noise factor of an outlet over an interval.
func (o *outlet) wander(from, to time.Time) float64 {
	return 1 + o.plate.Noise*unrest(o.noise, from, to)
}

// meter is what one metering chip sees: the feed before the relays, and the currents of two inputs, each of one outlet
// or of a whole supply bank.
type meter struct {
	rack   *Rack
	feed   *feed
	inputs [2][]*outlet
}

// Between describes an interval of the past.
func (m meter) Between(from, to time.Time) drivertest.Interval {
	r := m.rack
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(to)
	f := m.feed
	wander := 1 + voltNoise*unrest(f.noise, from, to)
	in := drivertest.Interval{
		VoltsRMS:  f.volts.Mean(from, to) * wander,
		VoltsPeak: f.volts.Max(from, to) * wander * math.Sqrt2,
		Hertz:     f.Hertz * (1 + hertzNoise*unrest(f.noise.Stream(1), from, to)),
	}
	for i, outlets := range m.inputs {
		in.Channel[i] = together(outlets, from, to, f.Volts*wander)
	}
	return in
}

// together is the current and the power of outlets of one feed over an interval at a voltage.
func together(outlets []*outlet, from, to time.Time, volts float64) drivertest.Flow {
	var sum drivertest.Flow
	for _, o := range outlets {
		f := o.flow(from, to, volts)
		sum.Watts, sum.Vars, sum.AmpsPeak = sum.Watts+f.Watts, sum.Vars+f.Vars, sum.AmpsPeak+f.AmpsPeak
	}
	if len(outlets) == 1 {
		return outlets[0].flow(from, to, volts)
	}
	sum.VA = math.Hypot(sum.Watts, sum.Vars)
	sum.AmpsRMS = sum.VA / volts
	return sum
}

// flow is an outlet's current and power over an interval at a voltage.
func (o *outlet) flow(from, to time.Time, volts float64) drivertest.Flow {
	k := o.wander(from, to)
	watts, top := o.watts.Mean(from, to)*k, o.watts.Max(from, to)*k
	va := watts / o.plate.PF
	vars := math.Sqrt(max(va*va-watts*watts, 0))
	if o.plate.Capacitive {
		vars = -vars
	}
	return drivertest.Flow{
		AmpsRMS: va / volts, AmpsPeak: top / o.plate.PF / volts * math.Sqrt2, Watts: watts, Vars: vars, VA: va,
	}
}
