package max31785

import (
	"context"
	"errors"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

const addr = 0x52

func TestNewChecksOptions(t *testing.T) {
	c := fresh()
	for _, o := range []Opts{{Addr: 0x02}, {Addr: addr, Temperatures: []byte{5}}, {Addr: addr, Temperatures: []byte{17}}} {
		if _, err := New(c, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		revision uint16
		part     string
		fault    drivers.Fault
	}{
		{0x3030, "MAX31785", drivers.None},
		{0x3040, "MAX31785", drivers.None},
		{0x3061, "MAX31785A", drivers.None},
		{0x0012, "", drivers.WrongDevice},
		{0xffff, "", drivers.Implausible},
	} {
		f := fresh()
		f.revision = c.revision
		id, err := device(t, f).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || id.Part != c.part {
			t.Errorf("%04x: %+v, %v", c.revision, id, err)
		}
	}
}

func TestSense(t *testing.T) {
	f := fresh()
	m, err := device(t, f, 6, 7, 16).Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, fan := range m.Fans {
		switch n {
		case 0:
			if fan.Speed.Value != 8500 || fan.Status != 0 {
				t.Errorf("fan %d: %+v", n, fan)
			}
		case 1: // stopped, and said so: 0 is a speed
			if fan.Speed.Value != 0 || fan.Speed.Fault != drivers.None || pmbus.StatusNames(pmbus.STATUS_FANS_1_2, fan.Status)[0] != "fan_1_fault" {
				t.Errorf("fan %d: %+v", n, fan)
			}
		case 2:
			if fan.Speed.Fault != drivers.Implausible {
				t.Errorf("fan %d: %+v", n, fan)
			}
		default:
			if fan.Speed != nil {
				t.Errorf("fan %d is not fitted: %+v", n, fan)
			}
		}
	}
	if m.Temperatures[6].Value != physic.ZeroCelsius+25*physic.Kelvin || m.Temperatures[7].Value != physic.ZeroCelsius-5*physic.Kelvin {
		t.Errorf("%+v, %+v", m.Temperatures[6], m.Temperatures[7])
	}
	if m.Temperatures[16].Fault != drivers.Implausible || len(m.Temperatures) != 3 {
		t.Errorf("%+v", m.Temperatures)
	}
	if f.outside != 0 || f.jobs != 9 {
		t.Errorf("%d jobs, %d transfers outside of one", f.jobs, f.outside)
	}
}

// What a bus gives by itself is confirmed. The transfers of fan 1 are PAGE, its read-back, FAN_CONFIG_1_2,
// STATUS_FANS_1_2 and READ_FAN_SPEED_1; the temperature of page 6 is the last of all.
func TestDoubtfulCodes(t *testing.T) {
	const status, speed = 4, 5
	plain := fresh()
	if _, err := device(t, plain, 6).Sense(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := plain.count - 1 // the page is read back after it
	for _, c := range []struct {
		name   string
		at, of int
		with   byte
		fault  drivers.Fault
	}{
		{"status undriven once", status, 1, 0xff, drivers.None},
		{"status undriven for good", status, 100, 0xff, drivers.Implausible},
		{"speed held once", speed, 1, 0, drivers.None},
		{"speed held for good", speed, 100, 0, drivers.Implausible},
		{"temperature held once", last, 1, 0, drivers.None},
		{"temperature held for good", last, 100, 0, drivers.Implausible},
	} {
		f := fresh()
		f.spoilt, f.spoiltFor, f.with = c.at, c.of, c.with
		m, err := device(t, f, 6).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (m.Fans[0].Status != 0 || m.Fans[0].Speed.Value != 8500 || m.Temperatures[6].Value != physic.ZeroCelsius+25*physic.Kelvin || f.count != last+3) {
			t.Errorf("%s: %+v with %d transfers, usual are %d", c.name, m, f.count, last)
		}
	}
	f := fresh()
	f.status[0], f.speed[0], f.temp[6] = 0xff, 0, 0
	m, err := device(t, f, 6).Sense(t.Context())
	if err != nil || m.Fans[0].Status != 0xff || m.Fans[0].Speed.Value != 0 || m.Temperatures[6].Value != physic.ZeroCelsius || m.Temperatures[6].Fault != drivers.None {
		t.Errorf("true ones and zeros: %+v, %v", m, err)
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(f *controller)
		fault drivers.Fault
	}{
		{"absent", func(f *controller) { f.err = drivers.NoAnswer }, drivers.NoAnswer},
		{"the page is not taken", func(f *controller) { f.stuck = true }, drivers.Mismatch},
		{"nobody drives the line", func(f *controller) { f.float = true }, drivers.Implausible},
		{"the setting reads ones", func(f *controller) { f.config[3] = 0xff }, drivers.Implausible},
	} {
		f := fresh()
		c.with(f)
		if m, err := device(t, f, 6).Sense(t.Context()); drivers.FaultOf(err) != c.fault || m.Temperatures != nil || m.Fans != [Fans]Fan{} {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, fresh()).Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

func FuzzSense(f *testing.F) {
	f.Add(byte(0x80), uint16(8500), uint16(2500))
	f.Add(byte(0x00), uint16(0), uint16(0x7fff))
	f.Add(byte(0xff), uint16(0xffff), uint16(0xffff))
	f.Fuzz(func(t *testing.T, config byte, speed, temp uint16) {
		c := fresh()
		c.config[0], c.speed[0], c.temp[6] = config, speed, temp
		m, err := device(t, c, 6).Sense(context.Background())
		if err != nil {
			if config != 0xff {
				t.Fatal(err)
			}
			return
		}
		if s := m.Fans[0].Speed; (s != nil) != (config&0x80 != 0) || s != nil && s.Fault == drivers.None && s.Value > 0x7fff {
			t.Fatalf("%02x %04x: %+v", config, speed, s)
		}
		if v := m.Temperatures[6]; v.Fault == drivers.None && (v.Value.Celsius() < -55.01 || v.Value.Celsius() > 150.01) {
			t.Fatalf("%04x: %+v", temp, v)
		}
	})
}

func device(t *testing.T, c *controller, temperatures ...byte) *Dev {
	t.Helper()
	d, err := New(c, Opts{Name: "t", Addr: addr, Temperatures: temperatures})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// controller is a register file with pages, and the handle of the bus it is alone on.
type controller struct {
	revision uint16
	config   [LastTemperature + 1]byte
	speed    [LastTemperature + 1]uint16
	status   [LastTemperature + 1]byte
	temp     [LastTemperature + 1]uint16
	page     byte
	err      error
	stuck    bool // PAGE does not change
	float    bool // nobody drives the line
	count    int  // transfers

	spoilt, spoiltFor int  // from this transfer on, counted from 1, so many read of the bus
	with              byte // this

	inJob         bool
	jobs, outside int
}

func fresh() *controller {
	c := &controller{revision: 0x3061}
	c.config[0], c.config[1], c.config[2] = 0x90, 0x90, 0x90
	c.speed[0], c.speed[2] = 8500, 0x8001
	c.status[1] = 0x80
	c.temp[6], c.temp[7], c.temp[16] = 2500, 0xfe0c, 0x7fff
	return c
}

func (c *controller) String() string                  { return "controller" }
func (c *controller) SetSpeed(physic.Frequency) error { return nil }

func (c *controller) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	c.inJob = true
	defer func() { c.inJob = false }()
	c.jobs++
	return job(c)
}

func (c *controller) Tx(_ uint16, w, r []byte) error {
	c.count++
	if !c.inJob {
		c.outside++
	}
	switch {
	case c.err != nil:
		return c.err
	case len(r) == 0:
		if !c.stuck {
			c.page = w[1]
		}
		return nil
	}
	v := c.value(w[0])
	for i := range r {
		r[i] = byte(v >> (8 * i))
		if c.float {
			r[i] = 0xff
		}
		if c.count >= c.spoilt && c.count < c.spoilt+c.spoiltFor {
			r[i] = c.with
		}
	}
	return nil
}

func (c *controller) value(at byte) uint16 {
	switch at {
	case 0x00:
		return uint16(c.page)
	case 0x3a:
		return uint16(c.config[c.page])
	case 0x81:
		return uint16(c.status[c.page])
	case 0x8d:
		return c.temp[c.page]
	case 0x90:
		return c.speed[c.page]
	case 0x9b:
		return c.revision
	default:
		return 0
	}
}
