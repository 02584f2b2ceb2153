package ina3221

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

const addr = 0x41

// board has shunts of 10 milliohm on channels 1 and 3.
func board() Opts { return Opts{Name: "t", Addr: addr, ShuntOhm: [3]float64{0.01, 0, 0.01}} }

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, board()); err == nil {
		t.Error("no bus was taken")
	}
	for name, change := range map[string]func(*Opts){
		"address below":      func(o *Opts) { o.Addr = 0x3f },
		"address above":      func(o *Opts) { o.Addr = 0x44 },
		"no shunt at all":    func(o *Opts) { o.ShuntOhm = [3]float64{} },
		"negative shunt":     func(o *Opts) { o.ShuntOhm[1] = -0.01 },
		"shunt not a number": func(o *Opts) { o.ShuntOhm[2] = math.NaN() },
		"endless shunt":      func(o *Opts) { o.ShuntOhm[0] = math.Inf(1) },
	} {
		o := board()
		change(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestConversions(t *testing.T) {
	for _, c := range []struct {
		shunt, bus uint16
		want       Channel // through 10 milliohm
	}{
		{0x0fa0, 0x2ee0, Channel{Voltage: 12 * physic.Volt, Shunt: 20 * physic.MilliVolt, Current: 2 * physic.Ampere, Power: 24 * physic.Watt}},
		{0xf060, 0x2ee0, Channel{Voltage: 12 * physic.Volt, Shunt: -20 * physic.MilliVolt, Current: -2 * physic.Ampere, Power: -24 * physic.Watt}},
		{0xfff8, 0x0008, Channel{Voltage: 8 * physic.MilliVolt, Shunt: -40 * physic.MicroVolt, Current: -4 * physic.MilliAmpere, Power: -32 * physic.MicroWatt}},
		{0x7ff0, 0x7ff0, Channel{Voltage: 32752 * physic.MilliVolt, Shunt: 163760 * physic.MicroVolt, Current: 16376 * physic.MilliAmpere, Power: 536346752 * physic.MicroWatt}},
		{0xc180, 0x6590, Channel{Voltage: 26 * physic.Volt, Shunt: -80 * physic.MilliVolt, Current: -8 * physic.Ampere, Power: -208 * physic.Watt}}, // shunt: example of SBOS576B
		{0x0000, 0x0000, Channel{}},
		{0x7ff8, 0x2ee0, Channel{Voltage: 12 * physic.Volt, CurrentFault: drivers.Implausible}},
		{0x8000, 0x2ee0, Channel{Voltage: 12 * physic.Volt, CurrentFault: drivers.Implausible}},
		{0x0fa1, 0x2ee0, Channel{Fault: drivers.Implausible}},
		{0xffff, 0x2ee0, Channel{Fault: drivers.Implausible}},
		{0x0fa0, 0x2ee4, Channel{Fault: drivers.Implausible}},
		{0x0fa0, 0x7ff8, Channel{Fault: drivers.Implausible}},
		{0x0fa0, 0x8000, Channel{Fault: drivers.Implausible}},
		{0x0fa0, 0xffff, Channel{Fault: drivers.Implausible}},
	} {
		raw := Codes{Shunt: c.shunt, Bus: c.bus}
		c.want.Raw = raw
		if got := Convert(raw, 0.01); got != c.want {
			t.Errorf("%04x %04x: %+v, want %+v", c.shunt, c.bus, got, c.want)
		}
	}
}

func TestSenseBytes(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		word(0x01, 0x0fa0), word(0x02, 0x2ee0), word(0x05, 0xf060), word(0x06, 0x2ee0), word(0x00, 0x5527),
	}}
	m, err := device(t, bus).Sense(t.Context())
	want := Measurement{Channels: [3]Channel{
		Convert(Codes{0x0fa0, 0x2ee0}, 0.01), {Fault: drivers.NotRead}, Convert(Codes{0xf060, 0x2ee0}, 0.01),
	}}
	if err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"back at defaults", []i2ctest.IO{word(0, 0x7127)}, drivers.Restarted},
		{"shut down", []i2ctest.IO{word(0, 0x5520)}, drivers.Mismatch},
		{"a channel off", []i2ctest.IO{word(0, 0x4527)}, drivers.Mismatch},
		{"held at the end", []i2ctest.IO{word(0, 0x0000)}, drivers.Mismatch},
		{"gone at the end", []i2ctest.IO{word(0, 0xffff)}, drivers.Implausible},
	} {
		values := []i2ctest.IO{word(1, 0x0fa0), word(2, 0x2ee0), word(5, 0), word(6, 0xffff)}
		bus := &i2ctest.Playback{DontPanic: true, Ops: append(values, c.ops...)}
		m, err := device(t, bus).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault || m != (Measurement{}) {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What a bus gives by itself is confirmed: by the configuration after it, and by a second look.
func TestSenseDoubtfulCodes(t *testing.T) {
	for _, c := range []struct {
		name       string
		shunt, bus uint16
		again      []i2ctest.IO
		want       Channel
		fault      drivers.Fault
	}{
		{"idle", 0, 0x2ee0, []i2ctest.IO{word(1, 0)}, Convert(Codes{0, 0x2ee0}, 0.01), drivers.None},
		{"off", 0, 0, []i2ctest.IO{word(1, 0), word(2, 0)}, Convert(Codes{0, 0}, 0.01), drivers.None},
		{"shunt held once", 0, 0x2ee0, []i2ctest.IO{word(1, 0x0fa0)}, Convert(Codes{0x0fa0, 0x2ee0}, 0.01), drivers.None},
		{"bus held once", 0x0fa0, 0, []i2ctest.IO{word(2, 0x2ee0)}, Convert(Codes{0x0fa0, 0x2ee0}, 0.01), drivers.None},
		{"bus undriven once", 0x0fa0, 0xffff, []i2ctest.IO{word(2, 0x2ee0)}, Convert(Codes{0x0fa0, 0x2ee0}, 0.01), drivers.None},
		{"bus undriven twice", 0x0fa0, 0xffff, []i2ctest.IO{word(2, 0xffff)}, Channel{Fault: drivers.Implausible, Raw: Codes{0x0fa0, 0xffff}}, drivers.None},
		{"one thing and then the other", 0, 0x2ee0, []i2ctest.IO{word(1, 0xffff)}, Channel{}, drivers.Implausible},
	} {
		ops := []i2ctest.IO{word(1, c.shunt), word(2, c.bus), word(5, 0x0fa0), word(6, 0x2ee0), word(0, 0x5527)}
		bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, c.again...)}
		m, err := device(t, bus).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault || m.Channels[0] != c.want {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// One channel that reads nonsense leaves the others.
func TestChannelsFailAlone(t *testing.T) {
	c := &monitor{regs: map[byte]uint16{0x00: 0x5527, 0x01: 0x0fa0, 0x02: 0x2ee1, 0x05: 0x0fa0, 0x06: 0x2ee0}}
	m, err := device(t, c).Sense(t.Context())
	if err != nil || m.Channels[0].Fault != drivers.Implausible || m.Channels[0].Voltage != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if m.Channels[2].Fault != drivers.None || m.Channels[2].Current != 2*physic.Ampere {
		t.Errorf("%+v", m.Channels[2])
	}
}

func TestSenseStopsAtAnyTransfer(t *testing.T) {
	for at := 1; at <= 5; at++ {
		c := &monitor{regs: map[byte]uint16{0x00: 0x5527}, failAt: at}
		m, err := device(t, c).Sense(t.Context())
		if !errors.Is(err, drivers.NoAnswer) || m != (Measurement{}) {
			t.Errorf("transfer %d: %+v, %v", at, m, err)
		}
	}
}

func TestConfigure(t *testing.T) {
	for ohms, want := range map[[3]float64]uint16{
		{0.01, 0, 0}: 0x4527, {0, 0.01, 0}: 0x2527, {0, 0, 0.01}: 0x1527, {0.01, 0.02, 0.03}: 0x7527,
	} {
		c := &monitor{regs: map[byte]uint16{0x00: 0x7127}}
		d, err := New(c, Opts{Name: "t", Addr: addr, ShuntOhm: ohms})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("before: %v", err)
		}
		if err := d.Configure(t.Context()); err != nil || c.regs[0x00] != want {
			t.Errorf("%v: %04x, %v", ohms, c.regs[0x00], err)
		}
		if _, err := d.Sense(t.Context()); err != nil {
			t.Errorf("after: %v", err)
		}
	}
	var e *drivers.Error
	deaf := &monitor{regs: map[byte]uint16{0x00: 0x7127}, deaf: true}
	if err := device(t, deaf).Configure(t.Context()); !errors.As(err, &e) || e.Fault != drivers.Mismatch || e.Reg != "Configuration" {
		t.Errorf("deaf: %v", err)
	}
	for at := 1; at <= 2; at++ {
		c := &monitor{regs: map[byte]uint16{0x00: 0x7127}, failAt: at}
		if err := device(t, c).Configure(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("transfer %d: %v", at, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		maker, die uint16
		fault      drivers.Fault
	}{
		{0x5449, 0x3220, drivers.None},
		{0x5449, 0x2260, drivers.WrongDevice}, // an INA226
		{0x5448, 0x3220, drivers.WrongDevice},
		{0x0000, 0x0000, drivers.WrongDevice},
		{0xffff, 0xffff, drivers.Implausible},
		{0x5449, 0xffff, drivers.Implausible},
	} {
		m := &monitor{regs: map[byte]uint16{0xfe: c.maker, 0xff: c.die}}
		id, err := device(t, m).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "INA3221") {
			t.Errorf("%04x %04x: %+v, %v", c.maker, c.die, id, err)
		}
		if m.writes != 0 {
			t.Errorf("%04x %04x: identifying wrote", c.maker, c.die)
		}
	}
}

func TestRegisterNames(t *testing.T) {
	for reg, want := range map[byte]string{
		0x00: "Configuration", 0x01: "Channel-1 Shunt-Voltage", 0x02: "Channel-1 Bus-Voltage", 0x05: "Channel-3 Shunt-Voltage",
		0x06: "Channel-3 Bus-Voltage", 0x07: "07h", 0xfe: "Manufacturer ID", 0xff: "Die ID",
	} {
		if got := regName(reg); got != want {
			t.Errorf("%02x: %s", reg, got)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &monitor{regs: map[byte]uint16{0x00: 0x5527}}
	d := device(t, c)
	_, identified := d.Identify(ctx)
	_, sensed := d.Sense(ctx)
	for _, err := range []error{identified, sensed, d.Configure(ctx)} {
		if !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	}
	if c.transfers != 0 {
		t.Errorf("%d transfers", c.transfers)
	}
}

// Whatever the registers hold, a channel has values or a fault, and its numbers are within the part's range.
func FuzzConvert(f *testing.F) {
	for _, s := range [][2]uint16{{0x0fa0, 0x2ee0}, {0xf060, 0x2ee0}, {0x7ff8, 0}, {0x8000, 0x8000}, {0xffff, 0xffff}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, shunt, bus uint16) {
		c := Convert(Codes{Shunt: shunt, Bus: bus}, 0.01)
		if c.Fault != drivers.None && c != (Channel{Fault: c.Fault, Raw: c.Raw}) {
			t.Fatalf("values beside a fault: %+v", c)
		}
		if c.CurrentFault != drivers.None && (c.Shunt != 0 || c.Current != 0 || c.Power != 0) {
			t.Fatalf("a current beside its fault: %+v", c)
		}
		if c.Voltage < 0 || c.Voltage >= 32760*physic.MilliVolt || c.Shunt <= -163840*physic.MicroVolt || c.Shunt >= 163800*physic.MicroVolt {
			t.Errorf("out of range: %+v", c)
		}
		if (c.Current < 0) != (c.Shunt < 0) || c.Raw != (Codes{Shunt: shunt, Bus: bus}) {
			t.Errorf("%+v", c)
		}
	})
}

func word(reg byte, v uint16) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{reg}, R: []byte{byte(v >> 8), byte(v)}}
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, board())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// monitor is a register file with faults.
type monitor struct {
	regs      map[byte]uint16
	deaf      bool // takes no write
	failAt    int  // this transfer is not acknowledged, counted from 1
	transfers int
	writes    int
}

func (c *monitor) String() string                  { return "monitor" }
func (c *monitor) SetSpeed(physic.Frequency) error { return nil }

func (c *monitor) Tx(_ uint16, w, r []byte) error {
	if c.transfers++; c.transfers == c.failAt {
		return drivers.NoAnswer
	}
	if len(r) == 0 {
		c.writes++
		if !c.deaf {
			c.regs[w[0]] = uint16(w[1])<<8 | uint16(w[2])
		}
		return nil
	}
	v := c.regs[w[0]]
	r[0], r[1] = byte(v>>8), byte(v)
	return nil
}
