package inventory

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/drivers"
	"rackagent/drivers/drivertest"
)

// counting are the parts that count energy, with the true power of each input by the line of parts.
func counting() map[string]float64 {
	return map[string]float64{"ade7880": 2300, "ina228": 960, "adm1272": 960, "adm1278": 360}
}

// nearTurn puts the counters of a part so that they roll over within seconds.
func nearTurn(t *testing.T, chip drivertest.Chip) {
	t.Helper()
	switch c := chip.(type) {
	case *drivertest.ADE7880:
		c.SetEnergy(0, math.MaxInt32-100_000)
		c.SetEnergy(1, -100_000)
	case *drivertest.INA228:
		c.SetEnergy(1<<40 - 1_000_000)
	case *drivertest.ADM1272:
		c.SetEnergy(65536<<15-70_000_000, 1<<24-30_000)
	default:
		t.Fatalf("%T counts no energy", chip)
	}
}

// reader polls a part as the agent does and judges its energies: none is more than the load drew since it was 0, and
// none falls without a failed reading before.
type reader struct {
	t     *testing.T
	d     poll.Device
	watts float64

	known  bool
	last   time.Time // of the reading before
	values map[rack.Point]float64
	zero   map[rack.Point]time.Time // the last time it was 0
	failed map[rack.Point]bool      // since the last good value
	first  map[rack.Point]time.Time // when the epoch began
	alone  int                      // readings of which only energies were bad
}

func newReader(t *testing.T, d poll.Device, watts float64) *reader {
	return &reader{
		t: t, d: d, watts: watts, values: make(map[rack.Point]float64), zero: make(map[rack.Point]time.Time),
		failed: make(map[rack.Point]bool), first: make(map[rack.Point]time.Time),
	}
}

func isEnergy(p rack.Point) bool { return strings.HasSuffix(string(p.Quantity), "_e_wh") }

// resolution is what an energy may be off by: a count, and the moment between two registers.
const resolution = 0.01 // Wh

func (r *reader) run(d, period time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(period) {
		r.once()
	}
}

func (r *reader) once() {
	r.t.Helper()
	if !r.known {
		if _, err := r.d.Identify(r.t.Context()); err != nil {
			r.fail()
			return
		}
		r.known = true
	}
	now := time.Now()
	defer func() { r.last = now }()
	got, err := r.d.Read(r.t.Context())
	if err != nil {
		r.fail()
		r.known = !errors.Is(err, drivers.Restarted)
		return
	}
	bad, others := 0, 0
	for _, g := range got {
		switch {
		case !isEnergy(g.Point):
			if g.Quality == rack.QualityBad {
				others++
			}
		case g.Quality == rack.QualityBad:
			bad++
			r.failed[g.Point] = true
		default:
			r.judge(g, now)
		}
	}
	if bad > 0 && others == 0 {
		r.alone++
	}
}

// fail notes that the whole device had no reading.
func (r *reader) fail() {
	for _, p := range r.d.Points {
		r.failed[p.Point] = true
	}
}

func (r *reader) judge(g rack.Reading, now time.Time) {
	r.t.Helper()
	before, seen := r.values[g.Point]
	switch {
	case seen && g.Value < before && !r.failed[g.Point]:
		r.t.Errorf("%s falls from %v to %v without a word", g.Point, before, g.Value)
	case !seen && g.Value != 0:
		r.t.Errorf("%s begins with %v", g.Point, g.Value)
	case !seen, g.Value < before:
		r.first[g.Point] = now
		if g.Value != 0 { // it began with the bad reading before
			r.first[g.Point], r.zero[g.Point] = r.last, r.last
		}
	}
	if g.Value == 0 {
		r.zero[g.Point] = now
	}
	// The counter is read after the reading began.
	if most := r.watts * time.Since(r.first[g.Point]).Hours(); g.Value > most*1.001+resolution {
		r.t.Errorf("%s is %v, the load drew %v since %v", g.Point, g.Value, most, r.first[g.Point])
	}
	r.values[g.Point], r.failed[g.Point] = g.Value, false
}

// drew demands that every energy is what the load drew since it was last 0, to one part in a thousand.
func (r *reader) drew(atLeast time.Duration) {
	r.t.Helper()
	now, n := time.Now(), 0
	for p, v := range r.values {
		n++
		spent := now.Sub(r.zero[p])
		if want := r.watts * spent.Hours(); spent < atLeast || math.Abs(v-want) > 0.001*want+resolution {
			r.t.Errorf("%s is %v Wh after %v at %v W, want %v", p, v, spent, r.watts, want)
		}
	}
	if n == 0 {
		r.t.Error("no energy was read")
	}
}

func eachCounting(t *testing.T, f func(t *testing.T, p sensorPart, e expectation, watts float64)) {
	t.Helper()
	for name, watts := range counting() {
		t.Run(name, func(t *testing.T) {
			p, ok := findPart(name)
			if !ok {
				t.Fatal("no such part")
			}
			synctest.Test(t, func(t *testing.T) { f(t, p, parts()[name], watts) })
		})
	}
}

func TestEnergyIsLoadTimesTime(t *testing.T) {
	eachCounting(t, func(t *testing.T, p sensorPart, e expectation, watts float64) {
		chip := e.chip()
		d, done := on(t, drivertest.NewBus("sim", drivertest.BusOpts{BitRate: 400_000}), p, e, chip, "")
		defer done()
		nearTurn(t, chip)
		r := newReader(t, d, watts)
		r.run(time.Hour, 5*time.Second)
		r.once()
		r.drew(59 * time.Minute)

		chip.Reset() // a brown-out: what was counted is gone
		r.run(30*time.Minute, 5*time.Second)
		r.once()
		r.drew(29 * time.Minute)
		for point, zero := range r.zero {
			if time.Since(zero) > 31*time.Minute {
				t.Errorf("%s does not show the brown-out", point)
			}
		}
	})
}

// TestEnergyOfAPartThatWasAway: nobody saw the part at its power-on settings, and it is set up when it comes back.
func TestEnergyOfAPartThatWasAway(t *testing.T) {
	eachCounting(t, func(t *testing.T, p sensorPart, e expectation, watts float64) {
		chip, bus := e.chip(), drivertest.NewBus("sim", drivertest.BusOpts{BitRate: 400_000})
		d, done := on(t, bus, p, e, chip, "")
		defer done()
		r := newReader(t, d, watts)
		r.run(time.Minute, time.Second)
		away := bus.Inject(drivertest.Fault{Kind: drivertest.FaultNackAddress})
		r.run(20*time.Second, time.Second)
		chip.Reset()
		time.Sleep(time.Second)
		away.Clear()
		r.known = false // as poll does with a part that was absent
		r.run(time.Minute, time.Second)
		r.once()
		r.drew(50 * time.Second)
		for point, zero := range r.zero {
			if time.Since(zero) > 61*time.Second {
				t.Errorf("%s does not show the brown-out", point)
			}
		}
	})
}

// TestABadTransferIsNoEnergy begins a fault at every transfer of a reading. reader judges what comes out; a transfer that
// fails with an error or is found out costs no energy either, unless the part is set up again for it.
func TestABadTransferIsNoEnergy(t *testing.T) {
	kinds := []drivertest.FaultKind{
		drivertest.FaultOnes, drivertest.FaultZeros, drivertest.FaultNackAddress, drivertest.FaultTimeout, drivertest.FaultReset,
	}
	for name, watts := range counting() {
		t.Run(name, func(t *testing.T) {
			p, _ := findPart(name)
			alone := 0
			for _, kind := range kinds {
				for n, more := 0, true; more; n++ {
					synctest.Test(t, func(t *testing.T) {
						var a int
						more, a = strike(t, p, parts()[name], watts, kind, n)
						alone += a
					})
				}
			}
			if strings.HasPrefix(name, "adm") && alone == 0 { // the others vouch for all codes together
				t.Error("no counter was ever bad alone")
			}
		})
	}
}

func strike(t *testing.T, p sensorPart, e expectation, watts float64, kind drivertest.FaultKind, n int) (struck bool, alone int) {
	made := new(vcount)
	bus := drivertest.NewBus("sim", drivertest.BusOpts{Recorder: made})
	d, done := on(t, bus, p, e, e.chip(), "")
	defer done()
	r := newReader(t, d, watts)
	r.run(8*time.Second, time.Second)
	begun := fmt.Sprint(r.zero)
	first := made.n + 1 + uint64(n)
	fault := bus.Inject(drivertest.Fault{Kind: kind, First: first, Times: 1, Delay: time.Millisecond})
	defer fault.Clear()
	r.once()
	known := r.known
	if struck = made.n >= first; !struck {
		return false, 0
	}
	fault.Clear()
	r.run(8*time.Second, time.Second)
	r.once()
	r.drew(3 * time.Second)
	if kind != drivertest.FaultReset && known && fmt.Sprint(r.zero) != begun {
		t.Errorf("%s at transfer %d ends the epoch", kind, n)
	}
	return true, r.alone
}

// TestEnergyOverAGap: a hot-swap part's accumulator turns round within a minute or so. What it counted in a longer gap
// nobody knows.
func TestEnergyOverAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := findPart("adm1272")
		d, _, done := placed(t, p, parts()["adm1272"], "", drivertest.BusOpts{})
		defer done()
		r := newReader(t, d, 960)
		r.run(time.Minute, time.Second)
		time.Sleep(5 * time.Minute)
		r.once()
		if r.alone != 1 {
			t.Errorf("%d bad energies, want the one after the gap", r.alone)
		}
		time.Sleep(time.Second)
		r.run(10*time.Second, time.Second)
		r.once()
		r.drew(10 * time.Second)
		for point, zero := range r.zero {
			if time.Since(zero) > 12*time.Second {
				t.Errorf("%s goes on over the gap", point)
			}
		}
	})
}

// TestEnergyClearedByAnother: somebody else cleared the counter of an INA228, which otherwise runs on.
func TestEnergyClearedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := findPart("ina228")
		chip := drivertest.NewINA228(drivertest.INA228Opts{Amps: steadyAt(20), Volts: steadyAt(48), Celsius: steadyAt(40), ShuntOhm: 0.0005})
		d, done := on(t, drivertest.NewBus("sim", drivertest.BusOpts{}), p, parts()["ina228"], chip, "")
		defer done()
		r := newReader(t, d, 960)
		r.run(time.Minute, time.Second)
		chip.SetEnergy(0)
		r.run(20*time.Second, time.Second)
		r.once()
		r.drew(19 * time.Second)
		for point, zero := range r.zero {
			if time.Since(zero) > 20*time.Second {
				t.Errorf("%s goes on over the clearing", point)
			}
		}
	})
}

// TestEnergyUnderOtherSettings: what an INA228 counts while its SHUNT_CAL is another one has another scale.
func TestEnergyUnderOtherSettings(t *testing.T) {
	const shuntCal = 0x02
	synctest.Test(t, func(t *testing.T) {
		p, _ := findPart("ina228")
		e := parts()["ina228"]
		bus := drivertest.NewBus("sim", drivertest.BusOpts{})
		chip := drivertest.NewINA228(drivertest.INA228Opts{Amps: steadyAt(20), Volts: steadyAt(48), Celsius: steadyAt(40), ShuntOhm: 0.0005})
		d, done := on(t, bus, p, e, chip, "")
		defer done()
		r := newReader(t, d, 960)
		r.run(time.Minute, time.Second)
		cal := chip.ShuntCal()
		set := func(v uint16) {
			if err := chip.Tx([]byte{shuntCal, byte(v >> 8), byte(v)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		set(cal / 2)
		r.run(10*time.Second, time.Second)
		set(cal)
		r.run(20*time.Second, time.Second)
		r.once()
		r.drew(19 * time.Second)
		for point, zero := range r.zero {
			if time.Since(zero) > 21*time.Second {
				t.Errorf("%s goes on over other settings", point)
			}
		}
	})
}

func TestEnergyThatFlowsBackIsNotDrawn(t *testing.T) {
	table := parts()
	ade, ina := table["ade7880"], table["ina228"]
	ade.chip = func() drivertest.Chip {
		l := drivertest.PhaseFlow{VoltsRMS: 230, AmpsRMS: 10, Watts: 2300, VA: 2300, Hertz: 50}
		return drivertest.NewADE7880(drivertest.ADE7880Opts{
			Line: drivertest.SteadyPhases{Phase: [3]drivertest.PhaseFlow{l, l, l}}, FullVolts: 350, FullAmps: 80, Reversed: [3]bool{true, true, true},
		})
	}
	ina.chip = func() drivertest.Chip {
		return drivertest.NewINA228(drivertest.INA228Opts{Amps: steadyAt(-20), Volts: steadyAt(48), Celsius: steadyAt(40), ShuntOhm: 0.0005})
	}
	for name, e := range map[string]expectation{"ade7880": ade, "ina228": ina} {
		t.Run(name, func(t *testing.T) {
			p, _ := findPart(name)
			synctest.Test(t, func(t *testing.T) {
				d, _, done := placed(t, p, e, "", drivertest.BusOpts{})
				defer done()
				r := newReader(t, d, 0)
				r.run(time.Minute, time.Second)
				r.drew(0)
			})
		})
	}
}

// TestEnergyBeyondTheRange: an INA228 whose arithmetic overflowed measures on, but what it added up means nothing until it
// is set up again.
func TestEnergyBeyondTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := findPart("ina228")
		e, begin := parts()["ina228"], time.Now()
		amps := func(at time.Time) float64 {
			if s := at.Sub(begin); s > time.Minute && s < 70*time.Second {
				return 150 // of 100
			}
			return 20
		}
		chip := drivertest.NewINA228(drivertest.INA228Opts{Amps: amps, Volts: steadyAt(48), Celsius: steadyAt(40), ShuntOhm: 0.0005})
		d, done := on(t, drivertest.NewBus("sim", drivertest.BusOpts{}), p, e, chip, "")
		defer done()
		r := newReader(t, d, 960)
		r.run(2*time.Minute, time.Second)
		if r.alone < 58 || r.alone > 61 {
			t.Errorf("%d readings had a bad energy alone, want one a second since the overflow", r.alone)
		}
		chip.Reset()
		r.run(time.Minute, time.Second)
		r.once()
		r.drew(50 * time.Second)
		for point, zero := range r.zero {
			if time.Since(zero) > 61*time.Second {
				t.Errorf("%s goes on over the overflow", point)
			}
		}
	})
}

func TestTally(t *testing.T) {
	type step struct {
		after time.Duration
		code  uint32
		wh    float64
		fault drivers.Fault
	}
	// One count is 1 Wh, 3600 W are one count a second, and the counter has 8 bits.
	const s = time.Second
	for name, steps := range map[string][]step{
		"begins anywhere":                       {{0, 200, 0, drivers.None}, {s, 201, 1, drivers.None}},
		"rolls over":                            {{0, 255, 0, drivers.None}, {s, 1, 2, drivers.None}},
		"a bad reading is left out":             {{0, 10, 0, drivers.None}, {s, 11, 1, drivers.None}, {s, 90, 0, drivers.Implausible}, {s, 13, 3, drivers.None}},
		"another counter begins an epoch":       {{0, 10, 0, drivers.None}, {s, 11, 1, drivers.None}, {s, 90, 0, drivers.Implausible}, {s, 91, 0, drivers.Implausible}, {s, 92, 1, drivers.None}},
		"a gap with two meanings":               {{0, 10, 0, drivers.None}, {200 * s, 11, 0, drivers.Implausible}, {s, 12, 0, drivers.Implausible}, {s, 13, 1, drivers.None}},
		"fed back is not drawn":                 {{0, 10, 0, drivers.None}, {s, 9, 0, drivers.None}, {s, 10, 1, drivers.None}},
		"a step back further than the part can": {{0, 50, 0, drivers.None}, {s, 40, 0, drivers.Implausible}},
	} {
		t.Run(name, func(t *testing.T) {
			c := tally[uint32]{counter: counter[uint32]{
				joule: joulesPerWh, most: 3600, span: 128,
				delta: func(before, after uint32) (int64, bool) { return int64(int8(after - before)), true },
			}}
			at := time.Unix(0, 0)
			for i, w := range steps {
				at = at.Add(w.after)
				if wh, f := c.book(w.code, at); wh != w.wh || f != w.fault {
					t.Fatalf("step %d: %v Wh, %v; want %v, %v", i, wh, f, w.wh, w.fault)
				}
			}
		})
	}
}
