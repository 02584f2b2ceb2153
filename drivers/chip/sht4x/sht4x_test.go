package sht4x

import (
	"bytes"
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x44

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, a := range []uint16{0x43, 0x47, 0} {
		if _, err := New(bus, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	for _, a := range []uint16{0x44, 0x45, 0x46} {
		if _, err := New(bus, Opts{Addr: a}); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestHumidity(t *testing.T) {
	for _, c := range []struct {
		raw  uint16
		want physic.RelativeHumidity
	}{
		{0x0000, 0}, // -6 %
		{0x0c49, 0},
		{0x0c4a, 61},
		{0x6666, 44 * physic.PercentRH},
		{0xd915, 99*physic.PercentRH + 99870},
		{0xd916, 100 * physic.PercentRH},
		{0xffff, 100 * physic.PercentRH}, // 119 %
	} {
		if got := Humidity(c.raw); got != c.want {
			t.Errorf("%04x: %d, want %d", c.raw, got, c.want)
		}
	}
}

// The humidity stays within what there is and never falls when the code rises.
func FuzzHumidity(f *testing.F) {
	for _, raw := range []uint16{0, 0x0c49, 0x6666, 0xd916, 0xffff} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw uint16) {
		got := Humidity(raw)
		if got < 0 || got > 100*physic.PercentRH || raw > 0 && Humidity(raw-1) > got {
			t.Errorf("%04x gives %v", raw, got)
		}
	})
}

func TestSense(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		want   Measurement
		fault  drivers.Fault
	}{
		{
			name: "25 degrees and 44 %", answer: []byte{0x66, 0x66, 0x93, 0x66, 0x66, 0x93},
			want: Measurement{physic.ZeroCelsius + 25*physic.Celsius, 44 * physic.PercentRH, 0x6666, 0x6666},
		},
		{
			name: "saturated air", answer: []byte{0x66, 0x66, 0x93, 0xff, 0xff, 0xac},
			want: Measurement{physic.ZeroCelsius + 25*physic.Celsius, 100 * physic.PercentRH, 0x6666, 0xffff},
		},
		{name: "colder than the part can be", answer: []byte{0x00, 0x00, 0x81, 0x66, 0x66, 0x93}, fault: drivers.Implausible},
		{name: "hotter than the part can be", answer: []byte{0xff, 0xff, 0xac, 0x66, 0x66, 0x93}, fault: drivers.Implausible},
		{name: "flipped bit", answer: []byte{0x66, 0x66, 0x93, 0x66, 0x6e, 0x93}, fault: drivers.Corrupt},
		{name: "nobody drives", answer: bytes.Repeat([]byte{0xff}, 6), fault: drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0xfd}}, {Addr: addr, R: c.answer}}}
				began := time.Now()
				m, err := device(t, bus).Sense(t.Context())
				if drivers.FaultOf(err) != c.fault || m != c.want {
					t.Errorf("%+v, %v", m, err)
				}
				if took := time.Since(began); took != 10*time.Millisecond {
					t.Errorf("the part was given %v", took)
				}
				if err := bus.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		serial string
		fault  drivers.Fault
	}{
		{"serial number", []byte{0xbe, 0xef, 0x92, 0x80, 0x00, 0xa2}, "beef8000", drivers.None},
		{"leading zeros", []byte{0x00, 0x00, 0x81, 0xbe, 0xef, 0x92}, "0000beef", drivers.None},
		{"another part's bytes", []byte{0x19, 0x00, 0x19, 0x00, 0x19, 0x00}, "", drivers.Corrupt},
		{"nobody drives", bytes.Repeat([]byte{0xff}, 6), "", drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0x89}}, {Addr: addr, R: c.answer}}}
				id, err := device(t, bus).Identify(t.Context())
				if drivers.FaultOf(err) != c.fault || id.Serial != c.serial || (err == nil) != (id.Part == "SHT4x") {
					t.Errorf("%+v, %v", id, err)
				}
				if err := bus.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The part refuses reads while it works; a part that refuses for longer, or the command itself, is not there.
func TestNotReady(t *testing.T) {
	nack := &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	for _, c := range []struct {
		name      string
		refuse    []bool // by transfer, the command first
		transfers int
		fault     drivers.Fault
	}{
		{"ready", nil, 2, drivers.None},
		{"two early reads", []bool{false, true, true}, 4, drivers.None},
		{"three", []bool{false, true, true, true}, 4, drivers.NoAnswer},
		{"no answer to the command", []bool{true}, 1, drivers.NoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &refusing{err: nack, refuse: c.refuse}
				m, err := device(t, bus).Sense(t.Context())
				if drivers.FaultOf(err) != c.fault || bus.transfers != c.transfers {
					t.Errorf("%+v, %v, %d transfers", m, err, bus.transfers)
				}
				if err != nil && (!errors.Is(err, syscall.ENXIO) || m != (Measurement{})) {
					t.Errorf("%+v, %v", m, err)
				}
			})
		})
	}
}

func TestEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond/2)
		defer cancel()
		bus := &refusing{}
		if _, err := device(t, bus).Sense(ctx); !errors.Is(err, drivers.Cancelled) || bus.transfers != 1 {
			t.Errorf("%v after %d transfers", err, bus.transfers)
		}
		if _, err := device(t, bus).Identify(ctx); !errors.Is(err, drivers.Cancelled) || bus.transfers != 1 {
			t.Errorf("%v after %d transfers", err, bus.transfers)
		}
	})
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// refusing is a bus with a part that does not acknowledge some transfers.
type refusing struct {
	err       error
	refuse    []bool
	transfers int
}

func (b *refusing) String() string                  { return "refusing" }
func (b *refusing) SetSpeed(physic.Frequency) error { return nil }

func (b *refusing) Tx(_ uint16, _, r []byte) error {
	b.transfers++
	if b.transfers <= len(b.refuse) && b.refuse[b.transfers-1] {
		return b.err
	}
	copy(r, []byte{0x66, 0x66, 0x93, 0x66, 0x66, 0x93})
	return nil
}
