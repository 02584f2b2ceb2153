package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// meter is a part that can be pulled out, hang, be swapped, and forgets what it was set up to on a restart.
type meter struct {
	mu      sync.Mutex
	serial  string
	fault   drivers.Fault // what it answers with
	hang    time.Duration // how long a read takes, whatever its context says
	watts   float64
	raw     uint32
	reads   []time.Time
	idents  []time.Time
	refusal error // fault of identification alone
}

func (m *meter) identify(context.Context) (drivers.Ident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idents = append(m.idents, time.Now())
	if m.fault != drivers.None {
		return drivers.Ident{}, &drivers.Error{Op: "identify", Device: "meter", Fault: m.fault}
	}
	return drivers.Ident{Serial: m.serial}, m.refusal
}

func (m *meter) read(context.Context) ([]rack.Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads = append(m.reads, time.Now())
	if m.hang > 0 {
		m.mu.Unlock()
		time.Sleep(m.hang) // in the bubble
		m.mu.Lock()
	}
	if m.fault != drivers.None {
		return nil, &drivers.Error{Op: "read", Device: "meter", Fault: m.fault}
	}
	m.raw++
	return []rack.Reading{{Point: point, Value: m.watts, Raw: m.raw}}, nil
}

// read and identified times, as copies.
func (m *meter) readAt() []time.Time { m.mu.Lock(); defer m.mu.Unlock(); return slices.Clone(m.reads) }

func (m *meter) identifiedAt() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.idents)
}

func (m *meter) set(f func(*meter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// device puts the meter on a bus under the given name, with one point of that name.
func (m *meter) device(name, bus string, period time.Duration) Device {
	p := rack.Point{Device: name, Quantity: rack.PowerW, Index: 1}
	return Device{
		Name: name, Bus: bus, Period: period, Points: []Point{{Point: p}}, Identify: m.identify,
		Read: func(ctx context.Context) ([]rack.Reading, error) {
			got, err := m.read(ctx)
			for i := range got {
				got[i].Point = p
			}
			return got, err
		},
	}
}

func watts(name string) rack.Point {
	return rack.Point{Device: name, Quantity: rack.PowerW, Index: 1}
}

// heard collects what a poller tells.
type heard struct {
	mu      sync.Mutex
	batches [][]rack.Reading
	events  []rack.Event
}

func (h *heard) sink(b []rack.Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches = append(h.batches, b)
}

func (h *heard) event(e rack.Event) { h.mu.Lock(); defer h.mu.Unlock(); h.events = append(h.events, e) }

func (h *heard) texts() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		out = append(out, fmt.Sprintf("%s %s", e.Severity, e.Text))
	}
	return out
}

// polling runs a poller in the bubble of the test until the test ends.
func polling(t *testing.T, devices ...Device) (*Poller, *heard) {
	t.Helper()
	h := &heard{}
	p, err := New(Opts{Sink: h.sink, Events: h.event, Jitter: func() float64 { return 0.5 }}, devices)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return p, h
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func quality(t *testing.T, p *Poller, name string, want rack.Quality, why string) {
	t.Helper()
	r, ok := p.Latest(watts(name))
	if !ok || r.Quality != want || r.Reason != why {
		t.Errorf("%s: %s %q, want %s %q", name, r.Quality, r.Reason, want, why)
	}
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := &meter{watts: 100}, &meter{watts: 20}
		p, _ := polling(t, fast.device("fast", "b1", 200*time.Millisecond), slow.device("slow", "b1", 3*time.Second))
		start := time.Now()
		pass(time.Minute)
		for name, m := range map[string]*meter{"fast": fast, "slow": slow} {
			d := map[string]time.Duration{"fast": 200 * time.Millisecond, "slow": 3 * time.Second}[name]
			if want := int(time.Minute/d) + 1; len(m.readAt()) != want {
				t.Errorf("%s: %d reads in a minute, want %d", name, len(m.readAt()), want)
			}
			for i, at := range m.readAt() {
				if at.Sub(start) != time.Duration(i)*d {
					t.Fatalf("%s: read %d at %s", name, i, at.Sub(start))
				}
			}
			if len(m.identifiedAt()) != 1 {
				t.Errorf("%s: identified %d times", name, len(m.identifiedAt()))
			}
		}
		r, _ := p.Latest(watts("fast"))
		if r.Value != 100 || r.Quality != rack.QualityOK || !r.At.Equal(time.Now()) {
			t.Errorf("%+v", r)
		}
	})
}

func TestHungBusDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, well := &meter{watts: 5}, &meter{watts: 6}
		p, h := polling(t, stuck.device("stuck", "b1", time.Second), well.device("well", "b2", time.Second))
		stuck.set(func(m *meter) { m.hang = time.Hour })
		before := len(well.readAt())
		pass(10 * time.Minute)
		if n := len(well.readAt()) - before; n != 600 {
			t.Errorf("%d reads of the other bus in 10 minutes", n)
		}
		quality(t, p, "well", rack.QualityOK, "")
		quality(t, p, "stuck", rack.QualityStale, ReasonAge)
		if s := p.Stats()[0]; s.State != StateStale {
			t.Errorf("state %s while nothing returns", s.State)
		}
		for i, r := range p.All(time.Now()) {
			if want := []rack.Quality{rack.QualityStale, rack.QualityOK}[i]; r.Quality != want {
				t.Errorf("%s: %s", r.Point, r.Quality)
			}
		}
		stuck.set(func(m *meter) { m.hang = 0 })
		pass(time.Hour)
		quality(t, p, "stuck", rack.QualityOK, "")
		if s := p.Stats()[0]; s.Missed < 3500 {
			t.Errorf("%d periods missed in an hour", s.Missed)
		}
		if got := h.texts(); !slices.Contains(got, "warn stuck: ok -> stale: age") {
			t.Errorf("%q", got)
		}
	})
}

func TestAnAnswerCountsFromWhenItWasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{watts: 5, hang: 700 * time.Millisecond}
		p, _ := polling(t, m.device("m", "b1", time.Second))
		wrote := time.Now().Add(300 * time.Millisecond)
		pass(900 * time.Millisecond)
		r, _ := p.Latest(watts("m"))
		if !r.At.Before(wrote) {
			t.Errorf("a read begun before a write counts as newer: %s", r.At.Sub(wrote))
		}
	})
}

func TestFencedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		_, h := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.fault = drivers.Hung })
		pass(5 * time.Second)
		m.set(func(m *meter) { m.fault = drivers.None })
		pass(5 * time.Second)
		want := []string{
			"info m: new -> ok",
			"error a transfer does not return; nothing on this bus can be read or switched",
			"info m: ok -> suspect: hung (meter: read: hung)",
			"warn m: suspect -> stale: hung (meter: read: hung)",
			"info bus answers again",
			"info m: stale -> ok",
		}
		if got := h.texts(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestValuesAgeWithoutReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{watts: 5}
		p, _ := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.hang = time.Minute })
		pass(time.Second) // the last good sample is 1 s old, and a read hangs
		quality(t, p, "m", rack.QualityOK, "")
		pass(2 * time.Second)
		quality(t, p, "m", rack.QualityOK, "")
		pass(time.Nanosecond)
		quality(t, p, "m", rack.QualityStale, ReasonAge)
		r := p.All(time.Now())[0]
		if r.Value != 5 || time.Since(r.At) != 3*time.Second+time.Nanosecond {
			t.Errorf("value and time of the last good sample stay: %+v", r)
		}
		pass(2 * time.Minute)
	})
}

func TestNeverRead(t *testing.T) {
	m := &meter{}
	p, err := New(Opts{}, []Device{m.device("m", "b1", time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	quality(t, p, "m", rack.QualityAbsent, "not_read")
	if r := p.All(time.Now())[0]; !r.At.IsZero() {
		t.Errorf("%+v", r)
	}
	if _, ok := p.Latest(watts("other")); ok {
		t.Error("a point of no device")
	}
}

func TestExtraSampleOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &meter{hang: 100 * time.Millisecond}
		b, c := &meter{hang: 100 * time.Millisecond}, &meter{hang: 100 * time.Millisecond}
		p, _ := polling(t, a.device("a", "b1", time.Minute), b.device("b", "b1", time.Minute), c.device("c", "b1", time.Minute))
		pass(50 * time.Millisecond) // a is being read, b and c are due
		asked := time.Now()
		for range 10 {
			p.Sample("c", "nobody")
		}
		if time.Since(asked) != 0 {
			t.Error("Sample blocked")
		}
		pass(time.Second)
		if len(c.readAt()) != 1 || !c.readAt()[0].Before(b.readAt()[0]) {
			t.Errorf("c %v, b %v: c first, and once", c.readAt(), b.readAt())
		}
		p.Sample("a")
		pass(50 * time.Millisecond)
		p.Sample("a") // the read in flight was begun before this
		p.Sample("a")
		pass(time.Second)
		if len(a.readAt()) != 3 {
			t.Errorf("%d reads of a", len(a.readAt()))
		}
		pass(time.Minute)
		if len(b.readAt()) != 2 || p.Stats()[0].Extra != 2 {
			t.Errorf("b %d, extra %d", len(b.readAt()), p.Stats()[0].Extra)
		}
	})
}

func TestExtraSampleWakesAnIdleBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		p, _ := polling(t, m.device("m", "b1", time.Minute))
		pass(10 * time.Second)
		p.Sample("m")
		synctest.Wait()
		if len(m.readAt()) != 2 || !m.readAt()[1].Equal(time.Now()) {
			t.Errorf("%v", m.readAt())
		}
	})
}

func TestLostAndFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{serial: "A1"}
		p, h := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.fault = drivers.NoAnswer })
		pass(11 * time.Second)
		quality(t, p, "m", rack.QualityAbsent, "nack")
		before := len(m.identifiedAt()) + len(m.readAt())
		for range 100 {
			p.Sample("m")
		}
		pass(5 * time.Second)
		if n := len(m.identifiedAt()) + len(m.readAt()) - before; n != 0 {
			t.Errorf("%d transfers to an absent device before its probe is due", n)
		}
		pass(295 * time.Second)
		if n := len(m.identifiedAt()) + len(m.readAt()) - before; n != 4 { // 10, 30, 70 and 150 s after; the next after 310 s
			t.Errorf("%d probes in 5 minutes", n)
		}
		m.set(func(m *meter) { m.fault = drivers.None })
		pass(5 * time.Minute)
		quality(t, p, "m", rack.QualityOK, "")
		if s := p.Stats()[0]; s.Identifications != 2 || s.Ident.Serial != "A1" || s.State != StateOK || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		want := []string{
			"info m: new -> ok", "info m: ok -> suspect: nack (meter: read: nack)",
			"warn m: suspect -> stale: nack (meter: read: nack)", "error m: stale -> absent: nack (meter: read: nack)",
			"info m: absent -> probation: nack", "info m: probation -> ok",
		}
		if got := h.texts(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestProbationIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{watts: 1}
		p, _ := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.fault = drivers.WrongDevice })
		pass(time.Second)
		m.set(func(m *meter) { m.fault, m.watts = drivers.None, 2 })
		pass(10 * time.Second) // identified, and the first sample
		for range 2 {
			quality(t, p, "m", rack.QualitySuspect, ReasonProbation)
			pass(time.Second)
		}
		quality(t, p, "m", rack.QualityOK, "")
		if r, _ := p.Latest(watts("m")); r.Value != 2 {
			t.Errorf("%+v", r)
		}
	})
}

func TestAnotherPartThanExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{serial: "B2"}
		d := m.device("m", "b1", time.Second)
		d.Expect = func(id drivers.Ident) error {
			if id.Serial != "A1" {
				return fmt.Errorf("serial %s, want A1", id.Serial)
			}
			return nil
		}
		p, h := polling(t, d)
		pass(time.Minute)
		quality(t, p, "m", rack.QualityAbsent, "wrong_device")
		if len(m.readAt()) != 0 {
			t.Errorf("%d reads of a part that is another one", len(m.readAt()))
		}
		want := []string{"error m: new -> absent: wrong_device (m: identify: wrong_device: serial B2, want A1)"}
		if got := h.texts(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestRetries(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		fault drivers.Fault
		at    []time.Duration // of each try within the turn
		next  time.Duration   // when the other device of the bus is read
	}{
		{drivers.NoAnswer, []time.Duration{0, 5 * ms, 10 * ms}, 10 * ms},
		{drivers.Arbitration, []time.Duration{0, 3 * ms, 6 * ms}, 6 * ms},
		{drivers.Corrupt, []time.Duration{0, 1 * ms}, 1 * ms},
		{drivers.Implausible, []time.Duration{0, 1 * ms}, 1 * ms},
		{drivers.Timeout, []time.Duration{0}, 35 * ms},
		{drivers.BusFault, []time.Duration{0}, 35 * ms},
		{drivers.Unsupported, []time.Duration{0}, 0},
		{drivers.Foreign, []time.Duration{0}, 0},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, other := &meter{fault: c.fault}, &meter{}
				d := m.device("m", "b1", time.Minute)
				d.Identify = nil
				start := time.Now()
				p, _ := polling(t, d, other.device("other", "b1", 2*time.Minute))
				pass(time.Second)
				var at []time.Duration
				for _, r := range m.readAt() {
					at = append(at, r.Sub(start))
				}
				if !slices.Equal(at, c.at) || other.readAt()[0].Sub(start) != c.next {
					t.Errorf("tried at %v, other at %s", at, other.readAt()[0].Sub(start))
				}
				s := p.Stats()[0]
				if int(s.Retries) != len(c.at)-1 || int(s.Errors[c.fault]) != len(c.at) || s.Reads != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestAConfigurationErrorIsRaisedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{fault: drivers.Foreign}
		p, h := polling(t, m.device("m", "b1", time.Second))
		pass(time.Hour)
		quality(t, p, "m", rack.QualityAbsent, "foreign")
		if len(h.texts()) != 1 || len(m.identifiedAt()) > 13 {
			t.Errorf("%d events, %d attempts in an hour", len(h.texts()), len(m.identifiedAt()))
		}
	})
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := []Point{{Point: watts("m")}, {Point: rack.Point{Device: "m", Quantity: rack.CurrentA, Index: 1}}}
		answers := [][]rack.Reading{
			{{Point: two[0].Point, Value: 1}},
			{{Point: two[0].Point, Value: 1}, {Point: two[0].Point, Value: 1}},
			{{Point: two[0].Point, Value: 1}, {Point: two[1].Point}, {Point: watts("x")}},
		}
		for _, a := range answers {
			d := Device{Name: "m", Bus: "b1", Period: time.Second, Points: two, Read: func(context.Context) ([]rack.Reading, error) { return a, nil }}
			p, _ := polling(t, d)
			quality(t, p, "m", rack.QualityAbsent, "not_read")
			pass(time.Second)
			quality(t, p, "m", rack.QualityAbsent, "corrupt")
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Device{
			Name: "m", Bus: "b1", Period: 10 * time.Second, Timeout: 300 * time.Millisecond, Points: []Point{{Point: watts("m")}},
			Read: func(ctx context.Context) ([]rack.Reading, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("waiting for the part: %w", ctx.Err())
			},
		}
		p, _ := polling(t, d)
		pass(time.Second)
		if s := p.Stats()[0]; s.Errors[drivers.Timeout] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBatchesTellAlsoWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{watts: 9}
		_, h := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.fault = drivers.Corrupt })
		pass(time.Second + 10*time.Millisecond)
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.batches) != 3 { // identified, read, failed
			t.Fatalf("%d batches", len(h.batches))
		}
		good, failed := h.batches[1][0], h.batches[2][0]
		if good.Quality != rack.QualityOK || failed.Quality != rack.QualitySuspect || !failed.At.Equal(good.At) || failed.Value != 9 {
			t.Errorf("%+v, then %+v", good, failed)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	ok := func() Device { return (&meter{}).device("m", "b1", time.Second) }
	for name, c := range map[string]struct {
		spoil func(*Device)
		want  error
	}{
		"no name":               {func(d *Device) { d.Name = "" }, ErrDevice},
		"no bus":                {func(d *Device) { d.Bus = "" }, ErrDevice},
		"no period":             {func(d *Device) { d.Period = 0 }, ErrDevice},
		"no read":               {func(d *Device) { d.Read = nil }, ErrDevice},
		"no points":             {func(d *Device) { d.Points = nil }, ErrDevice},
		"expect, not identify":  {func(d *Device) { d.Identify, d.Expect = nil, func(drivers.Ident) error { return nil } }, ErrDevice},
		"range upside down":     {func(d *Device) { d.Points[0].Range = Range{2, 1} }, ErrDevice},
		"a step of less":        {func(d *Device) { d.Points[0].MaxStep = -1 }, ErrDevice},
		"timeout":               {func(d *Device) { d.Timeout = -1 }, ErrDevice},
		"name of another":       {func(d *Device) { d.Name = "other" }, ErrDuplicate},
		"point of another":      {func(d *Device) { d.Points[0].Point = watts("other") }, ErrDuplicate},
		"the same point thrice": {func(d *Device) { d.Points = append(d.Points, d.Points[0], d.Points[0]) }, ErrDuplicate},
	} {
		d := ok()
		c.spoil(&d)
		if _, err := New(Opts{}, []Device{(&meter{}).device("other", "b1", time.Second), d}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
