package drivertest

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// resetBit is bit 20 of the status registers of channel A.
const resetBit = 1 << 20

// board is the wiring of the worked examples: divider 991, 1 mΩ, to be used with gain 16.
func board(l Line) ADE7953Opts {
	return ADE7953Opts{Line: l, Divider: 991, ShuntOhm: [2]float64{0.001, 0.001}}
}

// load is a steady line at 50 Hz with one load on channel A.
func load(volts, amps, watts, vars float64) Steady {
	f := Flow{AmpsRMS: amps, AmpsPeak: amps * math.Sqrt2, Watts: watts, Vars: vars, VA: math.Hypot(watts, vars)}
	return Steady{VoltsRMS: volts, VoltsPeak: volts * math.Sqrt2, Hertz: 50, Channel: [2]Flow{f, {}}}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put writes and wants an acknowledgement.
func put(t *testing.T, c Chip, w string) {
	t.Helper()
	if err := c.Tx(unhex(t, w), nil); err != nil {
		t.Fatalf("write %s: %v", w, err)
	}
}

// get reads as many bytes as want has and compares.
func get(t *testing.T, c Chip, w, want string) {
	t.Helper()
	r := make([]byte, len(want)/2)
	if err := c.Tx(unhex(t, w), r); err != nil {
		t.Fatalf("read %s: %v", w, err)
	}
	if !bytes.Equal(r, unhex(t, want)) {
		t.Errorf("read %s: %x, want %s", w, r, want)
	}
}

// value reads a register of n bytes.
func value(t *testing.T, c Chip, w string, n int) uint32 {
	t.Helper()
	r := make([]byte, n)
	if err := c.Tx(unhex(t, w), r); err != nil {
		t.Fatalf("read %s: %v", w, err)
	}
	var v uint32
	for _, b := range r {
		v = v<<8 | uint32(b)
	}
	return v
}

// gain16 sets both current channels to gain 16.
func gain16(t *testing.T, c Chip) {
	t.Helper()
	put(t, c, "000804")
	put(t, c, "000904")
}

// inBubble runs under a clock of its own, a second after the chip began to measure.
func inBubble(t *testing.T, l Line, test func(t *testing.T, c *ADE7953)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7953(board(l))
		time.Sleep(time.Second)
		test(t, c)
	})
}

func TestADE7953ResetValues(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		for _, r := range []struct{ reg, want string }{
			{"0000", "00"},
			{"0001", "00"},
			{"0004", "40"},
			{"0007", "00"},
			{"0008", "00"},
			{"0009", "00"},
			{"0040", "00"},
			{"0100", "ffff"},
			{"0101", "0000"},
			{"0102", "8004"},
			{"0108", "0000"},
			{"0200", "000000"},
			{"0203", "00e419"},
			{"0204", "00e419"},
			{"0205", "000000"},
			{"0224", "ffffff"},
			{"0225", "ffffff"},
			{"022c", "100000"},
			{"022f", "000000"},
			{"0281", "400000"},
			{"028d", "400000"},
			{"0286", "000000"},
			{"037f", "ffffffff"},
			{"0303", "0000e419"},
			{"0324", "ffffffff"},
			{"0381", "00400000"},
		} {
			get(t, c, r.reg, r.want)
		}
		if v := value(t, c, "0702", 1); v == 0 || v == 0xFF {
			t.Errorf("silicon version %02x looks like a dead bus", v)
		}
	})
}

// The codes of the worked examples: divider 991, 1 mΩ, gain 16.
func TestADE7953Codes(t *testing.T) {
	lag := func(watts, va float64) float64 { return math.Sqrt(va*va - watts*watts) }
	for _, v := range []struct {
		name, reg, want string
		line            Steady
	}{
		{"230.00 V", "021c", "5a7843", load(230, 0, 0, 0)},
		{"277.00 V", "021c", "6cf503", load(277, 0, 0, 0)},
		{"10.000 A", "021a", "3e5e7c", load(230, 10, 2300, 0)},
		{"16.000 A", "021a", "63ca60", load(230, 16, 3680, 0)},
		{"2300.0 W", "0212", "160a8b", load(230, 10, 2300, 0)},
		{"2300.0 W reversed", "0212", "e9f575", load(230, 10, -2300, 0)},
		{"50.000 Hz", "010e", "117a", load(230, 1, 230, 0)},
		{"60.003 Hz", "010e", "0e90", Steady{VoltsRMS: 230, Hertz: 60.003}},
		{"PF 0.960 inductive", "010a", "7ae1", load(230, 10, 960, lag(960, 1000))},
		{"PF 0.5 capacitive", "010a", "c000", load(230, 10, 500, -lag(500, 1000))},
		{"sign extension", "0312", "ffe9f575", load(230, 10, -2300, 0)},
	} {
		t.Run(v.name, func(t *testing.T) {
			inBubble(t, v.line, func(t *testing.T, c *ADE7953) {
				gain16(t, c)
				get(t, c, v.reg, v.want)
			})
		})
	}
}

func TestADE7953ReversedSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := board(load(230, 10, 2300, 0))
		o.Reversed[0] = true
		c := NewADE7953(o)
		time.Sleep(time.Second)
		gain16(t, c)
		get(t, c, "0212", "e9f575")
		if v := value(t, c, "0201", 3); v&(1<<10) == 0 {
			t.Errorf("ACCMODE %06x does not show the sign of channel A", v)
		}
	})
}

// Without the gain setting every current and power is too small by 16: what a brown-out does.
func TestADE7953DefaultGain(t *testing.T) {
	inBubble(t, load(230, 16, 3680, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		right := value(t, c, "0212", 3)
		c.Reset()
		time.Sleep(time.Second)
		if got := value(t, c, "0212", 3); got < right/16-1 || got > right/16+1 {
			t.Errorf("W after reset %d, want a sixteenth of %d", got, right)
		}
	})
}

func TestADE7953Gain(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		put(t, c, "028240cccd")                            // +1.25 %
		if got := value(t, c, "0212", 3); got != 1462547 { // 1444491 * 1.0125
			t.Errorf("W %d", got)
		}
	})
}

func TestADE7953StartUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7953(board(load(230, 10, 2300, 0)))
		for i, want := range []bool{true, true, false} { // 22D leaves the bits, 22E clears them
			reg := [...]string{"022d", "022e", "022e"}[i]
			if got := value(t, c, reg, 3)&resetBit != 0; got != want {
				t.Errorf("reading %d of the status: reset bit %v", i+1, got)
			}
		}
		c.Reset()
		if err := c.Tx([]byte{0x02, 0x2D}, make([]byte, 3)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("starting chip answered: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
		if value(t, c, "022e", 3)&resetBit == 0 {
			t.Error("no reset bit after a brown-out")
		}
	})
}

func TestADE7953SoftwareReset(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		put(t, c, "01020004")
		value(t, c, "022e", 3)
		if err := c.Tx(unhex(t, "01020084"), nil); err == nil {
			t.Error("software reset was acknowledged")
		}
		time.Sleep(100 * time.Millisecond)
		get(t, c, "0102", "8004")
		if value(t, c, "022d", 3)&resetBit == 0 {
			t.Error("no reset bit after a software reset")
		}
	})
}

func TestADE7953UnlockedGoesDeaf(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		if !c.Disturb() {
			t.Fatal("unlocked chip kept its interface")
		}
		if err := c.Tx([]byte{0x01, 0x02}, make([]byte, 2)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("deaf chip answered: %v", err)
		}
		c.Reset()
		time.Sleep(100 * time.Millisecond)
		put(t, c, "01020004")
		if c.Disturb() {
			t.Error("locked chip left its interface")
		}
	})
}

func TestADE7953OptimumSetting(t *testing.T) {
	for _, s := range []struct {
		name  string
		steps []string
		want  bool
	}{
		{"in order", []string{"00fead", "01200030"}, true},
		{"without the key", []string{"01200030"}, false},
		{"something between", []string{"00fead", "000740", "01200030"}, false},
		{"wrong key", []string{"00feac", "01200030"}, false},
	} {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
				for _, w := range s.steps {
					put(t, c, w)
				}
				if got := c.Optimum(); got != s.want {
					t.Errorf("setting taken: %v", got)
				}
				c.Reset()
				if c.Optimum() {
					t.Error("setting survived a reset")
				}
			})
		})
	}
}

func TestADE7953WriteProtection(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		put(t, c, "004007")
		put(t, c, "000804")
		put(t, c, "01020004")
		put(t, c, "028140cccd")
		get(t, c, "00fd", "ca") // acknowledged, and the last transfer says it was a write
		get(t, c, "0008", "00")
		get(t, c, "0102", "8004")
		get(t, c, "0281", "400000")
		put(t, c, "004000")
		put(t, c, "000804")
		get(t, c, "0008", "04")
	})
}

func TestADE7953LastTransfer(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		put(t, c, "028140cccd")
		get(t, c, "00fd", "ca")
		get(t, c, "01fe", "0281")
		get(t, c, "02ff", "40cccd")
		get(t, c, "00fd", "ca") // reading these changes none of them
		get(t, c, "0102", "8004")
		get(t, c, "00fd", "35")
		get(t, c, "01fe", "0102")
		get(t, c, "01ff", "8004")
	})
}

func TestADE7953Checksum(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		put(t, c, "01028104") // on, everything else as after a reset
		get(t, c, "037f", "48739163")
		if v := value(t, c, "022e", 3); v&(1<<21) != 0 {
			t.Errorf("status %06x tells a change when the checksum was switched on", v)
		}
		put(t, c, "000804")
		changed := value(t, c, "037f", 4)
		if changed == 0x48739163 || changed == 0xFFFFFFFF {
			t.Errorf("checksum %08x after a change", changed)
		}
		if v := value(t, c, "022e", 3); v&(1<<21) == 0 {
			t.Errorf("status %06x does not tell the change", v)
		}
		put(t, c, "010107d0") // LINECYC is not covered
		put(t, c, "020300c832")
		if v := value(t, c, "037f", 4); v != changed {
			t.Errorf("checksum %08x, want %08x: LINECYC and NOLOAD are not covered", v, changed)
		}
		put(t, c, "000800")
		get(t, c, "037f", "48739163")
		c.Reset()
		time.Sleep(100 * time.Millisecond)
		get(t, c, "037f", "ffffffff")
	})
}

func TestADE7953ChecksumWithLiveBits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := board(Steady{})
		o.CRCCountsLiveBits = true
		c := NewADE7953(o)
		time.Sleep(time.Second)
		put(t, c, "01028104")
		if v := value(t, c, "037f", 4); v == 0x48739163 {
			t.Error("no-load bits did not show in the checksum")
		}
	})
}

func TestADE7953Energy(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		put(t, c, "000400") // reading does not clear
		before := value(t, c, "021e", 3)
		time.Sleep(10 * time.Second)
		const want = 23000 / 0.0374200 // joule per count
		if got := value(t, c, "021e", 3) - before; math.Abs(float64(got)-want) > 2 {
			t.Errorf("%d counts in 10 s, want %.0f", got, want)
		}
	})
}

// 2.3 kW wraps from 7FFFFF to 800000 after 136 s; the difference modulo 2^24 stays right.
func TestADE7953EnergyWraps(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		put(t, c, "000400")
		value(t, c, "022e", 3)
		before := value(t, c, "021e", 3)
		time.Sleep(137 * time.Second)
		after := value(t, c, "021e", 3)
		if after&0x800000 == 0 {
			t.Errorf("energy %06x after 137 s has not passed 7fffff", after)
		}
		if got := (after - before) & 0xFFFFFF; math.Abs(float64(got)-137*2300/0.0374200) > 20 {
			t.Errorf("difference %d", got)
		}
		if v := value(t, c, "022e", 3); v&(1<<3) == 0 {
			t.Errorf("status %06x does not tell the overflow", v)
		}
	})
}

func TestADE7953ReadWithReset(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		if v := value(t, c, "021e", 3); v == 0 {
			t.Fatal("nothing counted")
		}
		get(t, c, "021e", "000000") // LCYCMODE bit 6 is set after a reset
		put(t, c, "000400")
		time.Sleep(time.Second)
		first := value(t, c, "021e", 3)
		if second := value(t, c, "021e", 3); second != first || first == 0 {
			t.Errorf("read %d, then %d", first, second)
		}
	})
}

func TestADE7953NoLoad(t *testing.T) {
	for _, v := range []struct {
		name   string
		watts  float64
		setup  []string
		counts bool
	}{
		{"above 1/10000", 0.80, nil, true},
		{"below 1/10000", 0.75, nil, false},
		{"detection off", 0.10, []string{"000107"}, true},
		{"level lowered", 0.50, []string{"000107", "020300c832", "000100"}, true},
		{"level lowered while on", 0.50, []string{"020300c832"}, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			inBubble(t, load(230, v.watts/230, v.watts, 0), func(t *testing.T, c *ADE7953) {
				gain16(t, c)
				put(t, c, "000400")
				for _, w := range v.setup {
					put(t, c, w)
				}
				before := value(t, c, "021e", 3)
				time.Sleep(20 * time.Second)
				if got := value(t, c, "021e", 3) > before; got != v.counts {
					t.Errorf("counting: %v", got)
				}
				idle := value(t, c, "0201", 3)&(1<<16) != 0
				if idle == v.counts {
					t.Errorf("ACCMODE shows no load: %v", idle)
				}
				if rms := value(t, c, "021a", 3); rms < 1000 {
					t.Errorf("IRMS %d: no-load detection must leave its noise", rms)
				}
			})
		})
	}
}

// stepLine changes at a moment.
type stepLine struct {
	at            time.Time
	before, after Steady
}

func (s stepLine) Between(from, to time.Time) Interval {
	switch {
	case !to.After(s.at):
		return Interval(s.before)
	case !from.Before(s.at):
		return Interval(s.after)
	}
	k := s.at.Sub(from).Seconds() / to.Sub(from).Seconds()
	mix := func(a, b float64) float64 { return a*k + b*(1-k) }
	in := Interval{VoltsRMS: s.before.VoltsRMS, Hertz: s.before.Hertz, VoltsPeak: s.before.VoltsPeak}
	for i := range in.Channel {
		a, b := s.before.Channel[i], s.after.Channel[i]
		in.Channel[i] = Flow{mix(a.AmpsRMS, b.AmpsRMS), max(a.AmpsPeak, b.AmpsPeak), mix(a.Watts, b.Watts), mix(a.Vars, b.Vars), mix(a.VA, b.VA)}
	}
	return in
}

func TestADE7953Settles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADE7953(board(stepLine{time.Now().Add(2 * time.Second), load(230, 10, 2300, 0), load(230, 0, 0, 0)}))
		gain16(t, c)
		time.Sleep(2*time.Second - time.Millisecond)
		full := value(t, c, "021a", 3)
		time.Sleep(101 * time.Millisecond)
		if half := value(t, c, "021a", 3); half < full/4 || half > full*3/4 {
			t.Errorf("IRMS %d 100 ms after a load of %d was cut", half, full)
		}
		time.Sleep(101 * time.Millisecond)
		if got := value(t, c, "021a", 3); got > 2000 {
			t.Errorf("IRMS %d after 201 ms", got)
		}
	})
}

func TestADE7953Peaks(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		put(t, c, "0225001000")
		want := uint32(math.Round(10 / 22.0971 * 6500000))
		value(t, c, "0229", 3) // with the gain of before
		time.Sleep(time.Second)
		if got := value(t, c, "0228", 3); math.Abs(float64(got)-float64(want)) > 50 {
			t.Errorf("peak of A %d, want %d", got, want)
		}
		if v := value(t, c, "022e", 3); v&(1<<13) == 0 {
			t.Errorf("status %06x: no over-current", v)
		}
		value(t, c, "0229", 3)
		get(t, c, "0228", "000000")
	})
}

func TestADE7953DeadLine(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		time.Sleep(10 * time.Second)
		if v := value(t, c, "022d", 3); v&(1<<14) == 0 {
			t.Errorf("status %06x does not tell that zero crossings are missing", v)
		}
		n := value(t, c, "010e", 2)
		if f := 223750 / float64(n+1); f < 45 || f > 66 {
			t.Errorf("PERIOD %04x does not look like a frequency", n)
		}
	})
}

func TestADE7953LineCycleMode(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		put(t, c, "01010064") // 100 half cycles: 1 s
		put(t, c, "000403")
		get(t, c, "021e", "000000")
		time.Sleep(500 * time.Millisecond)
		whole := 2300 / 0.0374200
		if short := float64(value(t, c, "021e", 3)); short <= 0 || short > whole/2 {
			t.Errorf("first window %.0f, want a short one of %.0f", short, whole)
		}
		time.Sleep(time.Second)
		if got := float64(value(t, c, "021e", 3)); math.Abs(got-whole) > 2 {
			t.Errorf("second window %.0f, want %.0f", got, whole)
		}
		if v := value(t, c, "022d", 3); v&(1<<18) == 0 {
			t.Errorf("status %06x does not tell the window's end", v)
		}
	})
}

func TestADE7953Frozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := board(load(230, 10, 2300, 0))
		o.NoiseCodes = 40
		c := NewADE7953(o)
		time.Sleep(time.Second)
		codes := func() map[uint32]bool {
			seen := map[uint32]bool{}
			for range 10 {
				time.Sleep(20 * time.Millisecond)
				seen[value(t, c, "021c", 3)] = true
			}
			return seen
		}
		if n := len(codes()); n < 5 {
			t.Errorf("%d codes in 10 samples of a live meter", n)
		}
		c.Freeze(true)
		if n := len(codes()); n != 1 {
			t.Errorf("%d codes in 10 samples of a frozen meter", n)
		}
		put(t, c, "000400")
		e := value(t, c, "021e", 3)
		c.Freeze(false)
		if got := value(t, c, "021e", 3); got != e {
			t.Errorf("energy of the frozen time appeared: %d, then %d", e, got)
		}
		if n := len(codes()); n < 5 {
			t.Errorf("%d codes in 10 samples after the thaw", n)
		}
	})
}

func TestADE7953Scaled(t *testing.T) {
	inBubble(t, load(230, 10, 2300, 0), func(t *testing.T, c *ADE7953) {
		gain16(t, c)
		c.SetScale(0)
		get(t, c, "0212", "000000")
		get(t, c, "021a", "000000")
		c.SetScale(0.5)
		if got := value(t, c, "0212", 3); got != 0x160A8B/2+1 && got != 0x160A8B/2 {
			t.Errorf("W %d at half scale", got)
		}
	})
}

func TestADE7953WithoutFeed(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		put(t, c, "01020004")
		c.SetPowered(false)
		if err := c.Tx([]byte{0x01, 0x02}, make([]byte, 2)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("chip without supply answered: %v", err)
		}
		c.SetPowered(true)
		time.Sleep(100 * time.Millisecond)
		get(t, c, "0102", "8004")
	})
}

func TestADE7953OddTransfers(t *testing.T) {
	inBubble(t, Steady{}, func(t *testing.T, c *ADE7953) {
		put(t, c, "00")     // half an address
		put(t, c, "010200") // half a register
		get(t, c, "0102", "8004")
		get(t, c, "0102", "8004ffff")                                // beyond its width
		if err := c.Tx(unhex(t, "00080400"), nil); err != NackData { //nolint:errorlint // bare by contract
			t.Errorf("a byte too many: %v", err)
		}
		put(t, c, "ffff01") // no such register
		get(t, c, "ffff", "ffff")
	})
}
