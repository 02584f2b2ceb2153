package drivertest

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// inlet is a chip with 400 V and 80 A at full scale, on a steady line at 50 Hz.
func inlet(l ThreePhase) ADE7880Opts { return ADE7880Opts{Line: l, FullVolts: 400, FullAmps: 80} }

// threePhase loads the phases unequally: 4600 W inductive, 4600 W fed back and capacitive, nothing.
func threePhase() SteadyPhases {
	return SteadyPhases{
		Phase: [3]PhaseFlow{
			{VoltsRMS: 230, AmpsRMS: 20, Watts: 4600, Vars: 900, VA: math.Hypot(4600, 900), Hertz: 50},
			{VoltsRMS: 231, AmpsRMS: 16, Watts: -4600, Vars: -900, VA: math.Hypot(4600, 900), Hertz: 60.003},
			{VoltsRMS: 230, Hertz: 50},
		},
		NeutralAmps: 4,
	}
}

// running starts the DSP and lets it settle.
func running(t *testing.T, l ThreePhase, test func(t *testing.T, c *ADE7880)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7880(inlet(l))
		put(t, c, "e2280001")
		time.Sleep(2 * time.Second)
		test(t, c)
	})
}

func TestADE7880ResetValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7880(inlet(threePhase()))
		time.Sleep(time.Minute)
		for _, r := range []struct{ reg, want string }{
			{"e228", "0000"},
			{"e503", "00008000"},
			{"e502", "00000000"},
			{"e51f", "affa63b9"},
			{"e707", "01"},
			{"e60e", "01ff"},
			{"e60f", "0000"},
			{"e618", "0002"},
			{"e702", "78"},
			{"e7e3", "00"},
			{"ec01", "00"},
			{"4380", "00000000"},
			{"43c1", "00000000"}, // nothing is computed
			{"e513", "00000000"},
			{"e400", "00000000"},
			{"e905", "0000"},
			{"1234", "ffff"}, // no register
		} {
			get(t, c, r.reg, r.want)
		}
		if c.Running() {
			t.Error("running after a reset")
		}
	})
}

func TestADE7880Measures(t *testing.T) {
	running(t, threePhase(), func(t *testing.T, c *ADE7880) {
		for _, r := range []struct{ reg, want string }{
			{"43c0", "000e5e4b"}, // 20 A
			{"43c1", "00210c13"}, // 230 V
			{"43c2", "000b7ea2"}, // 16 A
			{"43c3", "002130db"}, // 231 V
			{"43c4", "00000000"},
			{"43c6", "0002dfa9"}, // neutral, 4 A
			{"e513", "0003b5aa"}, // 4600 W
			{"e514", "fffc4a56"}, // sign-extended
			{"e515", "00000000"},
			{"e516", "0000b9ce"},
			{"e517", "ffff4632"},
			{"e519", "0003c7ac"},
			{"e902", "7d9e"},
			{"e903", "8262"}, // capacitive
			{"e904", "7fff"},
			{"e905", "1400"}, // 5120: 50 Hz
			{"e906", "10aa"}, // 60.003 Hz
			{"43c1", "00210c13ff"},
		} {
			get(t, c, r.reg, r.want)
		}
	})
}

func TestADE7880Gains(t *testing.T) {
	running(t, SteadyPhases{Phase: [3]PhaseFlow{{VoltsRMS: 100, AmpsRMS: 10, Watts: 1000, VA: 1000, Hertz: 50}}, NeutralAmps: 10}, func(t *testing.T, c *ADE7880) {
		before := [4]uint32{value(t, c, "43c0", 4), value(t, c, "43c1", 4), value(t, c, "43c6", 4), value(t, c, "e513", 4)}
		put(t, c, "e60f0051") // currents 2, neutral 4, voltages 2
		for i, f := range [4]uint32{2, 2, 4, 4} {
			reg := [4]string{"43c0", "43c1", "43c6", "e513"}[i]
			if v := value(t, c, reg, 4); v+f < f*before[i] || v > f*before[i]+f {
				t.Errorf("%s: %d, want %d times %d", reg, v, f, before[i])
			}
		}
		put(t, c, "e60f0000")
		for range 3 {
			put(t, c, "438900400000") // phase A power gain 1.5
		}
		if v := value(t, c, "e513", 4); v < before[3]*3/2-1 || v > before[3]*3/2+1 {
			t.Errorf("power %d, want one and a half times %d", v, before[3])
		}
		for range 3 {
			put(t, c, "4380ffc00000") // phase A current gain 0.5
		}
		get(t, c, "4380", "0fc00000")
		if v := value(t, c, "43c0", 4); v < before[0]/2-1 || v > before[0]/2+1 {
			t.Errorf("current %d, want half of %d", v, before[0])
		}
	})
}

// RAM is written through a pipeline: the last write has to be made three times.
func TestADE7880Pipeline(t *testing.T) {
	c := NewADE7880(inlet(nil))
	put(t, c, "438000000011")
	get(t, c, "4380", "00000000")
	put(t, c, "438100000022")
	get(t, c, "4380", "00000000")
	put(t, c, "438200000033")
	get(t, c, "4380", "00000011")
	get(t, c, "4382", "00000000")
	put(t, c, "438200000033")
	put(t, c, "438200000033")
	get(t, c, "4381", "00000022")
	get(t, c, "4382", "00000033")
}

// AD to E7FE and then, at once, 80 to E7E3.
func TestADE7880Protect(t *testing.T) {
	c := NewADE7880(inlet(nil))
	put(t, c, "e7e380")
	get(t, c, "e7e3", "00") // not opened
	put(t, c, "e7fead")
	get(t, c, "e707", "01")
	put(t, c, "e7e380")
	get(t, c, "e7e3", "00") // something came between
	put(t, c, "e7fead")
	put(t, c, "e7e380")
	get(t, c, "e7e3", "80")
	for range 3 {
		put(t, c, "438000000011")
	}
	get(t, c, "4380", "00000000")
	put(t, c, "e60e41ff") // other registers are not protected
	get(t, c, "e60e", "41ff")
	put(t, c, "e7fead")
	put(t, c, "e7e300")
	for range 3 {
		put(t, c, "438000000011")
	}
	get(t, c, "4380", "00000011")
}

func TestADE7880Checksum(t *testing.T) {
	c := NewADE7880(inlet(nil))
	seen := map[uint32]string{value(t, c, "e51f", 4): "reset values"}
	for _, w := range []string{"e60e41ff", "e60f0001", "e50a00000001", "e70100", "e70238"} {
		put(t, c, w)
		sum := value(t, c, "e51f", 4)
		if was, ok := seen[sum]; ok {
			t.Errorf("after %s as after %s: %08x", w, was, sum)
		}
		seen[sum] = w
	}
	if s := value(t, c, "e503", 4); s != 1<<25|1<<15 {
		t.Errorf("STATUS1 %08x", s)
	}
	for _, w := range []string{"e60e01ff", "e60f0000", "e50a00000000", "e70180", "e70278"} {
		put(t, c, w)
	}
	get(t, c, "e51f", "affa63b9")
	put(t, c, "e2280001") // RUN and the lock are not in it
	put(t, c, "ec0102")
	get(t, c, "e51f", "affa63b9")
	c.Change(0x4389, 1)
	if value(t, c, "e51f", 4) == 0xAFFA63B9 {
		t.Error("a disturbed gain does not show")
	}
}

func TestADE7880StatusIsClearedByOnes(t *testing.T) {
	c := NewADE7880(inlet(nil))
	get(t, c, "e503", "00008000")
	get(t, c, "e503", "00008000") // not by reading
	put(t, c, "e50300000000")
	get(t, c, "e503", "00008000")
	put(t, c, "e50300008000")
	get(t, c, "e503", "00000000")
}

func TestADE7880LockAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7880(inlet(threePhase()))
		put(t, c, "ec0102")
		if c.Disturb() {
			t.Error("a locked chip left I2C")
		}
		put(t, c, "e50300008000")
		put(t, c, "e2280001")
		put(t, c, "e60e41ff")
		put(t, c, "e6180080") // software reset
		time.Sleep(10 * time.Millisecond)
		get(t, c, "e503", "00008000")
		get(t, c, "e228", "0000")
		get(t, c, "e60e", "01ff")
		get(t, c, "ec01", "02") // survives
		c.Reset()
		if err := c.Tx([]byte{0xE7, 0x07}, make([]byte, 1)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("while it starts: %v", err)
		}
		time.Sleep(40 * time.Millisecond)
		get(t, c, "ec01", "00")
		if !c.Disturb() {
			t.Error("an unlocked chip stayed")
		}
		if err := c.Tx([]byte{0xE7, 0x07}, make([]byte, 1)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("deaf: %v", err)
		}
		c.Reset()
		c.SetPowered(false)
		time.Sleep(time.Second)
		if err := c.Tx([]byte{0xE7, 0x07}, make([]byte, 1)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("without a feed: %v", err)
		}
		c.SetPowered(true)
		time.Sleep(time.Second)
		get(t, c, "e228", "0000")
	})
}

// Last address and data, by width; reading them changes nothing.
func TestADE7880LastOperation(t *testing.T) {
	c := NewADE7880(inlet(nil))
	for _, o := range []struct{ write, reg, data string }{
		{"e60e41ff", "e9ff", "41ff"},
		{"ec0102", "e7fd", "02"},
		{"e50a00120034", "e5ff", "00120034"},
	} {
		put(t, c, o.write)
		get(t, c, "e9fe", o.write[:4])
		get(t, c, o.reg, o.data)
		get(t, c, "e9fe", o.write[:4])
		get(t, c, "ea01", "ca")
	}
	get(t, c, "e707", "01")
	get(t, c, "e9fe", "e707")
	get(t, c, "ea01", "35")
}

// stepPhases is a three-phase line that changes at a moment.
type stepPhases struct {
	at            time.Time
	before, after SteadyPhases
}

func (s stepPhases) Between(from, to time.Time) PhaseInterval {
	k := 0.0
	switch {
	case !to.After(s.at):
		k = 1
	case from.Before(s.at):
		k = s.at.Sub(from).Seconds() / to.Sub(from).Seconds()
	}
	in := PhaseInterval(s.after)
	for i := range in.Phase {
		f, b := &in.Phase[i], s.before.Phase[i]
		f.AmpsRMS, f.Watts = f.AmpsRMS*(1-k)+b.AmpsRMS*k, f.Watts*(1-k)+b.Watts*k
	}
	return in
}

// Readings take 580 ms after a change, and 1.3 s after RUN.
func TestADE7880Settles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		off := threePhase()
		off.Phase[0].AmpsRMS = 0
		c := NewADE7880(inlet(stepPhases{begin.Add(10 * time.Second), off, threePhase()}))
		put(t, c, "e2280001")
		amps := func(reg string) float64 { return float64(value(t, c, reg, 4)) / 3766572 * 80 }
		for _, s := range []struct {
			at   time.Duration
			b, a float64 // phase B from the start, phase A after the step
		}{
			{0, 0, 0},
			{650 * time.Millisecond, 8, 0},
			{1300 * time.Millisecond, 16, 0},
			{10 * time.Second, 16, 0},
			{10290 * time.Millisecond, 16, 10},
			{10580 * time.Millisecond, 16, 20},
		} {
			time.Sleep(time.Until(begin.Add(s.at)))
			if a, b := amps("43c0"), amps("43c2"); math.Abs(a-s.a) > 0.01 || math.Abs(b-s.b) > 0.01 {
				t.Errorf("at %v: %.3f and %.3f A, want %v and %v", s.at, a, b, s.a, s.b)
			}
		}
		put(t, c, "e2280000") // stopped, the registers keep what they had
		time.Sleep(time.Minute)
		if b := amps("43c2"); math.Abs(b-16) > 0.01 {
			t.Errorf("stopped: %.3f A", b)
		}
	})
}

// With WTHR = 3 full scale is 68,816.6 counts a second, so 4600 W of 32 kW are 35,612,445 in an hour.
func TestADE7880Energy(t *testing.T) {
	running(t, threePhase(), func(t *testing.T, c *ADE7880) {
		put(t, c, "e70238") // clear on read off
		c.SetEnergy(0, 0)
		c.SetEnergy(1, 0)
		time.Sleep(time.Hour)
		for range 2 { // reading leaves it
			if a, b := int32(value(t, c, "e400", 4)), int32(value(t, c, "e401", 4)); a < 35_612_400 || a > 35_612_500 || b != -a-1 && b != -a {
				t.Errorf("energies %d and %d", a, b)
			}
		}
		get(t, c, "e402", "00000000")
		if v, w := value(t, c, "e403", 4), value(t, c, "e400", 4); v != w {
			t.Errorf("fundamental %d, total %d", v, w)
		}
		put(t, c, "e70278")
		value(t, c, "e400", 4)
		get(t, c, "e400", "00000000") // a lost answer is lost energy
		put(t, c, "e2280000")
		time.Sleep(time.Hour)
		get(t, c, "e400", "00000000")
	})
}

func TestADE7880EnergyWraps(t *testing.T) {
	running(t, threePhase(), func(t *testing.T, c *ADE7880) {
		put(t, c, "e70238")
		put(t, c, "e502ffffffff")
		c.SetEnergy(0, 1<<30-9000)
		time.Sleep(time.Second) // 9892 counts
		get(t, c, "e502", "00000001")
		c.SetEnergy(0, math.MaxInt32)
		time.Sleep(time.Second)
		if v := int32(value(t, c, "e400", 4)); v > math.MinInt32+9900 {
			t.Errorf("%d", v)
		}
		time.Sleep(1000 * time.Hour)
		if v := value(t, c, "e400", 4); v == 0 {
			t.Error("stands still")
		}
	})
}

// A dead phase shows in its own bit, and its period looks well.
func TestADE7880PhaseLost(t *testing.T) {
	l := threePhase()
	l.Phase[1] = PhaseFlow{}
	running(t, l, func(t *testing.T, c *ADE7880) {
		put(t, c, "e503ffffffff")
		time.Sleep(time.Second)
		get(t, c, "e503", "00000010")
		get(t, c, "43c3", "00000000")
		get(t, c, "e906", "1400")
	})
}

func TestADE7880Faults(t *testing.T) {
	o := inlet(threePhase())
	o.Reversed[0] = true
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7880(o)
		put(t, c, "e2280001")
		time.Sleep(2 * time.Second)
		get(t, c, "e513", "fffc4a56")
		get(t, c, "e519", "0003c7ac") // apparent power has no sign
		c.SetScale(0)
		get(t, c, "43c1", "00000000")
		c.SetScale(1)
		c.Freeze(true)
		value(t, c, "e401", 4)
		time.Sleep(time.Hour)
		get(t, c, "e401", "00000000")
		c.Freeze(false)
		time.Sleep(time.Second)
		if v := int32(value(t, c, "e401", 4)); v > -9800 || v < -10000 {
			t.Errorf("%d counts in a second", v)
		}
	})
}
