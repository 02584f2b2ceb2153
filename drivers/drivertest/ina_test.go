package drivertest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// rail is a steady INA226 input: 20 A through 1 mΩ at 12 V unless told otherwise.
func rail(amps, volts float64) INA226Opts {
	return INA226Opts{Amps: Constant(amps), Volts: Constant(volts), ShuntOhm: 1e-3}
}

// The vector: Rs 1 mΩ, current step 2 mA, CALIBRATION 0A00.
func TestINA226Vector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA226(rail(20, 12))
		get(t, c, "00", "4127")
		get(t, c, "fe", "5449")
		get(t, c, "ff", "2260")
		get(t, c, "01", "1f40")
		get(t, c, "02", "2580")
		get(t, c, "04", "0000") // not calibrated
		get(t, c, "03", "0000")
		put(t, c, "050a00")
		get(t, c, "05", "0a00")
		time.Sleep(2200 * time.Microsecond)
		get(t, c, "04", "2710")
		get(t, c, "03", "12c0")
		get(t, c, "04", "27102710") // reading on repeats the register
		get(t, c, "", "2710")
	})
}

func TestINA226CalibrationIsVolatile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA226(rail(20, 12))
		put(t, c, "004527")
		put(t, c, "050a00")
		time.Sleep(time.Second)
		get(t, c, "04", "2710")
		for _, restart := range []func(){c.Reset, func() { put(t, c, "008000") }} {
			restart()
			get(t, c, "00", "4127")
			get(t, c, "02", "0000") // nothing converted yet
			time.Sleep(time.Second)
			get(t, c, "01", "1f40")
			get(t, c, "02", "2580") // voltages look well
			get(t, c, "04", "0000")
			get(t, c, "03", "0000")
			if c.Calibration() != 0 {
				t.Errorf("CALIBRATION %04x", c.Calibration())
			}
			put(t, c, "050a00")
			time.Sleep(time.Second)
			get(t, c, "04", "2710")
		}
	})
}

// 4527: 16 averages of 1.1 + 1.1 ms, 35.2 ms. The ready bit comes with the conversion and goes with the reading.
func TestINA226Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		o := rail(0, 12)
		o.Amps = func(at time.Time) float64 {
			if at.Sub(begin) < 35200*time.Microsecond {
				return 10
			}
			return 20
		}
		c := NewINA226(o)
		put(t, c, "004527")
		get(t, c, "06", "0000")
		time.Sleep(35100 * time.Microsecond)
		get(t, c, "06", "0000")
		get(t, c, "01", "0fa0")
		time.Sleep(100 * time.Microsecond)
		get(t, c, "06", "0008")
		get(t, c, "06", "0000")
		get(t, c, "01", "0fa0") // all 16 samples lie before the step
		time.Sleep(35200 * time.Microsecond)
		get(t, c, "01", "1f40")
	})
}

// A conversion that a step falls into shows the mean.
func TestINA226Averages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		o := rail(0, 12)
		o.Amps = func(at time.Time) float64 {
			if at.Sub(begin) < 17600*time.Microsecond {
				return 0
			}
			return 20
		}
		c := NewINA226(o)
		put(t, c, "004527")
		time.Sleep(36 * time.Millisecond)
		get(t, c, "01", "0fa0")
	})
}

func TestINA226Modes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ramp := func(at time.Time) float64 { return float64(at.Sub(begin) / time.Second) }
		c := NewINA226(INA226Opts{Amps: ramp, Volts: ramp, ShuntOhm: 1e-3})
		put(t, c, "004123") // both, once
		time.Sleep(10 * time.Second)
		get(t, c, "06", "0008")
		get(t, c, "02", "0000")
		time.Sleep(10 * time.Second)
		get(t, c, "06", "0000") // and no more
		put(t, c, "004123")
		time.Sleep(time.Second)
		get(t, c, "02", "3e80") // 20 V
		put(t, c, "004126")     // bus alone
		time.Sleep(time.Second)
		get(t, c, "02", "41a0") // 21 V: the last conversion ended just before the 22nd second
	})
}

// 81.92 mV clips at 7FFF; the bus has no negative codes.
func TestINA226Clips(t *testing.T) {
	for _, c := range []struct {
		amps, volts float64
		shunt, bus  string
	}{
		{81.9175, 36, "7fff", "7080"},
		{81.92, 40.96, "7fff", "7fff"},
		{500, 500, "7fff", "7fff"},
		{-81.92, -1, "8000", "0000"},
		{-500, 0, "8000", "0000"},
		{-20, 12, "e0c0", "2580"},
	} {
		chip := NewINA226(rail(c.amps, c.volts))
		get(t, chip, "01", c.shunt)
		get(t, chip, "02", c.bus)
	}
}

// A current that does not fit sets bit 2, and what the register holds is not the current.
func TestINA226MathOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA226(rail(60, 12)) // 24000 steps of 2.5 µV
		put(t, c, "050a00")          // 2 mA: 30000 fit
		time.Sleep(time.Second)
		get(t, c, "06", "0008")
		get(t, c, "04", "7530")
		put(t, c, "051400") // 1 mA: 60000 do not
		time.Sleep(time.Second)
		get(t, c, "06", "000c")
		get(t, c, "04", "ea60")
		put(t, c, "057fff")
		put(t, c, "05ffff") // 15 bits
		get(t, c, "05", "7fff")
	})
}

func TestINA226Alert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA226(rail(20, 12))
		for _, a := range []struct{ limit, mask, want string }{
			{"072580", "062000", "2008"}, // bus over 12 V: not
			{"07257f", "062000", "2018"},
			{"072581", "061000", "1018"}, // bus under
			{"071f3f", "068000", "8018"}, // shunt over
			{"071f41", "064000", "4018"}, // shunt under
			{"070000", "060800", "0808"}, // power over 0, and power is 0
		} {
			put(t, c, a.limit)
			put(t, c, a.mask)
			time.Sleep(time.Second)
			get(t, c, "06", a.want)
		}
		put(t, c, "07257f")
		put(t, c, "062001") // latched
		time.Sleep(time.Second)
		put(t, c, "07ffff")
		time.Sleep(time.Second)
		get(t, c, "06", "2019")
		get(t, c, "06", "2001")
	})
}

// The vectors: 0FA0 is 20 mV, 2 A at 10 mΩ; 2EE0 is 12 V; F060 is -20 mV.
func TestINA3221Vectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA3221([3]INA3221Channel{
			{Constant(2), Constant(12), 0.01},
			{Constant(-2), Constant(40), 0.01},
			{Constant(50), nil, 0.01},
		}, nil)
		for _, r := range []struct{ reg, want string }{
			{"00", "7127"},
			{"01", "0fa0"},
			{"02", "2ee0"},
			{"03", "f060"},
			{"04", "7ff8"}, // 32.76 V is the last code
			{"05", "7ff8"}, // 163.8 mV
			{"06", "0000"},
			{"07", "7ff8"},
			{"0c", "7ff8"},
			{"0d", "0000"}, // nothing summed
			{"0e", "7ffe"},
			{"10", "2710"},
			{"11", "2328"},
			{"fe", "5449"},
			{"ff", "3220"},
			{"12", "0000"},
		} {
			get(t, c, r.reg, r.want)
		}
	})
}

// One round of three channels takes 3 * (1.1 + 1.1) ms, of one a third.
func TestINA3221Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		volts := func(at time.Time) float64 { return at.Sub(begin).Seconds() }
		c := NewINA3221([3]INA3221Channel{{nil, volts, 1}, {nil, volts, 1}, {nil, volts, 1}}, nil)
		get(t, c, "0f", "0003")
		get(t, c, "0f", "0002") // reading takes it away
		time.Sleep(6500 * time.Microsecond)
		get(t, c, "0f", "0002")
		time.Sleep(100 * time.Microsecond)
		get(t, c, "0f", "0003")
		time.Sleep(8 * time.Second)
		get(t, c, "06", "1f40")
		put(t, c, "004127") // channel 1 alone
		time.Sleep(2200 * time.Microsecond)
		get(t, c, "0f", "0003")
		time.Sleep(8 * time.Second)
		get(t, c, "02", "3e88")
		get(t, c, "06", "1f40") // keeps its last result
		put(t, c, "000000")     // off
		time.Sleep(time.Second)
		get(t, c, "02", "3e88")
		c.Reset()
		get(t, c, "00", "7127")
		get(t, c, "02", "0000")
	})
}

func TestINA3221SumAndAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA3221([3]INA3221Channel{
			{Constant(2), Constant(12), 0.01},
			{Constant(4), Constant(12), 0.01},
			{Constant(-1), Constant(12), 0.01},
		}, nil)
		put(t, c, "0f7000") // all three in the sum
		time.Sleep(time.Second)
		get(t, c, "0d", "09c4") // 50 mV: 1250 steps of 40 µV
		get(t, c, "0f", "7007") // ready, timing, power valid
		put(t, c, "0e09c2")
		put(t, c, "070f98") // critical 1, one step below 20 mV
		put(t, c, "0a1f40") // warning 2, exactly 40 mV
		put(t, c, "0cffff") // warning 3, the low bits do not exist
		get(t, c, "0c", "fff8")
		time.Sleep(time.Second)
		get(t, c, "0f", "7247")
		get(t, c, "0f", "7006")
		put(t, c, "0f2000") // channel 2 alone
		time.Sleep(time.Second)
		get(t, c, "0d", "07d0")
	})
}

func TestINA3221PowerValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		volts := 12.0
		q := func(time.Time) float64 { return volts }
		c := NewINA3221([3]INA3221Channel{{nil, q, 1}, {nil, Constant(12), 1}, {nil, Constant(12), 1}}, nil)
		for _, s := range []struct {
			volts float64
			want  string
		}{{12, "0007"}, {9.5, "0007"}, {8.9, "0003"}, {9.5, "0003"}, {10, "0007"}} {
			volts = s.volts
			time.Sleep(time.Second)
			get(t, c, "0f", s.want)
		}
	})
}

// supply is an INA228 or INA238 input at 25 °C.
func supply(amps, volts, ohm float64) INA228Opts {
	return INA228Opts{Amps: Constant(amps), Volts: Constant(volts), Celsius: Constant(25), ShuntOhm: ohm}
}

// The vector: Imax 200 A, Rs 0.2 mΩ, SHUNT_CAL = 1000 decimal; 48 V is 3C0000. 100 A are then half of the scale.
func TestINA228Vector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		for _, r := range []struct{ reg, want string }{
			{"00", "0000"},
			{"01", "fb68"},
			{"02", "1000"},
			{"3e", "5449"},
			{"3f", "2281"},
			{"05", "3c0000"},
			{"04", "0fa000"}, // 20 mV are 64000 steps
			{"06", "0c80"},   // 25 °C
			{"0c", "7fff"},
			{"0d", "8000"},
			{"11", "ffff"},
		} {
			get(t, c, r.reg, r.want)
		}
		put(t, c, "0203e8")
		time.Sleep(4 * time.Millisecond)
		get(t, c, "07", "400000")   // 262144 of 2^19
		get(t, c, "08", "3c0000")   // 4800 W: steps of 3.2 * 200 / 2^19
		get(t, c, "07", "400000ff") // FF beyond the width
		if c.ShuntCal() != 1000 {
			t.Errorf("SHUNT_CAL %d", c.ShuntCal())
		}
	})
}

// The vector: INA238, step 5 mA, Rs 0.5 mΩ: SHUNT_CAL 0800; 48 V is 3C00.
func TestINA238Vector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA238(supply(20, 48, 0.5e-3))
		put(t, c, "020800")
		time.Sleep(4 * time.Millisecond)
		for _, r := range []struct{ reg, want string }{
			{"01", "fb68"},
			{"04", "07d0"}, // 10 mV in 5 µV
			{"05", "3c00"},
			{"06", "0c80"}, // 200 steps of 0.125 °C, four unused bits
			{"07", "0fa0"}, // 4000 * 5 mA
			{"08", "0ea600"},
			{"3e", "5449"},
			{"3f", "2381"},
			{"03", "0000"},
			{"09", "0000"},
			{"0a", "0000"},
		} {
			get(t, c, r.reg, r.want)
		}
		put(t, c, "03ffff") // no such register
		get(t, c, "03", "0000")
	})
}

func TestINA237HasNoIdentification(t *testing.T) {
	c := NewINA237(supply(20, 48, 0.5e-3))
	get(t, c, "3e", "0000")
	get(t, c, "3f", "0000")
	get(t, c, "05", "3c00")
}

// ADCRANGE = 1: the same shunt gives four times the code; SHUNT_CAL is then four times as large.
func TestINA228SmallRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		put(t, c, "000010")
		put(t, c, "020fa0")
		time.Sleep(4 * time.Millisecond)
		get(t, c, "04", "3e8000") // 20 mV in 78.125 nV
		get(t, c, "07", "400000")
		get(t, c, "00", "0010")
		d := NewINA238(supply(-100, 48, 1e-3))
		put(t, d, "000010")
		time.Sleep(4 * time.Millisecond)
		get(t, d, "04", "8000") // -100 mV clips at -40.96 mV
	})
}

// FB68 takes 3 * 1052 µs; FB6A, 16 samples, 50.5 ms.
func TestINA228Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		get(t, c, "0b", "0003")
		get(t, c, "0b", "0001")
		time.Sleep(3155 * time.Microsecond)
		get(t, c, "0b", "0001")
		time.Sleep(time.Microsecond)
		get(t, c, "0b", "0003")
		put(t, c, "01fb6a")
		time.Sleep(50495 * time.Microsecond)
		get(t, c, "0b", "0001")
		time.Sleep(time.Microsecond)
		get(t, c, "0b", "0003")
		put(t, c, "013b68") // shunt and bus, once
		time.Sleep(2104 * time.Microsecond)
		get(t, c, "0b", "0003")
		time.Sleep(time.Second)
		get(t, c, "0b", "0001")
		c.Reset()
		get(t, c, "01", "fb68")
		get(t, c, "05", "000000")
	})
}

// sum40Of reads a register of five bytes.
func sum40Of(t *testing.T, c Chip, reg byte) uint64 {
	t.Helper()
	r := make([]byte, 5)
	if err := c.Tx([]byte{reg}, r); err != nil {
		t.Fatal(err)
	}
	var v uint64
	for _, b := range r {
		v = v<<8 | uint64(b)
	}
	return v
}

// within compares counts that may differ by what one conversion is worth.
func within(t *testing.T, what string, got, want, slack uint64) {
	t.Helper()
	if got > want+slack || got+slack < want {
		t.Errorf("%s %d, want %d within %d", what, got, want, slack)
	}
}

// At 4800 W an energy count of 51.2 * 200 / 2^19 = 0.01953 J comes 245760 times a second; 100 A are 262144 counts of
// charge a second.
func TestINA228Sums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		put(t, c, "0203e8")
		put(t, c, "004000") // RSTACC
		get(t, c, "00", "0000")
		time.Sleep(time.Hour)
		within(t, "energy", sum40Of(t, c, 9), 245760*3600, 1600)
		within(t, "charge", sum40Of(t, c, 0x0A), 262144*3600, 1700)
		for range 1000 { // in small steps it is the same
			time.Sleep(7 * time.Millisecond)
			get(t, c, "3e", "5449")
		}
		within(t, "energy", sum40Of(t, c, 9), 245760*3607, 1600)
		get(t, c, "0b", "0003")
		c.Reset()
		if e, q := sum40Of(t, c, 9), sum40Of(t, c, 0x0A); e != 0 || q != 0 {
			t.Errorf("after a brown-out energy %d, charge %d", e, q)
		}
	})
}

// The sum wraps at 2^40 and says so until it is read.
func TestINA228EnergyWraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		put(t, c, "0203e8")
		time.Sleep(4 * time.Millisecond)
		c.SetEnergy(1<<40 - 245760)
		time.Sleep(2 * time.Second)
		get(t, c, "0b", "0803")
		get(t, c, "0b", "0801")
		within(t, "energy", sum40Of(t, c, 9), 245760, 1600)
		get(t, c, "0b", "0001")
		c.SetCharge(1<<39 - 10)
		time.Sleep(time.Second)
		get(t, c, "0b", "0403")
		if q := sum40Of(t, c, 0x0A); q>>39 != 1 {
			t.Errorf("charge %010x has not wrapped to negative", q)
		}
		get(t, c, "0b", "0001")
		put(t, c, "004000")
		if e := sum40Of(t, c, 9); e != 0 {
			t.Errorf("RSTACC left %d", e)
		}
	})
}

// Charge has a sign and energy has none.
func TestINA228Reversed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(-100, 48, 0.2e-3))
		put(t, c, "0203e8")
		put(t, c, "004000")
		time.Sleep(10 * time.Second)
		get(t, c, "07", "c00000")
		get(t, c, "08", "3c0000")
		within(t, "energy", sum40Of(t, c, 9), 2457600, 1600)
		within(t, "charge", 1<<40-sum40Of(t, c, 0x0A), 2621440, 1700)
		get(t, c, "0b", "0003")
	})
}

// Triggered conversions add nothing; the small counts of a small load are not lost at the top of the register.
func TestINA228SumsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(0.02, 48, 0.2e-3)) // 0.96 W
		put(t, c, "0203e8")
		c.SetEnergy(1 << 39)
		for range 10000 {
			time.Sleep(10 * time.Millisecond)
			get(t, c, "3e", "5449")
		}
		got := sum40Of(t, c, 9) - 1<<39
		within(t, "energy", got, 4915, 150) // 0.96 W * 100 s / 0.01953 J, current in steps of 0.4 mA
		put(t, c, "017b68")
		time.Sleep(time.Hour)
		if e := sum40Of(t, c, 9) - 1<<39; e != got {
			t.Errorf("%d counts without continuous conversion", e-got)
		}
	})
}

func TestINA228MathOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(500, 48, 0.2e-3))
		get(t, c, "0b", "0003")
		put(t, c, "0203e8") // 500 A at a step for 200 A
		time.Sleep(time.Second)
		get(t, c, "0b", "0203")
		put(t, c, "020fff")
		put(t, c, "01fb68") // a new conversion clears it
		time.Sleep(time.Second)
		get(t, c, "0b", "0003")
		put(t, c, "020000") // a calibration of nothing
		time.Sleep(time.Second)
		get(t, c, "0b", "0203")
		get(t, c, "07", "000000")
	})
}

func TestINA228Limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewINA228(supply(100, 48, 0.2e-3))
		for _, l := range []struct{ limit, want string }{
			{"0c0f9f", "0043"}, // shunt over 19.995 mV in 5 µV
			{"0d0fa1", "0063"},
			{"0e3bff", "0073"}, // bus in 3.125 mV
			{"0f3c01", "007b"},
			{"100c7f", "00fb"},
			{"110000", "00ff"}, // power
		} {
			put(t, c, l.limit)
			time.Sleep(time.Second)
			get(t, c, "0b", l.want)
		}
		c.Reset()
		put(t, c, "0bffff") // the flags take no writes
		put(t, c, "0e3bff")
		time.Sleep(time.Second)
		put(t, c, "0e7fff")
		time.Sleep(time.Second)
		get(t, c, "0b", "f013") // latched
		get(t, c, "0b", "f001")
	})
}

// The mean of nothing is nothing, and what is no number is a code all the same.
func TestINACodes(t *testing.T) {
	nan := Constant(0)(time.Time{})
	nan /= nan
	for _, c := range []struct {
		v    float64
		want int64
	}{{nan, -8}, {1e30, 7}, {-1e30, -8}, {0.49, 0}, {0.51, 1}, {-0.51, -1}} {
		if got := nearest(c.v, 1, -8, 7); got != c.want {
			t.Errorf("%v is %d, want %d", c.v, got, c.want)
		}
	}
	if s := fmt.Sprint(mean(nil, time.Time{}, time.Time{}, 4)); s != "0" {
		t.Error(s)
	}
}
