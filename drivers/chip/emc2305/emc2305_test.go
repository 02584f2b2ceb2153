package emc2305

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x2c

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, c := range []struct {
		name string
		o    Opts
		good bool
	}{
		{"lowest address", Opts{Addr: 0x2c}, true},
		{"highest address", Opts{Addr: 0x4d, Part: EMC2303}, true},
		{"one fan", Opts{Addr: 0x2f, Part: EMC2301, Fitted: 1}, true},
		{"other fans", Opts{Addr: 0x2c, Poles: 4, Edges: 9, Multiplier: 8}, true},
		{"address between", Opts{Addr: 0x30}, false},
		{"address below", Opts{Addr: 0x2b}, false},
		{"address above", Opts{Addr: 0x4e}, false},
		{"unknown part", Opts{Addr: 0x2c, Part: "emc2103"}, false},
		{"a fan too many", Opts{Addr: 0x2c, Part: EMC2302, Fitted: 0b100}, false},
		{"even edges", Opts{Addr: 0x2c, Edges: 4}, false},
		{"too many edges", Opts{Addr: 0x2c, Edges: 11}, false},
		{"multiplier 3", Opts{Addr: 0x2c, Multiplier: 3}, false},
		{"multiplier 16", Opts{Addr: 0x2c, Multiplier: 16}, false},
		{"negative poles", Opts{Addr: 0x2c, Poles: -1}, false},
		{"nine poles", Opts{Addr: 0x2c, Poles: 9}, false},
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
		name                     string
		tach                     uint16
		poles, edges, multiplier int
		rpm                      int
		good                     bool
	}{
		{"data sheet default", 0x2ee0, 2, 5, 2, 5242, true},
		{"multiplier 1", 0x2ee0, 2, 5, 1, 2621, true},
		{"four poles, nine edges", 0x2ee0, 4, 9, 2, 5242, true},
		{"slowest", 0xffe8, 2, 5, 2, 960, true},
		{"stopped", 0xfff0, 2, 5, 2, 0, true},
		{"stopped, all bits of the count", 0xfff8, 2, 5, 2, 0, true},
		{"nobody drives the line", 0xffff, 2, 5, 2, 0, false},
		{"held line", 0x0000, 2, 5, 2, 0, false},
		{"fastest", 0x0420, 2, 5, 2, 59578, true},
		{"faster than any fan", 0x0418, 2, 5, 2, 0, false},
	} {
		if rpm, ok := RPM(c.tach, c.poles, c.edges, c.multiplier); rpm != c.rpm || ok != c.good {
			t.Errorf("%s: %d, %t", c.name, rpm, ok)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name    string
		part    Part
		fe, fd  byte
		fault   drivers.Fault
		product string
	}{
		{"EMC2305", EMC2305, 0x5d, 0x34, drivers.None, "EMC2305"},
		{"EMC2303", EMC2303, 0x5d, 0x35, drivers.None, "EMC2303"},
		{"EMC2302", EMC2302, 0x5d, 0x36, drivers.None, "EMC2302"},
		{"EMC2301", EMC2301, 0x5d, 0x37, drivers.None, "EMC2301"},
		{"a smaller part than asked for", EMC2305, 0x5d, 0x35, drivers.WrongDevice, ""},
		{"another maker", EMC2305, 0x55, 0x34, drivers.WrongDevice, ""},
		{"nobody", EMC2305, 0xff, 0xff, drivers.Implausible, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &controller{}
			bus.regs[0xfe], bus.regs[0xfd] = c.fe, c.fd
			id, err := device(t, bus, Opts{Part: c.part}).Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || id.Part != c.product {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestSense(t *testing.T) {
	bus := running()
	bus.tach(1, 0xfff0) // stands, and the part says so
	bus.regs[0x40] = 0xff
	bus.regs[0x25] = 0b00010
	bus.tach(2, 0xfff0) // stands because nothing drives it
	bus.regs[0x50] = 0x00
	bus.tach(3, 0xffff) // no count
	bus.regs[0x26], bus.regs[0x27] = 0b01000, 0b10000
	m, err := device(t, bus, Opts{}).Sense(t.Context())
	want := []Fan{
		{N: 1, RPM: 5242, Raw: 0x2ee0, Drive: 0x80},
		{N: 2, Stopped: true, Raw: 0xfff0, Drive: 0xff, Stalled: true},
		{N: 3, Stopped: true, Raw: 0xfff0},
		{N: 4, Fault: drivers.Implausible, Raw: 0xffff, Drive: 0x80, SpinUpFailed: true},
		{N: 5, RPM: 5242, Raw: 0x2ee0, Drive: 0x80, DriveFailed: true},
	}
	if err != nil || !slices.Equal(m.Fans, want) {
		t.Errorf("%+v, %v", m, err)
	}
}

// A part that counts otherwise than the board asks gives speeds that are wrong by a factor.
func TestScaleDiffers(t *testing.T) {
	bus := running()
	bus.regs[0x32] = 0x2b           // power-on
	bus.regs[0x42] = 0x4b           // multiplier 4, as asked for
	bus.regs[0x52] = 0xcb           // the same with the closed loop on
	bus.regs[0x62] = 0x6b           // multiplier 8
	bus.regs[0x72] = 0x4b | 0b10000 // 9 edges
	m, err := device(t, bus, Opts{Multiplier: 4}).Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []drivers.Fault{drivers.Restarted, drivers.None, drivers.None, drivers.Foreign, drivers.Foreign}
	for i, f := range m.Fans {
		if f.Fault != want[i] || (f.RPM != 0) != (f.Fault == drivers.None) {
			t.Errorf("%+v, want %v", f, want[i])
		}
	}
	if m.Fans[1].RPM != 10485 {
		t.Errorf("%d rpm", m.Fans[1].RPM)
	}
}

func TestFittedFansOnly(t *testing.T) {
	bus := running()
	m, err := device(t, bus, Opts{Fitted: 0b10010}).Sense(t.Context())
	if err != nil || len(m.Fans) != 2 || m.Fans[0].N != 2 || m.Fans[1].N != 5 {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = device(t, bus, Opts{Part: EMC2302}).Sense(t.Context())
	if err != nil || len(m.Fans) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

// Every transfer may fail: then there is an error that names its register, and no fan.
func TestFaults(t *testing.T) {
	whole := running()
	if _, err := device(t, whole, Opts{}).Sense(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := range whole.count {
		bus := running()
		bus.failAt, bus.err = at+1, drivers.Timeout
		m, err := device(t, bus, Opts{}).Sense(t.Context())
		if !errors.Is(err, drivers.Timeout) || m.Fans != nil || !strings.Contains(err.Error(), "read Fan ") {
			t.Errorf("transfer %d: %+v, %v", at, m, err)
		}
	}
	for _, reg := range []byte{0x25, 0x26, 0x27} {
		bus := running()
		bus.regs[reg] = 0xff
		if m, err := device(t, bus, Opts{}).Sense(t.Context()); !errors.Is(err, drivers.Implausible) || m.Fans != nil {
			t.Errorf("%02x all ones: %+v, %v", reg, m, err)
		}
	}
	for at := 1; at <= 2; at++ {
		bus := running()
		bus.failAt, bus.err = at, drivers.NoAnswer
		if _, err := device(t, bus, Opts{}).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("identify, transfer %d: %v", at, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bus := running()
	if _, err := device(t, bus, Opts{}).Sense(ctx); !errors.Is(err, drivers.Cancelled) || bus.count != 0 {
		t.Errorf("%v after %d transfers", err, bus.count)
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
	if ierr != nil || serr != nil || bus.wrote || bus.count != 2+3+5*3 {
		t.Errorf("%v, %v, %d transfers, wrote: %t", ierr, serr, bus.count, bus.wrote)
	}
}

func FuzzRPM(f *testing.F) {
	f.Add(uint16(0x2ee0), uint8(2), uint8(1), uint8(1))
	f.Add(uint16(0xfff0), uint8(2), uint8(1), uint8(1))
	f.Add(uint16(0xffff), uint8(8), uint8(0), uint8(0))
	f.Add(uint16(0x0008), uint8(1), uint8(3), uint8(3))
	f.Fuzz(func(t *testing.T, tach uint16, poles, edges, multiplier uint8) {
		p, e, m := 1+int(poles%8), 3+2*int(edges%4), 1<<(multiplier%4)
		rpm, ok := RPM(tach, p, e, m)
		switch stopped := tach >= 0xfff0 && tach != 0xffff; {
		case rpm < 0 || rpm > 60000:
			t.Fatalf("%04x: %d rpm", tach, rpm)
		case (ok && rpm == 0) != stopped:
			t.Fatalf("%04x with %d poles, %d edges, multiplier %d: %d, %t", tach, p, e, m, rpm, ok)
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

// running has five fans at 5,242 rpm.
func running() *controller {
	c := &controller{}
	c.regs[0xfe], c.regs[0xfd] = 0x5d, 0x34
	for n := range 5 {
		c.regs[0x30+0x10*n], c.regs[0x32+0x10*n] = 0x80, 0x2b
		c.tach(n, 0x2ee0)
	}
	return c
}

func (c *controller) tach(n int, word uint16) {
	c.regs[0x3e+0x10*n], c.regs[0x3f+0x10*n] = byte(word>>8), byte(word)
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
