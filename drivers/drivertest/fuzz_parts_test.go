package drivertest

import (
	"errors"
	"math"
	"testing"
	"time"

	"rackagent/drivers"
)

// parts are the chips of power, pins and fans, on inputs that are not kind.
func parts(now func() time.Time) []Chip {
	wild := func(at time.Time) float64 {
		return [...]float64{1e30, math.NaN(), -5, math.Inf(-1), 12, 0}[at.UnixMilli()%6]
	}
	fan := func(n int, duty float64, at time.Time) float64 { return wild(at) * duty * float64(n) }
	line := load(230, 10, -2300, 10)
	line.Hertz = 0
	o := INA228Opts{Amps: wild, Volts: wild, Celsius: wild, ShuntOhm: 1e-3, Now: now}
	channel := INA3221Channel{Amps: wild, Volts: wild, ShuntOhm: 1e-2}
	return []Chip{
		NewINA226(INA226Opts{Amps: wild, Volts: wild, ShuntOhm: 1e-3, Now: now}),
		NewINA228(o), NewINA238(o), NewINA237(o),
		NewINA3221([3]INA3221Channel{channel, channel, channel}, now),
		NewMCP39F521(MCP39F521Opts{Line: line, EnergyErratum: true, Now: now}),
		NewADE7880(ADE7880Opts{Line: threePhase(), Now: now}),
		NewPCA9554(nil), NewMAX7310(nil), NewPCA9552(nil), NewMCP23017(nil),
		NewEMC2305(EMC2305Opts{Fan: fan, Now: now}), NewEMC2305(EMC2305Opts{Fans: 1, Now: now}),
		NewMAX31790(MAX31790Opts{Fan: fan, Now: now}),
		NewPCA9545(), NewPCA9546(), NewPCA9548(),
	}
}

// Whatever a master sends, a chip answers or refuses; it never panics.
func FuzzParts(f *testing.F) {
	for _, s := range []string{
		"\x00\x03\x02\x01\x05\x0a\x00\x00\x01\x02\xff\x04", "\x01\x03\x05\x09\x01\xfb\x6a\x01\x01\x05\xff\x09",
		"\x04\x03\x02\x09\x0f\x70\x00", "\x05\x0a\x06\x01\xa5\x0a\x41\x00\xdc\x4d\x02\x01\x00\x1c",
		"\x06\x04\x04\xff\xe2\x28\x00\x01\x06\x02\x04\xff\x43\xc1", "\x09\x05\x06\x00\x16\x00\x01\x02\x03",
		"\x0a\x02\x02\x00\x0a\xa0\x0a\x02\x02\x00\x05\x00", "\x0b\x02\x10\xff\x20\x60", "\x0d\x02\x10\xff\x02\x88",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		chips := parts(func() time.Time { return now })
		// Each step: which chip, how many bytes to write, how many to read, how long after the last, the bytes.
		for len(script) >= 4 {
			c, w, r := chips[int(script[0])%len(chips)], int(script[1]%32), make([]byte, script[2]%40)
			now = now.Add(time.Duration(script[3]) * time.Duration(script[3]) * 13 * time.Millisecond)
			script = script[4:]
			w = min(w, len(script))
			if err := c.Tx(script[:w], r); err != nil && !errors.Is(err, NackAddress) && !errors.Is(err, NackData) {
				t.Fatalf("%T answered %v", c, err)
			}
			script = script[w:]
		}
		for _, c := range chips {
			c.Reset()
		}
	})
}

// Whatever is done to switches behind switches, a transfer is answered or fails with a reason, and healed and reset
// they let everything through.
func FuzzMux(f *testing.F) {
	for _, s := range []string{"\x00\x01\x01\x08\x02\x00", "\x00\x04\x05\x2a\x00\x04\x02\x00\x07\x00", "\x06\x03\x00\x08\x07\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newTrunk(t)
		outer, inner := NewPCA9548(), NewPCA9546()
		b.Attach("outer", 0x70, outer)
		outer.Channel(2).Attach("inner", 0x71, inner)
		hang(inner.Channel(1), "far", 0x5A)
		for len(script) >= 2 {
			op, v := script[0], script[1]
			script = script[2:]
			n := int(v & 3)
			switch op % 9 {
			case 0, 1: // select; absent and stuck are both answers
				_ = b.Tx(t.Context(), 0x70+uint16(op%9), []byte{v}, nil)
			case 2:
				if got := b.latch(); got != "5a" && got != drivers.NoAnswer.String() && got != drivers.BusFault.String() {
					t.Fatalf("read %s", got)
				}
			case 3:
				outer.Stick(n, v&4 != 0)
			case 4:
				inner.Hang(n, v&4 != 0)
			case 5:
				outer.Hang(n, v&4 != 0)
			case 6:
				inner.StickBit(n, v&4 != 0)
			case 7:
				outer.Reset()
			case 8:
				inner.Reset()
			}
		}
		outer.Heal()
		inner.Heal()
		b.sel(0x70, 0x04)
		b.sel(0x71, 0x02)
		b.want("healed", "5a")
	})
}
