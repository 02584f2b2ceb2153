package ade7880

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

func board() Opts {
	p := Phase{FullScaleV: boardV, FullScaleI: boardI}
	return Opts{Name: "t", A: p, B: p, C: p, Gain: 2, Neutral: Neutral{FullScaleI: boardI, Gain: 8}, Hertz: 60}
}

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, board()); err == nil {
		t.Error("no bus was taken")
	}
	for name, change := range map[string]func(*Opts){
		"no voltage scale":       func(o *Opts) { o.A.FullScaleV = 0 },
		"no current scale":       func(o *Opts) { o.C.FullScaleI = 0 },
		"negative scale":         func(o *Opts) { o.B.FullScaleV = -1 },
		"negative neutral scale": func(o *Opts) { o.Neutral.FullScaleI = -1 },
		"gain 3":                 func(o *Opts) { o.Gain = 3 },
		"gain 0":                 func(o *Opts) { o.Gain = 0 },
		"gain 32":                func(o *Opts) { o.Gain = 32 },
		"neutral gain 0":         func(o *Opts) { o.Neutral.Gain = 0 },
		"no grid":                func(o *Opts) { o.Hertz = 0 },
		"400 Hz":                 func(o *Opts) { o.Hertz = 400 },
	} {
		o := board()
		change(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	o := board()
	o.Neutral = Neutral{}
	if _, err := New(bus, o); err != nil {
		t.Error(err)
	}
}

// One full sample, byte for byte: A full scale, B half of it backwards, C without voltage.
func TestSenseBytes(t *testing.T) {
	read := func(hi, lo byte, data ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x38, W: []byte{hi, lo}, R: data} }
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		read(0xe7, 0x02, 0x38),

		read(0xe4, 0x00, 0x80, 0x00, 0x00, 0x01), read(0xe5, 0x13, 0x00, 0x19, 0xce, 0x5e), read(0xe5, 0x16, 0x00, 0x00, 0x00, 0x00),
		read(0xe5, 0x19, 0x00, 0x19, 0xce, 0x5e), read(0xe9, 0x02, 0x7f, 0xff), read(0xe9, 0x05, 0x14, 0x00),
		read(0x43, 0xc0, 0x00, 0x39, 0x79, 0x2c), read(0x43, 0xc1, 0x00, 0x39, 0x79, 0x2c),

		read(0xe4, 0x01, 0xff, 0xff, 0xff, 0xff), read(0xe5, 0x14, 0xff, 0xf3, 0x18, 0xd1), read(0xe5, 0x17, 0xff, 0xff, 0xff, 0xff),
		read(0xe5, 0x1a, 0x00, 0x0c, 0xe7, 0x2f), read(0xe9, 0x03, 0x80, 0x00), read(0xe9, 0x06, 0x10, 0xab),
		read(0x43, 0xc2, 0x00, 0x1c, 0xbc, 0x96), read(0x43, 0xc3, 0x00, 0x39, 0x79, 0x2c),

		read(0xe4, 0x02, 0x00, 0x00, 0x00, 0x00), read(0xe5, 0x15, 0x00, 0x00, 0x00, 0x00), read(0xe5, 0x18, 0x00, 0x00, 0x00, 0x00),
		read(0xe5, 0x1b, 0x00, 0x00, 0x00, 0x00), read(0xe9, 0x04, 0x00, 0x00), read(0xe9, 0x07, 0xff, 0xff),
		read(0x43, 0xc4, 0x00, 0x00, 0x00, 0x00), read(0x43, 0xc5, 0x00, 0x00, 0x00, 0x00),

		read(0x43, 0xc6, 0x00, 0x1c, 0xbc, 0x96),

		read(0xe2, 0x28, 0x00, 0x01), read(0xe5, 0x03, 0x00, 0x00, 0x00, 0x00), read(0xe6, 0x0f, 0x00, 0x19), read(0xea, 0x02, 0x03),

		// What could be the bus's own is read once more.
		read(0xe5, 0x16, 0x00, 0x00, 0x00, 0x00), read(0xe4, 0x01, 0xff, 0xff, 0xff, 0xff), read(0xe5, 0x17, 0xff, 0xff, 0xff, 0xff),
		read(0xe4, 0x02, 0x00, 0x00, 0x00, 0x00), read(0xe5, 0x15, 0x00, 0x00, 0x00, 0x00), read(0xe5, 0x18, 0x00, 0x00, 0x00, 0x00),
		read(0xe5, 0x1b, 0x00, 0x00, 0x00, 0x00), read(0xe9, 0x04, 0x00, 0x00), read(0xe9, 0x07, 0xff, 0xff),
		read(0x43, 0xc4, 0x00, 0x00, 0x00, 0x00), read(0x43, 0xc5, 0x00, 0x00, 0x00, 0x00),
	}}
	m, err := device(t, bus).Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
	if m.A.Voltage != boardV || m.A.Current != boardI || m.A.Frequency != 50*physic.Hertz || m.A.Energy != 0x80000001 {
		t.Errorf("A: %+v", m.A)
	}
	if m.B.Current != boardI/2 || m.B.PowerFactor != -1 || m.B.Energy != 0xffffffff || m.B.Raw.FVAR != 0xffffffff {
		t.Errorf("B: %+v", m.B)
	}
	for name, c := range map[string]struct {
		got  physic.Power
		want float64
	}{
		"A W": {m.A.Power, 32_000}, "A var": {m.A.Reactive, 0}, "A VA": {m.A.Apparent, 32_000},
		"B W": {m.B.Power, -16_000}, "B VA": {m.B.Apparent, 16_000}, "C W": {m.C.Power, 0},
	} {
		if w := float64(c.got) / float64(physic.Watt); w < c.want-0.02 || w > c.want+0.02 {
			t.Errorf("%s: %g, want %g", name, w, c.want)
		}
	}
	if m.C != (Line{Raw: Codes{PERIOD: 0xffff}}) {
		t.Errorf("C: %+v", m.C)
	}
	if m.N != (NeutralLine{Current: boardI / 2, Raw: 0x1cbc96}) {
		t.Errorf("N: %+v", m.N)
	}
	if m.A.Raw != (Codes{VRMS: 0x39792c, IRMS: 0x39792c, WATT: 0x19ce5e, VA: 0x19ce5e, PF: 0x7fff, PERIOD: 0x1400}) {
		t.Errorf("raw: %+v", m.A.Raw)
	}
}

func TestNoNeutral(t *testing.T) {
	o := board()
	o.Neutral = Neutral{}
	c := newMeter()
	d, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.regs[NIRMS] = 0xffffffff
	if m, err := d.Sense(t.Context()); err != nil || m.N != (NeutralLine{Fault: drivers.NotRead}) {
		t.Errorf("%+v, %v", m.N, err)
	}
}

// Without voltage the period register holds the last one, or noise.
func TestNoFrequencyWithoutVoltage(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[uint32]physic.Frequency{noCrossing - 1: 0, noCrossing: 50 * physic.Hertz} {
		c.regs[AVRMS] = code
		if m, err := d.Sense(t.Context()); err != nil || m.A.Frequency != want || m.A.Raw.PERIOD != 5120 {
			t.Errorf("%d: %v, %v", code, m.A.Frequency, err)
		}
	}
}

func TestConfigureFromReset(t *testing.T) {
	for hertz, mode := range map[int]uint32{50: 0x01ff, 60: 0x41ff} {
		c := newMeter()
		o := board()
		o.Hertz = hertz
		d, err := New(c, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []byte{0xec, 0x01, 0x02}; !slices.Equal(c.writes[0], want) {
			t.Errorf("first write % x: until the lock the part may leave I2C", c.writes[0])
		}
		if want := []byte{0xe2, 0x28, 0x00, 0x01}; !slices.Equal(c.writes[len(c.writes)-1], want) {
			t.Errorf("last write % x", c.writes[len(c.writes)-1])
		}
		for r, want := range map[Reg]uint32{
			CONFIG2: 0x02, COMPMODE: mode, Gain: 1 | 3<<3, LCYCMODE: 0x38, WTHR: 3, Run: 1, STATUS1: 0,
		} {
			if c.regs[r] != want {
				t.Errorf("%v = %x, want %x", r, c.regs[r], want)
			}
		}
		if !c.closed || c.reset1 {
			t.Errorf("memory closed %t, part reset %t", c.closed, c.reset1)
		}
		if _, err := d.Sense(t.Context()); err != nil {
			t.Errorf("first sample: %v", err)
		}
		if err := d.Verify(t.Context()); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
}

// Whatever was in the processor's memory before, everything arrives through the pipeline.
func TestConfigureClearsTheMemory(t *testing.T) {
	c := newMeter()
	for _, r := range memory() {
		c.regs[r] = 0x00123456
	}
	if err := device(t, c).Configure(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range memory() {
		if c.regs[r] != 0 {
			t.Errorf("%v = %x", r, c.regs[r])
		}
	}
}

func TestConfigureAgain(t *testing.T) {
	c := newMeter()
	d := device(t, c)
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.regs[AIGAIN], c.regs[AWATTHR] = 0x00400000, 777 // disturbed; counted
	if err := d.Verify(t.Context()); !errors.Is(err, drivers.Mismatch) {
		t.Fatalf("verify: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil || c.regs[AIGAIN] != 0 { // the memory is closed now
		t.Fatalf("AIGAIN %x, %v", c.regs[AIGAIN], err)
	}
	if c.regs[AWATTHR] != 777 {
		t.Errorf("energy %d", c.regs[AWATTHR])
	}
}

// A failure at any transfer of Configure leaves a part that is not taken for configured, that is still known, and that
// the next Configure brings home.
func TestConfigureInterrupted(t *testing.T) {
	whole := newMeter()
	if err := device(t, whole).Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= whole.transfers; at++ {
		c := newMeter()
		d := device(t, c)
		c.failAt = at
		if err := d.Configure(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Fatalf("transfer %d: %v", at, err)
		}
		if _, err := d.Sense(t.Context()); err == nil && c.regs[Run] == 0 {
			t.Errorf("transfer %d: taken for configured", at)
		}
		if _, err := d.Identify(t.Context()); err != nil {
			t.Errorf("transfer %d: %v", at, err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Errorf("transfer %d: second try: %v", at, err)
		}
	}
}

func TestWritesThatDoNotTake(t *testing.T) {
	for _, r := range []Reg{CONFIG2, Gain, LCYCMODE, WTHR, VLEVEL, STATUS1, Run} {
		c := newMeter()
		c.regs[VLEVEL], c.regs[WTHR] = 1, 4
		c.deaf = r
		var e *drivers.Error
		if err := device(t, c).Configure(t.Context()); !errors.As(err, &e) || e.Fault != drivers.Mismatch || e.Reg != r.String() {
			t.Errorf("%v deaf: %v", r, err)
		}
		if r != Run && c.regs[Run] != 0 {
			t.Errorf("%v deaf: the processor was started", r)
		}
	}
}

func TestSenseFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"good":                  {func(*meter) {}, drivers.None},
		"supply was lost":       {func(c *meter) { c.reset() }, drivers.Restarted},
		"processor stopped":     {func(c *meter) { c.regs[Run] = 0 }, drivers.Restarted},
		"started by another":    {func(c *meter) { c.regs[STATUS1] |= 1 << 15 }, drivers.Restarted},
		"other bits of Run":     {func(c *meter) { c.regs[Run] = 0x0201 }, drivers.None},
		"other status":          {func(c *meter) { c.regs[STATUS1] = 0x00800000 }, drivers.None},
		"gain moved":            {func(c *meter) { c.regs[Gain] = 0 }, drivers.Mismatch},
		"clears when read":      {func(c *meter) { c.regs[LCYCMODE] = 0x78 }, drivers.Mismatch},
		"threshold moved":       {func(c *meter) { c.regs[WTHR] = 4 }, drivers.Mismatch},
		"no answer":             {func(c *meter) { c.failAt = 1 }, drivers.NoAnswer},
		"no answer at the end":  {func(c *meter) { c.failAt = 30 }, drivers.NoAnswer},
		"nobody there":          {func(c *meter) { c.floatAt = 1 }, drivers.Implausible},
		"gone for the energy":   {func(c *meter) { c.floatAt = 2 }, drivers.Implausible},
		"gone after the values": {func(c *meter) { c.floatAt = 27 }, drivers.Implausible},
		"gone for the second":   {func(c *meter) { c.floatAt = 31 }, drivers.Implausible},
		"held low":              {func(c *meter) { c.holdAt = 1 }, drivers.Restarted},
		"held for the energy":   {func(c *meter) { c.holdAt = 2 }, drivers.Restarted},
		"held at the end":       {func(c *meter) { c.holdAt = 30 }, drivers.Mismatch},
		"voltage with a sign":   {func(c *meter) { c.regs[BVRMS] = 0x00800000 }, drivers.Implausible},
		"current over 24 bits":  {func(c *meter) { c.regs[CIRMS] = 0x01000000 }, drivers.Implausible},
		"power over 24 bits":    {func(c *meter) { c.regs[AWATT] = 0x00800000 }, drivers.Implausible},
		"power at -1":           {func(c *meter) { c.regs[AWATT] = 0xffffffff }, drivers.None},
		"energy at -1":          {func(c *meter) { c.regs[CWATTHR] = 0xffffffff }, drivers.None},
		"no period":             {func(c *meter) { c.regs[BPERIOD] = 0xffff }, drivers.None},
		"power factor at -2^15": {func(c *meter) { c.regs[APF] = 0xffff }, drivers.None},
	} {
		t.Run(name, func(t *testing.T) {
			chip := newMeter()
			d := device(t, chip)
			if err := d.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			chip.transfers = 0
			c.change(chip)
			m, err := d.Sense(t.Context())
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
		chip := newMeter()
		chip.with = with
		d := device(t, chip)
		if err := d.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, err := d.Sense(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chip.transfers = 0
		if _, err := d.Sense(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n := range chip.transfers {
			chip.transfers, chip.spoilt = 0, n+1
			if m, err := d.Sense(t.Context()); err == nil && m != want {
				t.Errorf("%02x at transfer %d: %+v", with, n+1, m)
			}
		}
	}
}

// With counters that clear when they are read nothing may be lost by looking.
func TestCountersAreNotReadWhereThatClearsThem(t *testing.T) {
	chip := newMeter()
	d := device(t, chip)
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	chip.regs[LCYCMODE], chip.read = 0x78, nil
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Mismatch) || slices.Contains(chip.read, AWATTHR) {
		t.Errorf("%v, read %v", err, chip.read)
	}
}

func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"running":          {func(*meter) {}, drivers.None},
		"at defaults":      {func(c *meter) { c.reset() }, drivers.Restarted},
		"not locked":       {func(c *meter) { c.regs[CONFIG2] = 0 }, drivers.Mismatch},
		"other filter":     {func(c *meter) { c.regs[COMPMODE] = 0x01ff }, drivers.Mismatch},
		"a gain in memory": {func(c *meter) { c.regs[NIRMSOS] = 1 }, drivers.Mismatch},
		"nobody there":     {func(c *meter) { c.floatAt = 1 }, drivers.Implausible},
	} {
		chip := newMeter()
		d := device(t, chip)
		if err := d.Configure(t.Context()); err != nil {
			t.Fatal(err)
		}
		chip.transfers, chip.writes = 0, nil
		c.change(chip)
		if err := d.Verify(t.Context()); drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", name, err)
		}
		if len(chip.writes) != 0 {
			t.Errorf("%s: verifying wrote % x", name, chip.writes)
		}
	}
}

func TestIdentify(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"just reset":       {func(*meter) {}, drivers.None},
		"ours":             {func(c *meter) { c.sum = 0x12345678; c.regs[CONFIG2], c.regs[LCYCMODE] = 2, 0x38 }, drivers.None},
		"ours, begun with": {func(c *meter) { c.sum = 0x12345678; c.regs[CONFIG2] = 2 }, drivers.None},
		"not locked":       {func(c *meter) { c.sum = 0x12345678 }, drivers.WrongDevice},
		"somebody's":       {func(c *meter) { c.sum = 0x12345678; c.regs[CONFIG2], c.regs[LCYCMODE] = 2, 0x3f }, drivers.WrongDevice},
		"an ADE7878":       {func(c *meter) { c.sum = 0x33666787 }, drivers.WrongDevice},
		"no version":       {func(c *meter) { c.regs[Version] = 0 }, drivers.WrongDevice},
		"version all ones": {func(c *meter) { c.regs[Version] = 0xff }, drivers.Implausible},
		"nobody there":     {func(c *meter) { c.floatAt = 1 }, drivers.Implausible},
		"no answer":        {func(c *meter) { c.failAt = 1 }, drivers.NoAnswer},
	} {
		chip := newMeter()
		c.change(chip)
		id, err := device(t, chip).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "ADE7880") {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if len(chip.writes) != 0 {
			t.Errorf("%s: identifying wrote % x", name, chip.writes)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newMeter()
	d := device(t, c)
	_, identified := d.Identify(ctx)
	_, sensed := d.Sense(ctx)
	for _, err := range []error{identified, sensed, d.Configure(ctx), d.Verify(ctx)} {
		if !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	}
	if c.transfers != 0 {
		t.Errorf("%d transfers", c.transfers)
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

// meter is a register file with the part's habits: a memory that takes writes through a pipeline and none while it is
// closed, a status that is cleared by writing 1, and a checksum that is known after a reset alone.
type meter struct {
	regs      map[Reg]uint32
	sum       uint32
	pipeline  []write
	key       bool // the last write opened the way to the protection
	closed    bool
	reset1    bool // somebody reset the part by software
	deaf      Reg
	failAt    int  // this transfer is not acknowledged, counted from 1
	floatAt   int  // from this transfer on nobody drives the bus, counted from 1
	holdAt    int  // from this transfer on the line is held low, counted from 1
	spoilt    int  // what this transfer reads is of the bus, counted from 1
	with      byte // which reads this
	read      []Reg
	transfers int
	writes    [][]byte
}

type write struct {
	reg   Reg
	value uint32
}

func newMeter() *meter {
	c := &meter{}
	c.reset()
	return c
}

func (c *meter) reset() {
	c.regs = map[Reg]uint32{
		COMPMODE: 0x01ff, LCYCMODE: 0x78, WTHR: 3, Version: 1, STATUS1: 1 << 15, AVRMS: 0x39792c, APERIOD: 5120, AWATT: 0x19ce5e,
	}
	c.sum, c.closed, c.pipeline = 0xaffa63b9, false, nil
}

func (c *meter) String() string                  { return "meter" }
func (c *meter) SetSpeed(physic.Frequency) error { return nil }

func (c *meter) Tx(addr uint16, w, r []byte) error {
	if c.transfers++; addr != Address || c.transfers == c.failAt {
		return drivers.NoAnswer
	}
	reg := Reg(w[0])<<8 | Reg(w[1])
	if len(r) == 0 {
		c.write(reg, w)
		return nil
	}
	if len(r) != reg.width() {
		return errors.New("wrong width")
	}
	v := c.regs[reg]
	if reg == CHECKSUM {
		v = c.sum
	}
	for i := range r {
		r[i] = byte(v >> (8 * (len(r) - 1 - i)))
	}
	c.read = append(c.read, reg)
	switch {
	case c.floatAt != 0 && c.transfers >= c.floatAt:
		copy(r, bytes.Repeat([]byte{0xff}, len(r)))
	case c.holdAt != 0 && c.transfers >= c.holdAt:
		clear(r)
	case c.transfers == c.spoilt:
		copy(r, bytes.Repeat([]byte{c.with}, len(r)))
	}
	return nil
}

func (c *meter) write(reg Reg, w []byte) {
	c.writes = append(c.writes, slices.Clone(w))
	var v uint32
	for _, x := range w[2:] {
		v = v<<8 | uint32(x)
	}
	key := c.key
	c.key = reg == 0xe7fe && v == 0xad
	switch {
	case reg == 0xe618 && v&0x80 != 0:
		c.reset1 = true
	case reg == 0xe7e3:
		c.closed = key && v == 0x80 || !key && c.closed
	case reg == c.deaf:
	case reg == STATUS1:
		c.regs[reg] &^= v
	case reg >= 0x4380 && reg <= 0x43be:
		c.remember(reg, v)
	default:
		c.regs[reg] = v
		if reg != Run {
			c.sum = 0x5eed // the settings moved
		}
	}
}

// remember takes a write to the memory: it arrives when two more have come.
func (c *meter) remember(reg Reg, v uint32) {
	if c.closed {
		return
	}
	c.pipeline = append(c.pipeline, write{reg, v})
	if len(c.pipeline) > 2 {
		c.regs[c.pipeline[0].reg] = c.pipeline[0].value
		c.pipeline = c.pipeline[1:]
	}
}
