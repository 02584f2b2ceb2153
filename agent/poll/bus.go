package poll

import (
	"context"
	"slices"
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// bus owns the reading of all devices that share one bus. Everything but want belongs to its goroutine.
type bus struct {
	name  string
	opts  Opts
	units []*unit
	hung  bool // the last answer of this bus was Hung

	mu   sync.Mutex
	want []int // extra reads asked for and not yet taken over by the schedule
	// wake tells the goroutine that want is not empty. One place: more would say the same.
	wake chan struct{}
}

// unit is a device with what is known about it.
type unit struct {
	Device
	health   *Health
	channels []channel
	shelf    shelf
	spoiler  Spoiler
	rate     ErrorRate
	answered time.Time // when an attempt last succeeded
}

func newUnit(d Device) *unit {
	if d.Timeout == 0 {
		d.Timeout = DefaultTimeout
	}
	u := &unit{Device: d, health: NewHealth(d.Period, d.Identify != nil)}
	u.channels = make([]channel, len(d.Points))
	for i, p := range d.Points {
		u.channels[i] = channel{rule: p, last: rack.Reading{Point: p.Point}}
	}
	u.shelf.stats = Stats{Name: d.Name, Bus: d.Bus, State: StateNew, Errors: map[drivers.Fault]uint64{}}
	u.shelve(func(*Stats) {})
	return u
}

// ask notes an extra read of device i. It never blocks.
func (b *bus) ask(i int) {
	b.mu.Lock()
	if !slices.Contains(b.want, i) { // the goroutine may be held up in a hung device for long
		b.want = append(b.want, i)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // it is told already
	}
}

func (b *bus) run(ctx context.Context) {
	periods := make([]time.Duration, len(b.units))
	for i, u := range b.units {
		periods[i] = u.Period
	}
	sched := newSchedule(time.Now(), periods)
	for ctx.Err() == nil {
		b.take(sched)
		i, idle := sched.next(time.Now())
		if i < 0 {
			b.rest(ctx, idle)
			continue
		}
		u := b.units[i]
		began := time.Now()
		b.turn(ctx, u)
		missed := sched.done(i, began, time.Now(), u.health.Advice().Wait)
		u.shelf.count(func(s *Stats) { s.Missed += uint64(missed) })
	}
}

// take hands the extra reads over to the schedule. An absent device, or one in quarantine, keeps its slow pace even then:
// asking does not bring it back, and each probe costs the others time.
func (b *bus) take(sched *schedule) {
	b.mu.Lock()
	want := b.want
	b.want = nil
	b.mu.Unlock()
	for _, i := range want {
		u := b.units[i]
		if s := u.health.State(time.Now()); s == StateAbsent || s == StateQuarantined {
			continue
		}
		u.shelf.count(func(s *Stats) { s.Extra++ })
		sched.ask(i)
	}
}

// rest waits until something is due or asked for.
func (b *bus) rest(ctx context.Context, idle time.Duration) {
	t := time.NewTimer(idle)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-t.C:
	}
}

// turn reads one device, after identifying it where that is due.
func (b *bus) turn(ctx context.Context, u *unit) {
	if u.health.Advice().Act == Identify && !b.identify(ctx, u) {
		return
	}
	var got []rack.Reading
	in, err := b.attempt(ctx, u, Read, func(ctx context.Context) error {
		raw, err := u.Read(ctx)
		if err == nil {
			got, err = u.whole(raw)
		}
		return err
	})
	if ctx.Err() != nil {
		return // the agent stops: what this says about the device is not worth an event
	}
	b.settle(u, in, err, got)
}

func (b *bus) identify(ctx context.Context, u *unit) bool {
	var id drivers.Ident
	in, err := b.attempt(ctx, u, Identify, func(ctx context.Context) (err error) {
		id, err = u.Identify(ctx)
		if err == nil && u.Expect != nil {
			err = wrong(u.Name, u.Expect(id))
		}
		return err
	})
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		u.shelf.count(func(s *Stats) { s.Ident, s.Identifications = id, s.Identifications+1 })
	}
	b.settle(u, in, err, nil)
	return err == nil
}

// wrong turns what Expect said into the fault that the machine knows.
func wrong(device string, err error) error {
	if err == nil {
		return nil
	}
	return &drivers.Error{Op: "identify", Device: device, Fault: drivers.WrongDevice, Err: err}
}

// attempt does one act with the retries that its faults deserve.
func (b *bus) attempt(ctx context.Context, u *unit, act Act, do func(context.Context) error) (Attempt, error) {
	in, err := b.try(ctx, u, act, do)
	if in.Fault == drivers.None {
		u.answered = in.Began
	}
	in.Spoils = u.spoiler.Step(in.Began, in.Fault, b.othersAnswered(u))
	return in, err
}

// try is attempt without its judgement.
func (b *bus) try(ctx context.Context, u *unit, act Act, do func(context.Context) error) (Attempt, error) {
	once := u.health.Advice().Once
	for n := 1; ; n++ {
		began, err := call(ctx, u.Timeout, do)
		f := faultOf(err)
		b.heard(f)
		b.rated(u, f)
		in := Attempt{Act: act, Began: began, Fault: f}
		if f == drivers.None {
			return in, nil
		}
		u.shelf.count(func(s *Stats) { s.Errors[f]++; s.LastError = err.Error() })
		policy := triesOf(f)
		if once || n >= policy.n {
			sleep(ctx, policy.rest)
			return in, err
		}
		if !sleep(ctx, policy.pause(b.opts.Jitter())) {
			return in, err
		}
		u.shelf.count(func(s *Stats) { s.Retries++ })
	}
}

// othersAnswered is when any other device of the bus last answered.
func (b *bus) othersAnswered(u *unit) (at time.Time) {
	for _, o := range b.units {
		if o != u && o.answered.After(at) {
			at = o.answered
		}
	}
	return at
}

// rated follows how many of a device's reads are spoilt on the way.
func (b *bus) rated(u *unit, f drivers.Fault) {
	if !u.rate.Step(f) {
		return
	}
	e := rack.Event{Kind: rack.EventHealth, Severity: rack.Warn, At: time.Now(), Device: u.Name, Reason: ReasonErrorRate}
	e.Text = u.Name + ": more than 1 % of 1000 reads came with a wrong checksum or format"
	if !u.rate.High() {
		e.Severity, e.Text = rack.Info, u.Name+": no more than 1 % of 1000 reads came with a wrong checksum or format"
	}
	b.opts.Events(e)
}

// call gives one try its deadline and notes when it began.
func call(ctx context.Context, limit time.Duration, do func(context.Context) error) (began time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began = time.Now()
	return began, do(ctx)
}

// heard follows whether the bus hangs. That it is fenced its owner tells.
func (b *bus) heard(f drivers.Fault) {
	if f == drivers.Cancelled || f == drivers.BusFenced || b.hung == (f == drivers.Hung) {
		return
	}
	b.hung = !b.hung
	e := rack.Event{Kind: rack.EventBusBack, Severity: rack.Info, At: time.Now(), Device: b.name, Text: "bus answers again"}
	if b.hung {
		e.Kind, e.Severity, e.Reason = rack.EventBusHung, rack.Error, f.String()
		e.Text = "a transfer does not return; nothing on this bus can be read or switched"
	}
	b.opts.Events(e)
}

// settle lets the machine judge an attempt, keeps the values and tells the world. A failed read is told too:
// the values then are the old ones, with their old times and a lower quality.
func (b *bus) settle(u *unit, in Attempt, err error, got []rack.Reading) {
	now := time.Now()
	_, events := u.health.Step(now, in)
	if s := u.health.State(now); s == StateAbsent || s == StateQuarantined {
		u.spoiler = Spoiler{} // what comes after it is judged by what happens then
	}
	if got != nil {
		judgeSample(u.channels, got, in.Began, u.health.State(now) == StateProbation)
		for i := range got {
			u.channels[i].take(got[i])
		}
	}
	u.shelve(func(s *Stats) {
		if got != nil {
			s.Reads, s.LastGood = s.Reads+1, in.Began
		}
	})
	for _, e := range events {
		e.At, e.Device = now, u.Name
		e.Text = u.Name + ": " + e.Text
		if err != nil {
			e.Text += " (" + err.Error() + ")"
		}
		b.opts.Events(e)
	}
	b.opts.Sink(u.shelf.readings(now))
}
