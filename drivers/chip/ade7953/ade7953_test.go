package ade7953

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

func board() Opts {
	return Opts{
		Name: "t", FullScaleV: boardV,
		A: Channel{FullScaleI: boardI, Gain: 16},
		B: Channel{FullScaleI: boardI, Gain: 16},
	}
}

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, board()); err == nil {
		t.Error("no bus was taken")
	}
	for name, change := range map[string]func(*Opts){
		"no voltage scale":      func(o *Opts) { o.FullScaleV = 0 },
		"no current scale":      func(o *Opts) { o.B.FullScaleI = 0 },
		"negative scale":        func(o *Opts) { o.A.FullScaleI = -1 },
		"gain 3":                func(o *Opts) { o.A.Gain = 3 },
		"gain 0":                func(o *Opts) { o.A.Gain = 0 },
		"gain 22 on B":          func(o *Opts) { o.B.Gain = 22 },
		"too much phase":        func(o *Opts) { o.A.Phase = 384 },
		"too much delay":        func(o *Opts) { o.B.Phase = -384 },
		"no-load above 1/1000":  func(o *Opts) { o.NoLoad = 10 },
		"no-load below 1/50000": func(o *Opts) { o.NoLoad = 1e6 },
		"no-load not a number":  func(o *Opts) { o.NoLoad = math.NaN() },
	} {
		o := board()
		change(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	o := board()
	o.A.Gain, o.A.Phase, o.NoLoad = 22, -383, 20_000
	if _, err := New(bus, o); err != nil {
		t.Error(err)
	}
}

// One full sample, byte for byte: 230 V, 50 Hz; A draws 10 A and 2300 W, B is reversed and gives 2300 W back.
func TestSenseBytes(t *testing.T) {
	read := func(hi, lo byte, data ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x38, W: []byte{hi, lo}, R: data} }
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		read(0x02, 0x1e, 0x80, 0x01, 0x23),
		read(0x02, 0x1f, 0xff, 0xff, 0xff),
		read(0x02, 0x1c, 0x5a, 0x78, 0x43),
		read(0x02, 0x12, 0x16, 0x0a, 0x8b), read(0x02, 0x14, 0x00, 0x00, 0x00), read(0x02, 0x10, 0x16, 0x0a, 0x8b),
		read(0x01, 0x0a, 0x7a, 0xe1), read(0x02, 0x1a, 0x3e, 0x5e, 0x7c),
		read(0x02, 0x13, 0xe9, 0xf5, 0x75), read(0x02, 0x15, 0x00, 0x00, 0x00), read(0x02, 0x11, 0x16, 0x0a, 0x8b),
		read(0x01, 0x0b, 0xc0, 0x00), read(0x02, 0x1b, 0x3e, 0x5e, 0x7c),
		read(0x01, 0x0e, 0x11, 0x7a),
		read(0x03, 0x7f, 0x12, 0x34, 0x56, 0x78),
		read(0x02, 0x2e, 0x00, 0x00, 0x00),
		// What could be the bus's own is read once more.
		read(0x02, 0x1f, 0xff, 0xff, 0xff), read(0x02, 0x14, 0x00, 0x00, 0x00), read(0x02, 0x15, 0x00, 0x00, 0x00),
	}}
	m, err := device(t, bus).Sense(t.Context(), 0x12345678)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
	near(t, "V", float64(m.Voltage)/float64(physic.Volt), 230, 2e-5)
	near(t, "Hz", float64(m.Frequency)/float64(physic.Hertz), 50, 1e-9)
	for _, c := range []struct {
		l      Load
		w, pf  float64
		energy uint32
	}{{m.A, 2300, 0.96, 0x800123}, {m.B, -2300, -0.5, 0xffffff}} {
		near(t, "A", float64(c.l.Current)/float64(physic.Ampere), 10, 2e-6)
		near(t, "W", float64(c.l.Power)/float64(physic.Watt), c.w, 1e-3)
		near(t, "VA", float64(c.l.Apparent)/float64(physic.Watt), 2300, 1e-3)
		near(t, "PF", c.l.PowerFactor, c.pf, 2e-5)
		if c.l.Energy != c.energy {
			t.Errorf("energy %06x", c.l.Energy)
		}
	}
	if m.RawV != 0x5a7843 || m.A.Raw != (Codes{IRMS: 0x3e5e7c, WATT: 0x160a8b, VA: 0x160a8b}) {
		t.Errorf("raw codes %+v", m)
	}
}

func TestConfigureFromReset(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	sum, err := d.Configure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x01, 0x02, 0x00, 0x04}; !slices.Equal(c.writes[0], want) {
		t.Errorf("first write % x: until the lock the part may leave I2C", c.writes[0])
	}
	at := slices.IndexFunc(c.transfers, func(w []byte) bool { return slices.Equal(w, []byte{0x00, 0xfe, 0xad}) })
	if at < 0 || !slices.Equal(c.transfers[at+1], []byte{0x01, 0x20, 0x00, 0x30}) {
		t.Error("120 = 0030 does not follow the unlock key immediately")
	}
	for r, want := range map[Reg]uint32{
		CONFIG: 0x0104, WRITE_PROTECT: 0x07, Reserved120: 0x30, LCYCMODE: 0, DISNOLOAD: 0, AP_NOLOAD: 0xe419,
		VAR_NOLOAD: 0xe419, PGA_V: 0, PGA_IA: 4, PGA_IB: 4, AVGAIN: 0x400000, BVGAIN: 0x400000,
	} {
		if c.regs[r] != want {
			t.Errorf("%v = %x, want %x", r, c.regs[r], want)
		}
	}
	if c.levelsWhileOn {
		t.Error("no-load levels were written while their detection was on")
	}
	if _, err := d.Sense(t.Context(), sum); err != nil {
		t.Errorf("first sample: %v", err)
	}
	if got, err := d.Verify(t.Context()); err != nil || got != sum {
		t.Errorf("verify: %08x, %v", got, err)
	}
}

func TestConfigureAgain(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	if _, err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.regs[PGA_IA] = 0 // disturbed
	if _, err := d.Verify(t.Context()); !errors.Is(err, drivers.Mismatch) {
		t.Fatalf("verify: %v", err)
	}
	sum, err := d.Configure(t.Context()) // everything is write-protected now
	if err != nil || c.regs[PGA_IA] != 4 {
		t.Fatalf("PGA_IA %x, %v", c.regs[PGA_IA], err)
	}
	if _, err := d.Sense(t.Context(), sum); err != nil {
		t.Error(err)
	}
}

// A failure at any transfer of Configure leaves a part that is not taken for configured unless it is, and that the
// next Configure brings home.
func TestConfigureInterrupted(t *testing.T) {
	whole := newMeter()
	if _, err := device(t, whole).Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := range len(whole.transfers) {
		c := newMeter()
		d := device(t, c)
		c.failAt = at + 1
		if _, err := d.Configure(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Fatalf("transfer %d: %v", at, err)
		}
		if _, err := d.Verify(t.Context()); err == nil && !maps.Equal(c.regs, whole.regs) {
			t.Errorf("transfer %d: taken for configured", at)
		}
		if _, err := d.Configure(t.Context()); err != nil {
			t.Errorf("transfer %d: second try: %v", at, err)
		}
	}
}

func TestWritesThatDoNotTake(t *testing.T) {
	for _, r := range []Reg{CONFIG, PGA_IB, LCYCMODE, WRITE_PROTECT} {
		c := newMeter()
		c.deaf = r
		_, err := device(t, c).Configure(t.Context())
		var e *drivers.Error
		if !errors.As(err, &e) || e.Fault != drivers.Mismatch || e.Reg != r.String() {
			t.Errorf("%v deaf: %v", r, err)
		}
	}
}

func TestSenseFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"supply was lost":        {func(c *meter) { c.reset() }, drivers.Restarted},
		"reset after the sum":    {func(c *meter) { c.regs[IRQSTATA] |= irqReset }, drivers.Restarted},
		"a setting moved":        {func(c *meter) { c.regs[PGA_IA] = 0 }, drivers.Mismatch},
		"nobody there":           {func(c *meter) { c.floating = true }, drivers.Implausible},
		"no answer":              {func(c *meter) { c.failAt = len(c.transfers) + 1 }, drivers.NoAnswer},
		"status all ones":        {func(c *meter) { c.regs[IRQSTATA] = 0xffffff }, drivers.Implausible},
		"voltage all ones":       {func(c *meter) { c.regs[VRMS] = 0xffffff }, drivers.Implausible},
		"current all ones":       {func(c *meter) { c.regs[IRMSB] = 0xffffff }, drivers.Implausible},
		"power at -1":            {func(c *meter) { c.regs[AWATT] = 0xffffff }, drivers.None},
		"power factor at -1":     {func(c *meter) { c.regs[PFB] = 0xffff }, drivers.None},
		"period all ones":        {func(c *meter) { c.regs[PERIOD] = 0xffff }, drivers.Implausible},
		"energy counter at -1":   {func(c *meter) { c.regs[AENERGYA] = 0xffffff }, drivers.None},
		"gone after the voltage": {func(c *meter) { c.floatAt = len(c.transfers) + 4 }, drivers.Implausible},
		"gone for the checksum":  {func(c *meter) { c.floatAt = len(c.transfers) + 15 }, drivers.Implausible},
		"gone for the status":    {func(c *meter) { c.floatAt = len(c.transfers) + 16 }, drivers.Implausible},
		"gone for the second":    {func(c *meter) { c.floatAt = len(c.transfers) + 17 }, drivers.Implausible},
	} {
		t.Run(name, func(t *testing.T) {
			chip := newMeter()
			d := device(t, chip)
			sum, err := d.Configure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.change(chip)
			m, err := d.Sense(t.Context(), sum)
			if drivers.FaultOf(err) != c.fault {
				t.Errorf("%v", err)
			}
			if err != nil && m != (Measurement{}) {
				t.Errorf("a failed sample gave %+v", m)
			}
		})
	}
}

// A single transfer that was held, or that nobody drove, changes no value, whichever it is.
func TestOneBadTransferIsNoValue(t *testing.T) {
	for _, with := range []byte{0x00, 0xff} {
		c := newMeter()
		d := device(t, c)
		sum, err := d.Configure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.regs[AENERGYA], c.regs[AENERGYB] = 0x123456, 0xfedcba
		want, err := d.Sense(t.Context(), sum)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 30 {
			c.spoilt, c.with = len(c.transfers)+n+1, with
			if m, err := d.Sense(t.Context(), sum); err == nil && m != want {
				t.Errorf("%02x at transfer %d: %+v", with, n+1, m)
			}
		}
	}
}

// A part that has lost its supply announces its start in the status, which is not to be cleared before that is known.
func TestRestartLeavesTheAnnouncement(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	sum, err := d.Configure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.reset()
	if _, err := d.Sense(t.Context(), sum); !errors.Is(err, drivers.Restarted) {
		t.Errorf("%v", err)
	}
	if up, err := d.Started(t.Context()); !up || err != nil {
		t.Errorf("%t, %v", up, err)
	}
}

func TestNoFrequencyWithoutCrossings(t *testing.T) {
	for name, change := range map[string]func(*meter){
		"status bit 14": func(c *meter) { c.regs[IRQSTATA] |= irqNoCrossing },
		"no voltage":    func(c *meter) { c.regs[VRMS] = noCrossing - 1 },
	} {
		c := newMeter()
		d := device(t, c)
		sum, err := d.Configure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		c.regs[PERIOD] = 0xffff
		if m, err := d.Sense(t.Context(), sum); err != nil || m.Frequency != 0 {
			t.Errorf("%s: %v, %v", name, m.Frequency, err)
		}
	}
}

func TestVerifyNeedsTheWholeSequence(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"running":       {func(*meter) {}, drivers.None},
		"at defaults":   {func(c *meter) { c.reset() }, drivers.Restarted},
		"locked only":   {func(c *meter) { c.regs[CONFIG] = configLocked }, drivers.Restarted},
		"not protected": {func(c *meter) { c.regs[WRITE_PROTECT] = 0 }, drivers.Mismatch},
		"live signs":    {func(c *meter) { c.regs[ACCMODE] = 0x010c00 }, drivers.None},
		"absolute mode": {func(c *meter) { c.regs[ACCMODE] = 2 }, drivers.Mismatch},
		"nobody there":  {func(c *meter) { c.floating = true }, drivers.Implausible},
	} {
		chip := newMeter()
		d := device(t, chip)
		if _, err := d.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.change(chip)
		if _, err := d.Verify(t.Context()); drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"at defaults":      {func(*meter) {}, drivers.None},
		"locked":           {func(c *meter) { c.regs[CONFIG] = configLocked }, drivers.None},
		"running":          {func(c *meter) { c.regs[CONFIG] = configRunning }, drivers.None},
		"other default":    {func(c *meter) { c.regs[AP_NOLOAD] = 0 }, drivers.WrongDevice},
		"somebody's":       {func(c *meter) { c.regs[CONFIG] = 0x000c }, drivers.WrongDevice},
		"no version":       {func(c *meter) { c.regs[Version] = 0 }, drivers.WrongDevice},
		"version all ones": {func(c *meter) { c.regs[Version] = 0xff }, drivers.Implausible},
		"nobody there":     {func(c *meter) { c.floating = true }, drivers.Implausible},
		"no answer":        {func(c *meter) { c.failAt = 1 }, drivers.NoAnswer},
	} {
		chip := newMeter()
		c.change(chip)
		id, err := device(t, chip).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "ADE7953") {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if len(chip.writes) != 0 {
			t.Errorf("%s: identifying wrote % x", name, chip.writes)
		}
	}
}

func TestStarted(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	if up, err := d.Started(t.Context()); !up || err != nil {
		t.Errorf("%t, %v", up, err)
	}
	if up, _ := d.Started(t.Context()); !up {
		t.Error("looking cleared the bit")
	}
	c.regs[IRQSTATA] = 0
	if up, err := d.Started(t.Context()); up || err != nil {
		t.Errorf("%t, %v", up, err)
	}
	c.floating = true
	if up, _ := d.Started(t.Context()); up {
		t.Error("a floating bus has started")
	}
}

func TestEndOfContext(t *testing.T) {
	c := newMeter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, c).Configure(ctx); !errors.Is(err, drivers.Cancelled) || len(c.transfers) != 0 {
		t.Errorf("%v after %d transfers", err, len(c.transfers))
	}
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, board())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// meter is a register file with the part's habits: it swallows writes to protected registers, needs the key
// before 120, sums its settings up, and clears status when read.
type meter struct {
	regs          map[Reg]uint32
	transfers     [][]byte // bytes written, of reads the register address
	writes        [][]byte // of writes only
	deaf          Reg
	failAt        int // this transfer is not acknowledged, counted from 1
	floatAt       int // from this transfer on nobody drives the bus, counted from 1
	floating      bool
	spoilt        int  // what this transfer reads is of the bus, counted from 1
	with          byte // which reads this
	levelsWhileOn bool
}

func newMeter() *meter {
	c := &meter{}
	c.reset()
	return c
}

func (c *meter) reset() {
	c.regs = map[Reg]uint32{
		LCYCMODE: 0x40, CONFIG: configReset, AP_NOLOAD: noLoadReset, VAR_NOLOAD: noLoadReset, IRQSTATA: irqReset,
		Version: 0x33, VRMS: 0x5a7843, PERIOD: 0x117a, IRMSA: 0x3e5e7c, AWATT: 0x160a8b,
	}
	for _, r := range []Reg{AIGAIN, AVGAIN, AWGAIN, AVARGAIN, AVAGAIN, BIGAIN, BVGAIN, BWGAIN, BVARGAIN, BVAGAIN} {
		c.regs[r] = 0x400000
	}
}

func (c *meter) String() string                  { return "meter" }
func (c *meter) SetSpeed(physic.Frequency) error { return nil }

func (c *meter) Tx(addr uint16, w, r []byte) error {
	c.transfers = append(c.transfers, slices.Clone(w))
	if addr != Address || len(c.transfers) == c.failAt {
		return drivers.NoAnswer
	}
	c.floating = c.floating || len(c.transfers) == c.floatAt
	reg := Reg(w[0])<<8 | Reg(w[1])
	if len(r) == 0 {
		c.write(reg, w)
		return nil
	}
	v := c.read(reg)
	for i := range r {
		r[i] = byte(v >> (8 * (len(r) - 1 - i)))
		if c.floating {
			r[i] = 0xff
		}
		if len(c.transfers) == c.spoilt {
			r[i] = c.with
		}
	}
	if len(r) != reg.width() {
		return errors.New("wrong width")
	}
	return nil
}

func (c *meter) read(reg Reg) uint32 {
	switch {
	case reg == CRC:
		return c.sum()
	case reg == RSTIRQSTATA:
		v := c.regs[IRQSTATA]
		c.regs[IRQSTATA] = 0
		return v
	default:
		return c.regs[reg]
	}
}

func (c *meter) sum() uint32 {
	if c.regs[CONFIG]&0x100 == 0 {
		return crcOff
	}
	sum := uint32(1)
	for _, r := range []Reg{LCYCMODE, PGA_V, PGA_IA, PGA_IB, WRITE_PROTECT, CONFIG, PHCALA, PHCALB, AIGAIN, BVGAIN} {
		sum = sum*31 + c.regs[r]
	}
	return sum
}

func (c *meter) write(reg Reg, w []byte) {
	c.writes = append(c.writes, slices.Clone(w))
	bit := map[int]uint32{1: 1, 2: 2, 3: 4, 4: 4}[reg.width()]
	if reg != WRITE_PROTECT && c.regs[WRITE_PROTECT]&bit != 0 || reg == c.deaf {
		return
	}
	if reg == Reserved120 && !slices.Equal(c.transfers[len(c.transfers)-2], []byte{0x00, 0xfe, 0xad}) {
		return
	}
	if (reg == AP_NOLOAD || reg == VAR_NOLOAD) && c.regs[DISNOLOAD] != 0x07 {
		c.levelsWhileOn = true
	}
	var v uint32
	for _, b := range w[2:] {
		v = v<<8 | uint32(b)
	}
	c.regs[reg] = v
}
