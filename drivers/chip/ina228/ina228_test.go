package ina228

import (
	"context"
	"errors"
	"math"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x45

// board is the one of the vectors: 200 A through 0.2 milliohm on an INA228, 163.84 A through 0.5 milliohm elsewhere.
func board(p Part) Opts {
	if p == INA228 {
		return Opts{Name: "t", Part: p, Addr: addr, ShuntOhm: 0.0002, MaxA: 200}
	}
	return Opts{Name: "t", Part: p, Addr: addr, ShuntOhm: 0.0005, MaxA: 163.84}
}

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, board(INA228)); err == nil {
		t.Error("no bus was taken")
	}
	for name, change := range map[string]func(*Opts){
		"address below":        func(o *Opts) { o.Addr = 0x3f },
		"address above":        func(o *Opts) { o.Addr = 0x50 },
		"no part":              func(o *Opts) { o.Part = "" },
		"another part":         func(o *Opts) { o.Part = "INA226" },
		"no shunt":             func(o *Opts) { o.ShuntOhm = 0 },
		"shunt not a number":   func(o *Opts) { o.ShuntOhm = math.NaN() },
		"no current":           func(o *Opts) { o.MaxA = 0 },
		"current not a number": func(o *Opts) { o.MaxA = math.NaN() },
		"endless current":      func(o *Opts) { o.MaxA = math.Inf(1) },
		"more than full scale": func(o *Opts) { o.MaxA = 820 },
		"more than narrow":     func(o *Opts) { o.MaxA, o.Narrow = 205, true },
		"too little":           func(o *Opts) { o.MaxA = 0.05 },
	} {
		o := board(INA228)
		change(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, p := range []Part{INA228, INA237, INA238} {
		if _, err := New(bus, board(p)); err != nil {
			t.Error(err)
		}
	}
}

// One full sample of an INA228, byte for byte: 48 V, 100 A, 25 degrees, counters near their turn.
func TestSenseBytes(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		read(0x0b, 0x08, 0x03), read(0x04, 0x0f, 0xa0, 0x00), read(0x06, 0x0c, 0x80),
		read(0x09, 0x00, 0x00, 0x00, 0x01, 0x90), read(0x0a, 0xff, 0xff, 0xff, 0xff, 0xfe),
		read(0x05, 0x3c, 0x00, 0x00),
		read(0x01, 0xfb, 0x6a), read(0x00, 0x00, 0x00), read(0x02, 0x03, 0xe8),
	}}
	d := device(t, bus, INA228)
	m, err := d.Sense(t.Context())
	want := Measurement{
		Voltage: 48 * physic.Volt, Shunt: 20 * physic.MilliVolt, Current: 100 * physic.Ampere, Power: 4800 * physic.Watt,
		Temperature: physic.ZeroCelsius + 25*physic.Celsius,
		Counters:    Counters{Energy: 400, EnergyOverflow: true, Charge: -2},
		Raw:         Codes{VSHUNT: 0x0fa000, VBUS: 0x3c0000, DIETEMP: 0x0c80},
	}
	if err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
	near(t, "J", d.EnergyCount(), 0.01953125)
	near(t, "C", d.ChargeCount(), 200.0/(1<<19))
}

func TestSenseBytes16(t *testing.T) {
	for _, p := range []Part{INA237, INA238} {
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
			read(0x0b, 0x00, 0x01), read(0x04, 0xf0, 0x60), read(0x06, 0x0c, 0x80), read(0x05, 0x3c, 0x00),
			read(0x01, 0xfb, 0x6a), read(0x00, 0x00, 0x00), read(0x02, 0x08, 0x00),
		}}
		m, err := device(t, bus, p).Sense(t.Context())
		want := Measurement{
			Voltage: 48 * physic.Volt, Shunt: -20 * physic.MilliVolt, Current: -40 * physic.Ampere, Power: -1920 * physic.Watt,
			Temperature: physic.ZeroCelsius + 25*physic.Celsius,
			Counters:    Counters{Fault: drivers.Unsupported},
			Raw:         Codes{VSHUNT: 0xf060, VBUS: 0x3c00, DIETEMP: 0x0c80},
		}
		if err != nil || m != want {
			t.Errorf("%s: %+v, %v", p, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestSenseFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*monitor)
		fault  drivers.Fault
	}{
		"good":                                {func(*monitor) {}, drivers.None},
		"supply was lost":                     {func(c *monitor) { c.reset() }, drivers.Restarted},
		"shut down":                           {func(c *monitor) { c.regs[ADC_CONFIG] = 0x0b6a }, drivers.Mismatch},
		"range moved":                         {func(c *monitor) { c.regs[CONFIG] = 0x0010 }, drivers.Mismatch},
		"calibration moved":                   {func(c *monitor) { c.regs[SHUNT_CAL] = 0x1001 }, drivers.Mismatch},
		"supply was lost while it was set up": {func(c *monitor) { c.regs[SHUNT_CAL] = 0x1000 }, drivers.Restarted},
		"settings held low":                   {func(c *monitor) { c.regs[ADC_CONFIG], c.regs[SHUNT_CAL] = 0, 0 }, drivers.Mismatch},
		"held low":                            {func(c *monitor) { c.regs = map[Reg]uint64{} }, drivers.Corrupt},
		"trim memory damaged":                 {func(c *monitor) { c.regs[DIAG_ALRT] = 0 }, drivers.Corrupt},
		"nobody there":                        {func(c *monitor) { c.floatAt = 1 }, drivers.Implausible},
		"gone for the shunt":                  {func(c *monitor) { c.floatAt = 2 }, drivers.Implausible},
		"gone for the counter":                {func(c *monitor) { c.floatAt = 4 }, drivers.Implausible},
		"gone for the bus":                    {func(c *monitor) { c.floatAt = 6 }, drivers.Implausible},
		"gone for the range":                  {func(c *monitor) { c.floatAt = 8 }, drivers.Implausible},
		"gone at the end":                     {func(c *monitor) { c.floatAt = 9 }, drivers.Implausible},
		"no answer":                           {func(c *monitor) { c.failAt = 1 }, drivers.NoAnswer},
		"no answer at the end":                {func(c *monitor) { c.failAt = 9 }, drivers.NoAnswer},
		"counter at all ones":                 {func(c *monitor) { c.regs[ENERGY] = 1<<40 - 1 }, drivers.None},
		"low bits of VSHUNT":                  {func(c *monitor) { c.regs[VSHUNT] |= 1 }, drivers.Implausible},
		"bus voltage negative":                {func(c *monitor) { c.regs[VBUS] = 0x800010 }, drivers.Implausible},
	} {
		chip := newMonitor(INA228)
		d := device(t, chip, INA228)
		if err := d.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		chip.transfers = 0
		c.change(chip)
		m, err := d.Sense(t.Context())
		if drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && m != (Measurement{}) {
			t.Errorf("%s: a failed sample gave %+v", name, m)
		}
	}
}

// What a bus gives by itself is confirmed: by the settings after it, and by a second look.
func TestSenseDoubtfulCodes(t *testing.T) {
	settings := []i2ctest.IO{read(0x01, 0xfb, 0x6a), read(0x00, 0x00, 0x00), read(0x02, 0x08, 0x00)}
	for _, c := range []struct {
		name             string
		shunt, temp, bus []byte
		again            []i2ctest.IO
		want             Codes
		fault            drivers.Fault
	}{
		{"idle", []byte{0, 0}, []byte{0x0c, 0x80}, []byte{0x3c, 0}, []i2ctest.IO{read(0x04, 0, 0)}, Codes{0, 0x3c00, 0x0c80}, drivers.None},
		{"a step below none", []byte{0xff, 0xff}, []byte{0x0c, 0x80}, []byte{0x3c, 0}, []i2ctest.IO{read(0x04, 0xff, 0xff)}, Codes{0xffff, 0x3c00, 0x0c80}, drivers.None},
		{"freezing", []byte{0, 1}, []byte{0, 0}, []byte{0x3c, 0}, []i2ctest.IO{read(0x06, 0, 0)}, Codes{1, 0x3c00, 0}, drivers.None},
		{"shunt held once", []byte{0, 0}, []byte{0x0c, 0x80}, []byte{0x3c, 0}, []i2ctest.IO{read(0x04, 0xf0, 0x60)}, Codes{0xf060, 0x3c00, 0x0c80}, drivers.None},
		{"bus held once", []byte{0, 1}, []byte{0x0c, 0x80}, []byte{0, 0}, []i2ctest.IO{read(0x05, 0x3c, 0)}, Codes{1, 0x3c00, 0x0c80}, drivers.None},
		{"temperature undriven once", []byte{0, 1}, []byte{0xff, 0xff}, []byte{0x3c, 0}, []i2ctest.IO{read(0x06, 0x0c, 0x80)}, Codes{1, 0x3c00, 0x0c80}, drivers.None},
		{"one thing and then the other", []byte{0, 0}, []byte{0x0c, 0x80}, []byte{0x3c, 0}, []i2ctest.IO{read(0x04, 0xff, 0xff)}, Codes{}, drivers.Implausible},
	} {
		ops := []i2ctest.IO{read(0x0b, 0x00, 0x01), read(0x04, c.shunt...), read(0x06, c.temp...), read(0x05, c.bus...)}
		bus := &i2ctest.Playback{DontPanic: true, Ops: append(append(ops, settings...), c.again...)}
		m, err := device(t, bus, INA238).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault || m.Raw != c.want {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A counter that reads as 0 once would begin an epoch and lose what was counted.
func TestCounterHeldOnce(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		read(0x0b, 0x08, 0x01), read(0x04, 0x0f, 0xa0, 0x00), read(0x06, 0x0c, 0x80),
		read(0x09, 0, 0, 0, 0, 0), read(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff), read(0x05, 0x3c, 0x00, 0x00),
		read(0x01, 0xfb, 0x6a), read(0x00, 0x00, 0x00), read(0x02, 0x03, 0xe8),
		read(0x09, 0, 0, 0, 0x01, 0x90), read(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff),
	}}
	m, err := device(t, bus, INA228).Sense(t.Context())
	if want := (Counters{Energy: 400, EnergyOverflow: true, Charge: -1}); err != nil || m.Counters != want {
		t.Errorf("%+v, %v", m.Counters, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

// A clipped shunt takes the current with it, and leaves voltage, temperature and counters.
func TestClippedShunt(t *testing.T) {
	for _, p := range []Part{INA228, INA238} {
		for _, code := range map[Part][]uint64{INA228: {0x7ffff0, 0x800000}, INA238: {0x7fff, 0x8000}}[p] {
			chip := configured(t, p)
			chip.regs[VSHUNT] = code
			m, err := device(t, chip, p).Sense(t.Context())
			if err != nil || m.CurrentFault != drivers.Implausible || m.Current != 0 || m.Power != 0 || m.Voltage != 48*physic.Volt {
				t.Errorf("%s %x: %+v, %v", p, code, m, err)
			}
		}
	}
}

func TestArithmeticOverflow(t *testing.T) {
	chip := configured(t, INA228)
	chip.regs[DIAG_ALRT] |= uint64(mathOverflow)
	m, err := device(t, chip, INA228).Sense(t.Context())
	if err != nil || m.Counters != (Counters{Fault: drivers.Implausible}) || m.Current != 100*physic.Ampere {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestConfigure(t *testing.T) {
	for _, p := range []Part{INA228, INA237, INA238} {
		o := board(p)
		o.Narrow = p == INA228
		chip := newMonitor(p)
		d, err := New(chip, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		want := map[Part][3]uint64{INA228: {0x0010, 4000, 0xfb6a}, INA237: {0, 2048, 0xfb6a}, INA238: {0, 2048, 0xfb6a}}[p]
		if got := [3]uint64{chip.regs[CONFIG], chip.regs[SHUNT_CAL], chip.regs[ADC_CONFIG]}; got != want {
			t.Errorf("%s: %x", p, got)
		}
		if chip.cleared {
			t.Errorf("%s: the counters or the part were reset", p)
		}
	}
}

func TestWritesThatDoNotTake(t *testing.T) {
	for _, r := range []Reg{SHUNT_CAL, ADC_CONFIG} {
		chip := newMonitor(INA228)
		chip.deaf = map[Reg]bool{r: true}
		var e *drivers.Error
		if err := device(t, chip, INA228).Configure(t.Context()); !errors.As(err, &e) || e.Fault != drivers.Mismatch || e.Reg != r.String() {
			t.Errorf("%v deaf: %v", r, err)
		}
	}
}

// However far Configure comes, the part is not taken for configured unless it is.
func TestConfigureInterrupted(t *testing.T) {
	for at := 1; at <= 6; at++ {
		chip := newMonitor(INA228)
		chip.failAt = at
		d := device(t, chip, INA228)
		if err := d.Configure(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Fatalf("transfer %d: %v", at, err)
		}
		whole := chip.regs[SHUNT_CAL] == 1000 && chip.regs[ADC_CONFIG] == 0xfb6a
		if _, err := d.Sense(t.Context()); (err == nil) != whole {
			t.Errorf("transfer %d: %v", at, err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Errorf("transfer %d: second try: %v", at, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		part       Part
		maker, dev uint64
		adc        uint64
		fault      drivers.Fault
		version    string
	}{
		{INA228, 0x5449, 0x2281, 0xfb68, drivers.None, "1"},
		{INA228, 0x5449, 0x2280, 0xfb68, drivers.None, "0"},
		{INA228, 0x5449, 0x2381, 0xfb68, drivers.WrongDevice, ""},
		{INA228, 0x5448, 0x2281, 0xfb68, drivers.WrongDevice, ""},
		{INA228, 0xffff, 0xffff, 0xffff, drivers.Implausible, ""},
		{INA238, 0x5449, 0x2381, 0xfb68, drivers.None, ""},
		{INA238, 0x5449, 0x2281, 0xfb68, drivers.WrongDevice, ""},
		{INA238, 0x0000, 0x0000, 0x0000, drivers.WrongDevice, ""},
		{INA237, 0x0000, 0x0000, 0xfb68, drivers.None, ""},
		{INA237, 0x0000, 0x0000, 0xfb6a, drivers.None, ""},
		{INA237, 0x0000, 0x0000, 0x1234, drivers.WrongDevice, ""},
		{INA237, 0xffff, 0xffff, 0xffff, drivers.Implausible, ""},
	} {
		chip := newMonitor(c.part)
		chip.regs[MANUFACTURER_ID], chip.regs[DEVICE_ID], chip.regs[ADC_CONFIG] = c.maker, c.dev, c.adc
		id, err := device(t, chip, c.part).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == string(c.part)) || id.Version != c.version {
			t.Errorf("%s %x %x: %+v, %v", c.part, c.maker, c.dev, id, err)
		}
		if chip.writes != 0 {
			t.Errorf("%s: identifying wrote", c.part)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	chip := newMonitor(INA228)
	d := device(t, chip, INA228)
	_, identified := d.Identify(ctx)
	_, sensed := d.Sense(ctx)
	for _, err := range []error{identified, sensed, d.Configure(ctx)} {
		if !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	}
	if chip.transfers != 0 {
		t.Errorf("%d transfers", chip.transfers)
	}
}

func read(reg byte, data ...byte) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{reg}, R: data}
}

func device(t *testing.T, bus i2c.Bus, p Part) *Dev {
	t.Helper()
	d, err := New(bus, board(p))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// configured is a part after Configure, with nothing counted as transferred.
func configured(t *testing.T, p Part) *monitor {
	t.Helper()
	c := newMonitor(p)
	if err := device(t, c, p).Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.transfers = 0
	return c
}

// monitor is a register file with faults: 48 V, and 20 mV over the shunt.
type monitor struct {
	part      Part
	regs      map[Reg]uint64
	deaf      map[Reg]bool // registers that take no write
	failAt    int          // this transfer is not acknowledged, counted from 1
	floatAt   int          // from this transfer on nobody drives the bus, counted from 1
	transfers int
	writes    int
	cleared   bool
}

func newMonitor(p Part) *monitor {
	c := &monitor{part: p}
	c.reset()
	return c
}

func (c *monitor) reset() {
	c.regs = map[Reg]uint64{ADC_CONFIG: 0xfb68, SHUNT_CAL: 0x1000, DIAG_ALRT: 1, DIETEMP: 0x0c80, VSHUNT: 0x0fa0, VBUS: 0x3c00}
	if c.part == INA228 {
		c.regs[VSHUNT], c.regs[VBUS] = 0x0fa000, 0x3c0000
	}
}

func (c *monitor) String() string                  { return "monitor" }
func (c *monitor) SetSpeed(physic.Frequency) error { return nil }

func (c *monitor) Tx(_ uint16, w, r []byte) error {
	if c.transfers++; c.transfers == c.failAt {
		return drivers.NoAnswer
	}
	reg := Reg(w[0])
	if len(r) == 0 {
		c.write(reg, uint64(w[1])<<8|uint64(w[2]))
		return nil
	}
	if len(r) != reg.width(c.part) {
		return errors.New("wrong width")
	}
	v := c.regs[reg]
	if c.floatAt != 0 && c.transfers >= c.floatAt {
		v = math.MaxUint64
	}
	for i := range r {
		r[i] = byte(v >> (8 * (len(r) - 1 - i)))
	}
	return nil
}

func (c *monitor) write(reg Reg, v uint64) {
	c.writes++
	c.cleared = c.cleared || reg == CONFIG && v&0xc000 != 0
	if !c.deaf[reg] {
		c.regs[reg] = v
	}
}
