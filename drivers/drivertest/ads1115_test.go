package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// convertOnce starts a single conversion and waits for longer than it takes at 128 a second.
func convertOnce(t *testing.T, c *ADS1115, config string) {
	t.Helper()
	put(t, c, "01"+config)
	time.Sleep(10 * time.Millisecond)
}

// AIN0 against ground, 4.096 V: 125 µV a step.
func TestADS1115Values(t *testing.T) {
	for _, v := range []struct {
		volts  float64
		config string
		want   string
	}{
		{1.8, "c383", "3840"},       // 12 mA in 150 Ω
		{0.6, "c383", "12c0"},       // 4 mA: 4800
		{3.0, "c383", "5dc0"},       // 20 mA: 24000
		{0, "c383", "0000"},         //
		{-0.000125, "c383", "ffff"}, // the all-ones word is a voltage here
		{1.8, "c183", "2580"},       // 6.144 V
		{1.8, "c583", "7080"},       // 2.048 V
		{1.8, "c783", "7fff"},       // 1.024 V: clipped
		{0.5, "c983", "7d00"},       // 0.512 V
		{0.2, "cb83", "6400"},       // 0.256 V
		{0.2, "cd83", "6400"},
		{0.2, "cf83", "6400"},
		{24, "c383", "7080"},   // clamped at 3.6 V by the input
		{24, "c583", "7fff"},   //
		{-24, "c383", "f6a0"},  // -0.3 V
		{-0.3, "cb83", "8000"}, // clipped
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewADS1115(ADS1115Opts{})
			c.SetInput(0, Constant(v.volts))
			convertOnce(t, c, v.config)
			get(t, c, "00", v.want)
		})
	}
}

func TestADS1115Inputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADS1115(ADS1115Opts{Supply: 5})
		for n, v := range []float64{0.1, 0.2, 0.4, 0.8} {
			c.SetInput(n, Constant(v))
		}
		for config, want := range map[string]string{ // 1 mV is 8 steps
			"8383": "fce0", "9383": "ea20", "a383": "ed40", "b383": "f380",
			"c383": "0320", "d383": "0640", "e383": "0c80", "f383": "1900",
		} {
			convertOnce(t, c, config)
			get(t, c, "00", want)
		}
	})
}

func TestADS1115Registers(t *testing.T) {
	c := NewADS1115(ADS1115Opts{Now: func() time.Time { return time.Time{} }})
	get(t, c, "", "0000")
	get(t, c, "01", "8583")
	get(t, c, "02", "8000")
	get(t, c, "03", "7fff")
	put(t, c, "021234")
	put(t, c, "00ffff")
	put(t, c, "0143") // half a word changes nothing
	put(t, c, "0143e3")
	get(t, c, "", "c3e3") // idle
	get(t, c, "02", "1234")
	get(t, c, "00", "0000")
	put(t, c, "01c383")
	get(t, c, "01", "4383") // converting, for ever at this moment
	c.Reset()
	get(t, c, "01", "8583")
	get(t, c, "02", "8000")
}

// A conversion takes one period of the data rate and 25 µs to wake up; the clock may be 10 % off.
func TestADS1115Clock(t *testing.T) {
	for _, v := range []struct {
		config string
		off    float64
		takes  time.Duration
	}{
		{"c303", 0, 125025 * time.Microsecond},
		{"c383", 0, 7837500 * time.Nanosecond},
		{"c3e3", 0, 1187790 * time.Nanosecond},
		{"c383", -0.1, 8705555 * time.Nanosecond},
		{"c383", 0.1, 7127272 * time.Nanosecond},
		{"c383", -0.5, 8705555 * time.Nanosecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewADS1115(ADS1115Opts{})
			c.SetClockError(v.off)
			c.SetInput(0, Constant(1.8))
			put(t, c, "01"+v.config)
			time.Sleep(v.takes - time.Microsecond)
			get(t, c, "01", "43"+v.config[2:])
			get(t, c, "00", "0000")
			time.Sleep(2 * time.Microsecond)
			get(t, c, "01", v.config)
			get(t, c, "00", "3840")
		})
	}
}

// Read too early, it is the conversion before, of whatever input that was; and a start that comes too early is lost.
func TestADS1115TooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADS1115(ADS1115Opts{ClockError: -0.1})
		c.SetInput(0, Constant(1.8))
		c.SetInput(1, Constant(0.6))
		put(t, c, "01c383")
		time.Sleep(7813 * time.Microsecond) // one nominal period
		get(t, c, "00", "0000")
		put(t, c, "01d383")
		time.Sleep(time.Millisecond)
		get(t, c, "01", "d383") // idle, set up for the second input,
		get(t, c, "00", "3840") // with a conversion of the first
		time.Sleep(time.Second)
		get(t, c, "00", "3840")
		convertOnce(t, c, "d383")
		get(t, c, "00", "12c0")
	})
}

// In continuous mode the conversion in progress is finished as it was begun; the bit for idle is never set.
func TestADS1115Continuous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := NewADS1115(ADS1115Opts{})
		c.SetInput(0, func(at time.Time) float64 { return at.Sub(begin).Seconds() / 8 }) // 1000 steps in a second
		c.SetInput(1, Constant(3))
		put(t, c, "014203")
		time.Sleep(1000 * time.Millisecond)
		get(t, c, "00", "036b") // of 0.875025 s
		get(t, c, "01", "4203")
		put(t, c, "015203")
		time.Sleep(100 * time.Millisecond)
		get(t, c, "00", "03e8") // still of the first input: 1.000025 s
		time.Sleep(100 * time.Millisecond)
		get(t, c, "00", "5dc0")
		time.Sleep(24 * time.Hour)
		get(t, c, "00", "5dc0")
		put(t, c, "01d303") // single: the one in progress is the last, and this start is lost
		get(t, c, "01", "5303")
		time.Sleep(130 * time.Millisecond)
		get(t, c, "01", "d303")
		c.SetInput(1, Constant(0))
		time.Sleep(time.Second)
		get(t, c, "00", "5dc0")
	})
}

// Resetting in the middle of a conversion loses it: the register stays 0.
func TestADS1115ResetWhileConverting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADS1115(ADS1115Opts{})
		c.SetInput(0, Constant(1.8))
		put(t, c, "01c383")
		c.Reset()
		time.Sleep(time.Second)
		get(t, c, "01", "8583")
		get(t, c, "00", "0000")
	})
}
