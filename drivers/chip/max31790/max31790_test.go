package max31790

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x20

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, c := range []struct {
		name string
		o    Opts
		good bool
	}{
		{"lowest address", Opts{Addr: 0x20}, true},
		{"highest address", Opts{Addr: 0x2f, NP: 8, Fitted: 0b111111}, true},
		{"address below", Opts{Addr: 0x1f}, false},
		{"address above", Opts{Addr: 0x30}, false},
		{"a seventh fan", Opts{Addr: 0x20, Fitted: 0b1000000}, false},
		{"no pulses", Opts{Addr: 0x20, NP: -1}, false},
		{"nine pulses", Opts{Addr: 0x20, NP: 9}, false},
	} {
		if _, err := New(bus, c.o); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestRPM(t *testing.T) {
	for _, c := range []struct {
		name     string
		tach     uint16
		dynamics byte
		np       int
		rpm      int
		good     bool
	}{
		{"SR 4, two pulses", 0x2000, 0x4c, 2, 3840, true},
		{"SR 1", 0x2000, 0x0c, 2, 960, true},
		{"SR 2", 0x2000, 0x2c, 2, 1920, true},
		{"SR 8", 0x2000, 0x6c, 2, 7680, true},
		{"SR 16", 0x2000, 0x8c, 2, 15360, true},
		{"SR 32", 0x2000, 0xac, 2, 30720, true},
		{"SR 32, code 6", 0x2000, 0xcc, 2, 30720, true},
		{"SR 32, code 7", 0x2000, 0xec, 2, 30720, true},
		{"four pulses", 0x2000, 0x4c, 4, 1920, true},
		{"slowest", 0xffc0, 0x4c, 2, 480, true},
		{"stopped", 0xffe0, 0x4c, 2, 0, true},
		{"nobody drives the line", 0xffff, 0x4c, 2, 0, false},
		{"held line", 0x0000, 0x4c, 2, 0, false},
		{"faster than any fan", 0x0200, 0x4c, 2, 0, false},
	} {
		if rpm, ok := RPM(c.tach, SpeedRange(c.dynamics), c.np); rpm != c.rpm || ok != c.good {
			t.Errorf("%s: %d, %t", c.name, rpm, ok)
		}
	}
}

func TestSense(t *testing.T) {
	bus := running()
	bus.word(0x18, 1, 0xffe0) // stands although driven, and the part says so
	bus.regs[0x11] = 0b000010
	bus.word(0x18, 2, 0xffe0) // stands because nothing drives it
	bus.word(0x30, 2, 0x0000)
	bus.regs[0x02+3] = 0x00 // tach input off: whatever the count is, it is none
	bus.word(0x18, 4, 0xffff)
	bus.regs[0x08+5] = 0x6c // SR 8
	m, err := device(t, bus, Opts{}).Sense(t.Context())
	want := []Fan{
		{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4},
		{N: 2, Stopped: true, Raw: 0xffe0, Duty: 255, SR: 4, Failed: true},
		{N: 3, Stopped: true, Raw: 0xffe0, SR: 4},
		{N: 4, Fault: drivers.Unsupported, Raw: 0x2000, Duty: 255, SR: 4},
		{N: 5, Fault: drivers.Implausible, Raw: 0xffff, Duty: 255, SR: 4},
		{N: 6, RPM: 7680, Raw: 0x2000, Duty: 255, SR: 8},
	}
	if err != nil || !slices.Equal(m.Fans, want) || m.Watchdog {
		t.Errorf("%+v, %v", m, err)
	}
}

// What a bus gives by itself is confirmed: by the fan's configuration after it, and by a second look.
func TestDoubtfulWords(t *testing.T) {
	byteAt := func(at, v byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{v}} }
	wordAt := func(at byte, v uint16) i2ctest.IO {
		return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{byte(v >> 8), byte(v)}}
	}
	for _, c := range []struct {
		name       string
		dynamics   byte
		tach, duty uint16
		then       []i2ctest.IO
		want       Fan
		fault      drivers.Fault
	}{
		{"turns", 0x4c, 0x2000, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08)}, Fan{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4}, drivers.None},
		{"range held once", 0, 0x2000, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08), byteAt(0x08, 0x4c)}, Fan{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4}, drivers.None},
		{"range undriven once", 0xff, 0x2000, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08), byteAt(0x08, 0x4c)}, Fan{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4}, drivers.None},
		{"range of 1", 0, 0x2000, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08), byteAt(0x08, 0)}, Fan{N: 1, RPM: 960, Raw: 0x2000, Duty: 255, SR: 1}, drivers.None},
		{"one range and then the other", 0, 0x2000, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08), byteAt(0x08, 0xff)}, Fan{}, drivers.Implausible},
		{"count held once", 0x4c, 0, 0x7f80, []i2ctest.IO{byteAt(0x02, 0x08), wordAt(0x18, 0x2000)}, Fan{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4}, drivers.None},
		{"not driven", 0x4c, 0xffe0, 0, []i2ctest.IO{byteAt(0x02, 0x08), wordAt(0x30, 0)}, Fan{N: 1, Stopped: true, Raw: 0xffe0, SR: 4}, drivers.None},
		{"duty held once", 0x4c, 0x2000, 0, []i2ctest.IO{byteAt(0x02, 0x08), wordAt(0x30, 0x7f80)}, Fan{N: 1, RPM: 3840, Raw: 0x2000, Duty: 255, SR: 4}, drivers.None},
		{"duty of no part", 0x4c, 0x2000, 0xffff, []i2ctest.IO{byteAt(0x02, 0x08), wordAt(0x30, 0xffff)}, Fan{N: 1, Fault: drivers.Implausible, Raw: 0x2000, Duty: 511, SR: 4}, drivers.None},
		{"held for good", 0, 0, 0, []i2ctest.IO{byteAt(0x02, 0), byteAt(0x08, 0), wordAt(0x18, 0), wordAt(0x30, 0)}, Fan{N: 1, Fault: drivers.Unsupported, SR: 1}, drivers.None},
		{"nobody there", 0xff, 0xffff, 0xffff, []i2ctest.IO{byteAt(0x02, 0xff)}, Fan{}, drivers.Implausible},
	} {
		ops := []i2ctest.IO{byteAt(0x00, 0x20), byteAt(0x11, 0), byteAt(0x08, c.dynamics), wordAt(0x18, c.tach), wordAt(0x30, c.duty)}
		bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, c.then...)}
		m, err := device(t, bus, Opts{Fitted: 1}).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault || err == nil && m.Fans[0] != c.want {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWatchdogAndStandby(t *testing.T) {
	bus := running()
	bus.regs[0x00] = 0x21
	if m, err := device(t, bus, Opts{}).Sense(t.Context()); err != nil || !m.Watchdog || len(m.Fans) != 6 {
		t.Errorf("%+v, %v", m, err)
	}
	bus.regs[0x00] = 0xa0
	if m, err := device(t, bus, Opts{}).Sense(t.Context()); !errors.Is(err, drivers.Foreign) || m.Fans != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFittedFansOnly(t *testing.T) {
	m, err := device(t, running(), Opts{Fitted: 0b100001}).Sense(t.Context())
	if err != nil || len(m.Fans) != 2 || m.Fans[0].N != 1 || m.Fans[1].N != 6 {
		t.Errorf("%+v, %v", m, err)
	}
}

// Every transfer may fail: then there is an error, and no fan.
func TestFaults(t *testing.T) {
	whole := running()
	if _, err := device(t, whole, Opts{}).Sense(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := range whole.count {
		bus := running()
		bus.failAt, bus.err = at+1, drivers.Timeout
		if m, err := device(t, bus, Opts{}).Sense(t.Context()); !errors.Is(err, drivers.Timeout) || m.Fans != nil {
			t.Errorf("transfer %d: %+v, %v", at, m, err)
		}
	}
	for _, reg := range []byte{0x00, 0x11} {
		bus := running()
		bus.regs[reg] = 0xff
		if m, err := device(t, bus, Opts{}).Sense(t.Context()); !errors.Is(err, drivers.Implausible) || m.Fans != nil {
			t.Errorf("%02x all ones: %+v, %v", reg, m, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bus := running()
	if _, err := device(t, bus, Opts{}).Sense(ctx); !errors.Is(err, drivers.Cancelled) || bus.count != 0 {
		t.Errorf("%v after %d transfers", err, bus.count)
	}
}

func TestIdentify(t *testing.T) {
	if id, err := device(t, running(), Opts{}).Identify(t.Context()); err != nil || id.Part != "MAX31790" {
		t.Errorf("%+v, %v", id, err)
	}
	bus := running()
	bus.regs[0x00] = 0xff
	if _, err := device(t, bus, Opts{}).Identify(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("%v", err)
	}
	bus.failAt, bus.err, bus.count = 1, drivers.NoAnswer, 0
	if _, err := device(t, bus, Opts{}).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
}

// The controller under all tests fails every transfer that is not a read of registers (see its Tx). What is left to
// show is that there is no verb the tests did not call.
func TestNothingIsEverWritten(t *testing.T) {
	var verbs []string
	for m := range reflect.TypeFor[*Dev]().Methods() {
		verbs = append(verbs, m.Name)
	}
	if want := []string{"Identify", "Sense", "String"}; !slices.Equal(verbs, want) {
		t.Errorf("verbs %q, want %q", verbs, want)
	}
	bus := running()
	d := device(t, bus, Opts{})
	_, ierr := d.Identify(t.Context())
	_, serr := d.Sense(t.Context())
	if ierr != nil || serr != nil || bus.wrote || bus.count != 1+2+6*4 {
		t.Errorf("%v, %v, %d transfers, wrote: %t", ierr, serr, bus.count, bus.wrote)
	}
}

func FuzzRPM(f *testing.F) {
	f.Add(uint16(0x2000), byte(0x4c), uint8(1))
	f.Add(uint16(0xffe0), byte(0x4c), uint8(1))
	f.Add(uint16(0xffff), byte(0xff), uint8(7))
	f.Add(uint16(0x0020), byte(0x00), uint8(0))
	f.Fuzz(func(t *testing.T, tach uint16, dynamics byte, pulses uint8) {
		sr, np := SpeedRange(dynamics), 1+int(pulses%8)
		rpm, ok := RPM(tach, sr, np)
		switch stopped := tach >= 0xffe0 && tach != 0xffff; {
		case sr < 1 || sr > 32:
			t.Fatalf("dynamics %02x: SR %d", dynamics, sr)
		case rpm < 0 || rpm > 60000:
			t.Fatalf("%04x: %d rpm", tach, rpm)
		case (ok && rpm == 0) != stopped:
			t.Fatalf("%04x with SR %d and %d pulses: %d, %t", tach, sr, np, rpm, ok)
		}
	})
}

func device(t *testing.T, bus i2c.Bus, o Opts) *Dev {
	t.Helper()
	o.Name, o.Addr = "t", addr
	d, err := New(bus, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// controller is a register file that takes nothing but reads.
type controller struct {
	regs   [256]byte
	count  int
	failAt int // transfer that fails, counted from 1; 0: none
	err    error
	wrote  bool
}

// running has six fans at 3,840 rpm and half duty.
func running() *controller {
	c := &controller{}
	c.regs[0x00] = 0x20
	for n := range 6 {
		c.regs[0x02+n], c.regs[0x08+n] = 0x08, 0x4c
		c.word(0x18, n, 0x2000)
		c.word(0x30, n, 0x7f80)
	}
	return c
}

func (c *controller) word(base, n int, v uint16) {
	c.regs[base+2*n], c.regs[base+2*n+1] = byte(v>>8), byte(v)
}

func (c *controller) String() string                  { return "controller" }
func (c *controller) SetSpeed(physic.Frequency) error { return nil }

func (c *controller) Tx(a uint16, w, r []byte) error {
	c.count++
	if a != addr || len(w) != 1 || len(r) == 0 {
		c.wrote = true
		return drivers.Unsupported
	}
	if c.count == c.failAt {
		return c.err
	}
	copy(r, c.regs[w[0]:])
	return nil
}
