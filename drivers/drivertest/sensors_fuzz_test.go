package drivertest

import (
	"errors"
	"math"
	"testing"
	"time"
)

// sensors are one of each kind that measures air, temperatures or voltages, on a clock of their own.
func sensors(now func() time.Time) []Chip {
	adc := NewADS1115(ADS1115Opts{ClockError: 0.1, Now: now})
	adc.SetInput(0, NewLoop(LoopOpts{Now: now}).Volts)
	adc.SetInput(1, NewRope(RopeOpts{Settle: time.Millisecond, Now: now}).Volts)
	adc.SetInput(2, Constant(math.NaN()))
	hot := NewTMP423(now, 1e9, -1e9, math.NaN())
	hot.SetOpen(3, true)
	faulty := NewEMC1414(now, -1e9, 1e9, math.Inf(1))
	faulty.SetShorted(3, true)
	air := NewBME280(BME280Opts{Now: now})
	air.SetAir(1e6, math.NaN(), -1e6)
	return []Chip{
		NewLM75(LM75Opts{Garbage: true, Interrupted: true, Now: now}), NewTMP421(now), hot, NewEMC1412(now), faulty,
		NewSHT3x(1, now), NewSHT4x(1, now), NewBME280(BME280Opts{Slow: true, Now: now}), air, adc,
		NewMCP9808(Constant(math.NaN()), now),
	}
}

// Whatever a master sends, a sensor answers or refuses, at any pace; it never panics and always ends.
func FuzzSensors(f *testing.F) {
	for _, s := range []string{
		"\x00\x02\x02\x01\x01\x00\x01\x02\x00", "\x01\x02\x01\x09\x44\x01\x01\x02\x01", "\x04\x01\x01\x1b", "\x05\x02\x00\x24\x00\x05\x00\x06",
		"\x06\x01\x00\xfd\x06\x00\x06", "\x07\x06\x00\xf2\x01\xf5\x08\xf4\x27\x07\x01\x08\xf7", "\x09\x03\x00\x01\xc3\x83\x09\x01\x02\x00", "\x0a\x03\x00\x01\x01\x00\x0a\x01\x03\x05",
	} {
		f.Add([]byte(s), uint16(7))
	}
	f.Fuzz(func(t *testing.T, script []byte, pace uint16) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		tick := func() time.Time { now = now.Add(time.Duration(pace) * time.Millisecond); return now }
		chips := sensors(tick)
		// Each step: which chip, how many bytes to write, how many to read, the bytes.
		for steps := 0; len(script) >= 3 && steps < 100; steps++ {
			c, w, r := chips[int(script[0])%len(chips)], int(script[1]%8), make([]byte, script[2]%40)
			script = script[3:]
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
