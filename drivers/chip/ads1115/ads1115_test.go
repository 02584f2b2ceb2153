package ads1115

import (
	"context"
	"errors"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x48

var flow = Channel{AIN0, FSR4096, SPS128}

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, o := range []Opts{
		{Addr: 0x47, Channels: []Channel{flow}},
		{Addr: 0x4c, Channels: []Channel{flow}},
		{Addr: addr},
		{Addr: addr, Channels: []Channel{{}}},
		{Addr: addr, Channels: []Channel{flow, {AIN1, 0, SPS128}}},
		{Addr: addr, Channels: []Channel{{AIN0AIN1 + 1, FSR4096, SPS128}}},
		{Addr: addr, Channels: []Channel{{AIN0, FSR0256 + 1, SPS128}}},
		{Addr: addr, Channels: []Channel{{AIN0, FSR4096, SPS860 + 1}}},
		{Addr: addr, Channels: []Channel{{AIN0AIN1, FSR2048, SPS128}}}, // the power-on configuration
	} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr, Channels: []Channel{flow}}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestWord(t *testing.T) {
	for _, c := range []struct {
		channel Channel
		want    uint16
	}{
		{Channel{AIN0, FSR4096, SPS128}, 0xc383}, // the example of the data sheet's users
		{Channel{AIN0AIN1, FSR2048, SPS128}, defaults},
		{Channel{AIN3, FSR6144, SPS8}, 0xf103},
		{Channel{AIN1, FSR0256, SPS860}, 0xdbe3},
		{Channel{AIN2, FSR1024, SPS475}, 0xe7c3},
	} {
		if got := c.channel.word(); got != c.want {
			t.Errorf("%+v: %04x, want %04x", c.channel, got, c.want)
		}
	}
}

func TestConversionTime(t *testing.T) {
	for rate, want := range map[Rate]time.Duration{
		SPS8:   137525 * time.Microsecond,
		SPS128: 8618750 * time.Nanosecond,
		SPS860: 1304069 * time.Nanosecond,
	} {
		if got := longest(Channel{AIN0, FSR4096, rate}.word()); got != want {
			t.Errorf("rate %d: %v, want %v", rate, got, want)
		}
	}
}

func TestVoltage(t *testing.T) {
	for _, c := range []struct {
		code int16
		fsr  Range
		want physic.ElectricPotential
	}{
		{0x3840, FSR4096, 1800 * physic.MilliVolt},
		{4800, FSR4096, 600 * physic.MilliVolt},
		{24000, FSR4096, 3000 * physic.MilliVolt},
		{1, FSR4096, 125 * physic.MicroVolt},
		{-1, FSR4096, -125 * physic.MicroVolt},
		{1, FSR6144, 187500 * physic.NanoVolt},
		{2, FSR0256, 15625 * physic.NanoVolt},
		{0x4000, FSR2048, 1024 * physic.MilliVolt},
		{-0x8000, FSR0512, -512 * physic.MilliVolt},
		{0, FSR1024, 0},
	} {
		if got := Voltage(c.code, c.fsr); got != c.want {
			t.Errorf("%d in range %d: %v, want %v", c.code, c.fsr, got, c.want)
		}
	}
}

// A code is never beyond its range, and the next code is one step further.
func FuzzVoltage(f *testing.F) {
	f.Add(int16(0x3840), byte(FSR4096))
	f.Add(int16(0x7fff), byte(FSR0256))
	f.Add(int16(-0x8000), byte(FSR6144))
	f.Fuzz(func(t *testing.T, code int16, fsr byte) {
		r := FSR6144 + Range(fsr)%FSR0256
		v, full := Voltage(code, r), r.FullScale()
		if v < -full || v >= full {
			t.Errorf("%d in range %d gives %v", code, r, v)
		}
		if code < 0x7fff {
			if step := Voltage(code+1, r) - v - full/32768; step < 0 || step > 1 {
				t.Errorf("the step above %d in range %d is off by %v", code, r, step)
			}
		}
	})
}

func config(hi, lo byte) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{0x01}, R: []byte{hi, lo}}
}
func begin(hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x01, hi, lo}} }
func code(hi, lo byte) i2ctest.IO  { return i2ctest.IO{Addr: addr, W: []byte{0x00}, R: []byte{hi, lo}} }

func TestSense(t *testing.T) {
	const ms, first = time.Millisecond, 8618750 * time.Nanosecond
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		want  Sample
		took  time.Duration
		fault drivers.Fault
	}{
		{
			name: "ready in time", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x38, 0x40)},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{
			name: "ready at the last poll", took: first + 3*ms,
			ops: []i2ctest.IO{
				config(0x85, 0x83), begin(0xc3, 0x83), config(0x43, 0x83), config(0x43, 0x83), config(0x43, 0x83), config(0xc3, 0x83), code(0x38, 0x40),
			},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{
			name: "never ready", took: first + 3*ms,
			ops:   []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0x43, 0x83), config(0x43, 0x83), config(0x43, 0x83), config(0x43, 0x83)},
			fault: drivers.Timeout,
		},
		{
			name: "clipped", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x7f, 0xff)},
			want: Sample{4095875 * physic.MicroVolt, 0x7fff, drivers.Implausible},
		},
		{
			name: "clipped below", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x80, 0x00)},
			want: Sample{-4096 * physic.MilliVolt, -0x8000, drivers.Implausible},
		},
		{
			name: "one step below zero", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0xff, 0xff), config(0xc3, 0x83), code(0xff, 0xff)},
			want: Sample{-125 * physic.MicroVolt, -1, drivers.None},
		},
		{
			name: "nothing", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0, 0), config(0xc3, 0x83), code(0, 0)},
			want: Sample{0, 0, drivers.None},
		},
		{
			name: "held once", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0, 0), config(0xc3, 0x83), code(0x38, 0x40)},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{
			name: "undriven once", took: first,
			ops:  []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0xff, 0xff), config(0xc3, 0x83), code(0x38, 0x40)},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{
			name: "one thing and then the other", took: first,
			ops:   []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0, 0), config(0xc3, 0x83), code(0xff, 0xff)},
			fault: drivers.Implausible,
		},
		{
			name: "held before the code was read", took: first,
			ops:   []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0, 0), config(0, 0)},
			fault: drivers.Mismatch,
		},
		{
			name: "gone before the code was read", took: first,
			ops:   []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0xff, 0xff), config(0xff, 0xff)},
			fault: drivers.Implausible,
		},
		{
			name: "nobody there", took: first,
			ops: []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xff, 0xff)}, fault: drivers.Implausible,
		},
		{
			name: "lost its supply", took: first,
			ops: []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0x85, 0x83)}, fault: drivers.Restarted,
		},
		{
			name: "somebody else's channel", took: first,
			ops: []i2ctest.IO{config(0x85, 0x83), begin(0xc3, 0x83), config(0xd3, 0x83)}, fault: drivers.Mismatch,
		},
		{
			name: "another conversion still runs", took: 1304069*time.Nanosecond + ms + first,
			ops: []i2ctest.IO{
				config(0x53, 0xe3), config(0x53, 0xe3), config(0xd3, 0xe3), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x38, 0x40),
			},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{
			name: "another conversion never ends", took: 1304069*time.Nanosecond + 3*ms,
			ops:   []i2ctest.IO{config(0x53, 0xe3), config(0x53, 0xe3), config(0x53, 0xe3), config(0x53, 0xe3), config(0x53, 0xe3)},
			fault: drivers.Timeout,
		},
		{
			name: "converting for ever", took: 1304069*time.Nanosecond + 2*first,
			ops: []i2ctest.IO{
				config(0x52, 0xe3), begin(0xc3, 0x83), config(0xc3, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x38, 0x40),
			},
			want: Sample{1800 * physic.MilliVolt, 0x3840, drivers.None},
		},
		{name: "nobody there from the beginning", ops: []i2ctest.IO{config(0xff, 0xff)}, fault: drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
				began := time.Now()
				m, err := device(t, bus, flow).Sense(t.Context())
				if drivers.FaultOf(err) != c.fault {
					t.Fatalf("%v", err)
				}
				want := Measurement{Channels: []Sample{c.want}}
				if err != nil {
					want = Measurement{}
				}
				if !reflect.DeepEqual(m, want) || time.Since(began) != c.took {
					t.Errorf("%+v after %v", m, time.Since(began))
				}
				if err := bus.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A clipped channel leaves the others usable, and each is measured with its own settings.
func TestSenseAllChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
			config(0x85, 0x83), begin(0xc3, 0x83), config(0xc3, 0x83), code(0x7f, 0xff),
			config(0x85, 0x83), begin(0xf1, 0xe3), config(0xf1, 0xe3), code(0x20, 0x00),
		}}
		m, err := device(t, bus, flow, Channel{AIN3, FSR6144, SPS860}).Sense(t.Context())
		want := Measurement{Channels: []Sample{
			{4095875 * physic.MicroVolt, 0x7fff, drivers.Implausible},
			{1536 * physic.MilliVolt, 0x2000, drivers.None},
		}}
		if err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%+v, %v", m, err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSenseChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{config(0x85, 0x83), begin(0xf1, 0xe3), config(0xf1, 0xe3), code(0x20, 0x00)}}
		d := device(t, bus, flow, Channel{AIN3, FSR6144, SPS860})
		if s, err := d.SenseChannel(t.Context(), 1); err != nil || s.Voltage != 1536*physic.MilliVolt {
			t.Errorf("%+v, %v", s, err)
		}
		for _, n := range []int{-1, 2} {
			if _, err := d.SenseChannel(t.Context(), n); !errors.Is(err, drivers.Unsupported) {
				t.Errorf("channel %d: %v", n, err)
			}
		}
	})
}

func TestIdentify(t *testing.T) {
	threshold := func(at, hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{hi, lo}} }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"after power-on", []i2ctest.IO{config(0x85, 0x83), threshold(2, 0x80, 0), threshold(3, 0x7f, 0xff)}, drivers.None},
		{"in use", []i2ctest.IO{config(0x43, 0x83), threshold(2, 0x80, 0), threshold(3, 0x7f, 0xff)}, drivers.None},
		{"LM75 in its place", []i2ctest.IO{config(0x00, 0x00)}, drivers.WrongDevice},
		{"somebody's comparator", []i2ctest.IO{config(0x85, 0x83), threshold(2, 0x10, 0)}, drivers.WrongDevice},
		{"somebody's other threshold", []i2ctest.IO{config(0x85, 0x83), threshold(2, 0x80, 0), threshold(3, 0x50, 0)}, drivers.WrongDevice},
		{"nobody there", []i2ctest.IO{config(0xff, 0xff)}, drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			id, err := device(t, bus, flow).Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "ADS1115") {
				t.Errorf("%+v, %v", id, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultsOfTheBusKeepTheirCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for good := range 4 {
			b := &failing{good: good, err: &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}}
			m, err := device(t, b, flow).Sense(t.Context())
			if !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, syscall.ENXIO) || m.Channels != nil {
				t.Errorf("after %d good transfers: %+v, %v", good, m, err)
			}
		}
	})
}

func TestEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		b := &failing{good: 10}
		began := time.Now()
		_, err := device(t, b, flow).Sense(ctx)
		if !errors.Is(err, drivers.Cancelled) || time.Since(began) != time.Millisecond || b.transfers != 2 {
			t.Errorf("%v after %v and %d transfers", err, time.Since(began), b.transfers)
		}
		if _, err := device(t, b, flow).Sense(ctx); !errors.Is(err, drivers.Cancelled) || b.transfers != 2 {
			t.Errorf("%v after %d transfers", err, b.transfers)
		}
	})
}

func device(t *testing.T, bus i2c.Bus, channels ...Channel) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, Channels: channels})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// failing is a part whose bus fails after a number of transfers.
type failing struct {
	good, transfers int
	err             error
}

func (f *failing) String() string                  { return "failing" }
func (f *failing) SetSpeed(physic.Frequency) error { return nil }

func (f *failing) Tx(_ uint16, w, r []byte) error {
	if f.transfers++; f.transfers > f.good {
		return f.err
	}
	if len(r) == 2 {
		r[0], r[1] = 0xc3, 0x83
	}
	return nil
}
