package mcp39f521

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x74

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
	for name, o := range map[string]Opts{
		"address below":        {Addr: 0x73},
		"address above":        {Addr: 0x78},
		"negative places":      {Addr: addr, Scale: Scale{Volt: -1, Watt: 2}},
		"too many places of V": {Addr: addr, Scale: Scale{Volt: 10}},
		"too many of Hz":       {Addr: addr, Scale: Scale{Hertz: 7}},
		"too many of A":        {Addr: addr, Scale: Scale{Ampere: 10}},
		"too many of W":        {Addr: addr, Scale: Scale{Watt: 10}},
		"too many of Wh":       {Addr: addr, Scale: Scale{WattHour: 10}},
	} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if d, err := New(bus, Opts{Addr: addr}); err != nil || d.scale != DefaultScale() {
		t.Errorf("%+v, %v", d, err)
	}
}

// One full sample, byte for byte: 230.1 V, 50.021 Hz, 4.5678 A; 1046.27 W flow back, 102.00 var are inductive.
func TestSenseBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
			{Addr: addr, W: []byte{0xa5, 0x08, 0x41, 0x00, 0x02, 0x4e, 0x1c, 0x5a}},
			{Addr: addr, R: answer(
				0x20, 0x04, 0x12, 0x53, 0xfd, 0x08, 0x65, 0xc3, 0x00, 0x00, 0x52, 0x80,
				0x6e, 0xb2, 0x00, 0x00, 0xb3, 0x98, 0x01, 0x00, 0xd8, 0x27, 0x00, 0x00, 0x9c, 0x9a, 0x01, 0x00,
			)},
			{Addr: addr, W: []byte{0xa5, 0x08, 0x41, 0x00, 0x1e, 0x4e, 0x20, 0x7a}},
			{Addr: addr, R: answer(
				0x40, 0x42, 0x0f, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x01, 0, 0, 0, 0, 0, 0,
			)},
			{Addr: addr, W: []byte{0xa5, 0x08, 0x41, 0x00, 0xdc, 0x4e, 0x02, 0x1a}},
			{Addr: addr, R: []byte{0x06, 0x05, 0x01, 0x00, 0x0c}},
		}}
		m, err := device(t, bus).Sense(t.Context())
		want := Measurement{
			Voltage: 230100 * physic.MilliVolt, Frequency: 50021 * physic.MilliHertz, Current: 4567800 * physic.MicroAmpere,
			Power: -1046270 * physic.MilliWatt, Reactive: 102 * physic.Watt, Apparent: 1051160 * physic.MilliWatt,
			PowerFactor: float64(int16(-0x7fae)) / 32768, Status: Event | ReactivePositive,
			Energy: Energy{
				ImportActive: 1_000_000, ExportActive: 0x80000000000000ff, ImportReactive: 1, ExportReactive: 258, JoulePerCount: 3.6,
			},
			Raw: Codes{
				Voltage: 0x08fd, Frequency: 0xc365, PowerFactor: 0x8052, Current: 0xb26e, Active: 0x0198b3, Reactive: 0x27d8, Apparent: 0x019a9c,
			},
		}
		if err != nil || m != want {
			t.Errorf("%+v\nwant %+v, %v", m, want, err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestConfigureBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := i2ctest.IO{Addr: addr, W: []byte{0xa5, 0x08, 0x41, 0x00, 0xdc, 0x4e, 0x02, 0x1a}}
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
			ask,
			{Addr: addr, R: []byte{0x06, 0x05, 0x00, 0x00, 0x0b}},
			{Addr: addr, W: []byte{0xa5, 0x0a, 0x41, 0x00, 0xdc, 0x4d, 0x02, 0x01, 0x00, 0x1c}},
			{Addr: addr, R: []byte{0x06}},
			ask,
			{Addr: addr, R: []byte{0x06, 0x05, 0x01, 0x00, 0x0c}},
		}}
		if err := device(t, bus).Configure(t.Context()); err != nil {
			t.Error(err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestConfigure(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
		writes int
	}{
		"restarted":       {func(*meter) {}, drivers.None, 1},
		"counting":        {func(c *meter) { c.counting = 1 }, drivers.None, 0},
		"something else":  {func(c *meter) { c.counting = 0x0100 }, drivers.None, 1},
		"does not take":   {func(c *meter) { c.deaf = true }, drivers.Mismatch, 1},
		"refuses":         {func(c *meter) { c.refuse = 0x15 }, drivers.Unsupported, 1},
		"refuses as 07":   {func(c *meter) { c.refuse = 0x07 }, drivers.Unsupported, 1},
		"heard otherwise": {func(c *meter) { c.refuse = 0x51 }, drivers.Corrupt, 1},
		"absent":          {func(c *meter) { c.failAt, c.failFor = 1, 99 }, drivers.NoAnswer, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip := newMeter()
			c.change(chip)
			if err := device(t, chip).Configure(t.Context()); drivers.FaultOf(err) != c.fault {
				t.Errorf("%s: %v", name, err)
			}
			if chip.writes != c.writes {
				t.Errorf("%s: %d writes", name, chip.writes)
			}
		})
	}
}

func TestSenseFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*meter)
		fault  drivers.Fault
	}{
		"good":                {func(*meter) {}, drivers.None},
		"restarted":           {func(c *meter) { c.counting = 0 }, drivers.Restarted},
		"swapped bytes":       {func(c *meter) { c.counting = 0x0100 }, drivers.Mismatch},
		"switch at all ones":  {func(c *meter) { c.counting = 0xffff }, drivers.Implausible},
		"nobody drives":       {func(c *meter) { c.spoil = func(b []byte) { fill(b, 0xff) } }, drivers.Implausible},
		"held low":            {func(c *meter) { c.spoil = func(b []byte) { fill(b, 0x00) } }, drivers.Corrupt},
		"wrong length":        {func(c *meter) { c.spoil = func(b []byte) { b[1]++ } }, drivers.Corrupt},
		"flipped bit":         {func(c *meter) { c.spoil = func(b []byte) { b[5] ^= 0x10 } }, drivers.Corrupt},
		"wrong checksum":      {func(c *meter) { c.spoil = func(b []byte) { b[len(b)-1]++ } }, drivers.Corrupt},
		"voltage at all ones": {func(c *meter) { c.output[4], c.output[5] = 0xff, 0xff }, drivers.Implausible},
		"power at all ones":   {func(c *meter) { fill(c.output[16:20], 0xff) }, drivers.Implausible},
		"energy at all ones":  {func(c *meter) { fill(c.energy[:8], 0xff) }, drivers.None},
		"factor at -1/32768":  {func(c *meter) { c.output[10], c.output[11] = 0xff, 0xff }, drivers.None},
		"frame not taken":     {func(c *meter) { c.failAt, c.failFor = 3, 1 }, drivers.NoAnswer},
		"answer once refused": {func(c *meter) { c.failAt, c.failFor = 2, 1 }, drivers.None},
		"answer never comes":  {func(c *meter) { c.failAt, c.failFor = 2, 99 }, drivers.NoAnswer},
		"bus held":            {func(c *meter) { c.failAt, c.failFor, c.with = 2, 1, drivers.Timeout }, drivers.Timeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip := newMeter()
			chip.counting = 1
			c.change(chip)
			m, err := device(t, chip).Sense(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && m != (Measurement{}) {
				t.Errorf("%s: a failed sample gave %+v", name, m)
			}
		})
	}
}

// A meter that restarts while it is being read spoils that sample.
func TestRestartInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := newMeter()
		chip.counting = 1
		chip.before = func(frames int) {
			if frames == 2 {
				chip.counting, chip.energy = 0, [energyBytes]byte{}
			}
		}
		if _, err := device(t, chip).Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Error(err)
		}
	})
}

// Only the fetch is repeated, every 10 ms, and no more often than five times.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		needs time.Duration
		busy  []byte // first byte while the answer is not there; empty: not acknowledged
		took  time.Duration
		fault drivers.Fault
	}{
		{"at once", 0, nil, 10 * time.Millisecond, drivers.None},
		{"within the pause", 10 * time.Millisecond, []byte{0x00}, 10 * time.Millisecond, drivers.None},
		{"later", 35 * time.Millisecond, []byte{0x00}, 40 * time.Millisecond, drivers.None},
		{"later, not acknowledging", 35 * time.Millisecond, nil, 40 * time.Millisecond, drivers.None},
		{"at the last try", 60 * time.Millisecond, []byte{0xff}, 60 * time.Millisecond, drivers.None},
		{"too late", 61 * time.Millisecond, []byte{0x00}, 60 * time.Millisecond, drivers.Corrupt},
		{"too late, floating", 61 * time.Millisecond, []byte{0xff}, 60 * time.Millisecond, drivers.Implausible},
		{"too late, not acknowledging", 61 * time.Millisecond, nil, 60 * time.Millisecond, drivers.NoAnswer},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip := newMeter()
			chip.needs, chip.busy = c.needs, c.busy
			begin := time.Now()
			_, err := device(t, chip).Identify(t.Context())
			if took := time.Since(begin); took != c.took || drivers.FaultOf(err) != c.fault {
				t.Errorf("%s: %v after %v", c.name, err, took)
			}
			if len(chip.frames) != 1 {
				t.Errorf("%s: %d frames", c.name, len(chip.frames))
			}
		})
	}
}

func TestEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := newMeter()
		d := device(t, chip)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, identified := d.Identify(ctx)
		_, sensed := d.Sense(ctx)
		for _, err := range []error{identified, sensed, d.Configure(ctx)} {
			if !errors.Is(err, drivers.Cancelled) {
				t.Errorf("%v", err)
			}
		}
		if chip.transfers != 0 {
			t.Errorf("%d transfers", chip.transfers)
		}
	})
}

// A wait ends with its context, not at its own time.
func TestEndOfContextWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := newMeter()
		chip.needs = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 23*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := device(t, chip).Sense(ctx)
		if took := time.Since(begin); took != 23*time.Millisecond || !errors.Is(err, drivers.Cancelled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		version uint16
		fault   drivers.Fault
		want    string
	}{
		{0x5312, drivers.None, "5312"},
		{0x5c31, drivers.None, "5c31"},
		{0x5012, drivers.WrongDevice, ""},
		{0x5d12, drivers.WrongDevice, ""},
		{0x0000, drivers.WrongDevice, ""},
		{0xffff, drivers.Implausible, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip := newMeter()
			chip.output[2], chip.output[3] = byte(c.version), byte(c.version>>8)
			id, err := device(t, chip).Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || id.Version != c.want {
				t.Errorf("%04x: %+v, %v", c.version, id, err)
			}
			if want := []byte{0xa5, 0x08, 0x41, 0x00, 0x04, 0x4e, 0x02, 0x42}; !bytes.Equal(chip.frames[0], want) {
				t.Errorf("asked with % x", chip.frames[0])
			}
		})
	}
}

func TestEnergyCorrection(t *testing.T) {
	for _, c := range []struct {
		n       uint16
		correct bool
		joule   float64
		fault   drivers.Fault
	}{
		{2, false, 3.6, drivers.None},
		{5, false, 3.6, drivers.None},
		{2, true, 3.6, drivers.None},
		{5, true, 28.8, drivers.None},
		{1, true, 1.8, drivers.None},
		{0, true, 0.9, drivers.None},
		{9, true, 0, drivers.Implausible},
		{0xffff, true, 0, drivers.Implausible},
	} {
		synctest.Test(t, func(t *testing.T) {
			chip := newMeter()
			chip.counting, chip.n = 1, c.n
			d, err := New(chip, Opts{Name: "t", Addr: addr, CorrectEnergy: c.correct})
			if err != nil {
				t.Fatal(err)
			}
			m, err := d.Sense(t.Context())
			if m.Energy.JoulePerCount != c.joule || drivers.FaultOf(err) != c.fault {
				t.Errorf("N %d: %g J, %v", c.n, m.Energy.JoulePerCount, err)
			}
		})
	}
}

// No verb, on no meter, ever sends anything but reads and the one write that turns energy counting on: commands that
// save, erase or calibrate are a byte away.
func TestNothingElseIsSent(t *testing.T) {
	verbs := map[string]func(context.Context, *Dev) error{
		"identify":  func(ctx context.Context, d *Dev) error { _, err := d.Identify(ctx); return err },
		"configure": func(ctx context.Context, d *Dev) error { return d.Configure(ctx) },
		"sense":     func(ctx context.Context, d *Dev) error { _, err := d.Sense(ctx); return err },
		"string":    func(_ context.Context, d *Dev) error { _ = d.String(); return nil },
	}
	meters := map[string]func(*meter){
		"restarted": func(*meter) {},
		"counting":  func(c *meter) { c.counting = 1 },
		"deaf":      func(c *meter) { c.deaf = true },
		"refusing":  func(c *meter) { c.refuse = 0x15 },
		"deafened":  func(c *meter) { c.refuse = 0x51 },
		"busy":      func(c *meter) { c.needs = time.Second },
		"floating":  func(c *meter) { c.spoil = func(b []byte) { fill(b, 0xff) } },
		"low":       func(c *meter) { c.spoil = func(b []byte) { fill(b, 0) } },
		"garbled":   func(c *meter) { c.spoil = func(b []byte) { b[len(b)/2] ^= 0x40 } },
		"odd N":     func(c *meter) { c.counting, c.n = 1, 0x4d53 },
	}
	frames := 0
	for verb, do := range verbs {
		for name, change := range meters {
			for failAt := range 14 {
				synctest.Test(t, func(t *testing.T) {
					chip := newMeter()
					change(chip)
					chip.failAt, chip.failFor = failAt, 1
					d, err := New(chip, Opts{Name: "t", Addr: addr, CorrectEnergy: true})
					if err != nil {
						t.Fatal(err)
					}
					_ = do(t.Context(), d) // what it says is judged elsewhere
					for _, f := range chip.frames {
						if !harmless(f) {
							t.Errorf("%s on a %s meter, transfer %d failing, sent % x", verb, name, failAt, f)
						}
					}
					frames += len(chip.frames)
				})
			}
		}
	}
	if frames < 500 {
		t.Errorf("only %d frames were judged", frames)
	}
}

func TestHarmlessTellsHarmful(t *testing.T) {
	for name, f := range map[string][]byte{
		"save":                    {0xa5, 0x04, 0x53, 0xfc},
		"calibrate gain":          {0xa5, 0x04, 0x5a, 0x03},
		"calibrate reactive gain": {0xa5, 0x04, 0x7a, 0x23},
		"calibrate frequency":     {0xa5, 0x04, 0x76, 0x1f},
		"erase":                   {0xa5, 0x04, 0x4f, 0xf8},
		"delimiter":               {0xa5, 0x0a, 0x41, 0x00, 0x5e, 0x4d, 0x02, 0xa5, 0xa5, 0xe7},
		"bytes swapped":           {0xa5, 0x0a, 0x41, 0x00, 0xdc, 0x4d, 0x02, 0x00, 0x01, 0x1c},
		"a save behind a read":    {0xa5, 0x09, 0x41, 0x00, 0x02, 0x4e, 0x1c, 0x53, 0xae},
		"wrong checksum":          {0xa5, 0x08, 0x41, 0x00, 0x02, 0x4e, 0x1c, 0x5b},
	} {
		if harmless(f) {
			t.Errorf("%s: % x", name, f)
		}
	}
	if !harmless([]byte{0xa5, 0x08, 0x41, 0x00, 0x02, 0x4e, 0x1c, 0x5a}) || !harmless([]byte{0xa5, 0x0a, 0x41, 0x00, 0xdc, 0x4d, 0x02, 0x01, 0x00, 0x1c}) {
		t.Error("the two that are allowed")
	}
}

// harmless tells whether a frame is a read, or the write of 0001 to 00DC.
func harmless(f []byte) bool {
	if len(f) < 8 || f[0] != 0xa5 || int(f[1]) != len(f) || f[2] != 0x41 {
		return false
	}
	var s byte
	for _, x := range f[:len(f)-1] {
		s += x
	}
	if s != f[len(f)-1] {
		return false
	}
	read := len(f) == 8 && f[5] == 0x4e
	return read || slices.Equal(f[3:len(f)-1], []byte{0x00, 0xdc, 0x4d, 0x02, 0x01, 0x00})
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// answer wraps data as the meter does.
func answer(data ...byte) []byte {
	b := append([]byte{0x06, byte(len(data) + 3)}, data...)
	var s byte
	for _, x := range b {
		s += x
	}
	return append(b, s)
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// meter has the part's habits: it takes a frame, needs its time, and gives its answer to any number of fetches.
type meter struct {
	output   [outputBytes]byte
	energy   [energyBytes]byte
	n        uint16
	counting uint16

	needs  time.Duration // from frame to answer
	busy   []byte        // first byte until then; empty: not acknowledged
	deaf   bool          // says that it took a write, and did not
	refuse byte          // answers writes with this
	spoil  func([]byte)  // changes answers
	before func(frames int)

	failAt, failFor int           // these transfers fail, counted from 1
	with            drivers.Fault // how; None: NoAnswer

	transfers, writes int
	frames            [][]byte
	pending           []byte
	ready             time.Time
}

func newMeter() *meter {
	return &meter{n: 2, output: [outputBytes]byte{
		0x30, 0x00, 0x12, 0x53, 0xfd, 0x08, 0x65, 0xc3, 0x00, 0x00, 0x52, 0x7f, 0x6e, 0xb2, 0x00, 0x00, 0xb3, 0x98, 0x01,
	}}
}

func (c *meter) String() string                  { return "meter" }
func (c *meter) SetSpeed(physic.Frequency) error { return nil }

func (c *meter) Tx(_ uint16, w, r []byte) error {
	c.transfers++
	if c.failAt > 0 && c.transfers >= c.failAt && c.transfers < c.failAt+c.failFor {
		if c.with != drivers.None {
			return c.with
		}
		return drivers.NoAnswer
	}
	if len(w) > 0 && len(r) > 0 {
		return errors.New("the answer needs a transfer of its own")
	}
	if len(w) > 0 {
		c.take(w)
		return nil
	}
	return c.give(r)
}

func (c *meter) give(r []byte) error {
	fill(r, 0xff)
	if time.Now().Before(c.ready) {
		if len(c.busy) == 0 {
			return drivers.NoAnswer
		}
		copy(r, c.busy)
		return nil
	}
	copy(r, c.pending)
	if c.spoil != nil && len(r) > 1 {
		c.spoil(r)
	}
	return nil
}

func (c *meter) take(w []byte) {
	c.frames = append(c.frames, slices.Clone(w))
	if c.before != nil {
		c.before(len(c.frames))
	}
	c.ready = time.Now().Add(c.needs)
	c.pending = c.reply(w)
}

func (c *meter) reply(w []byte) []byte {
	reg := uint16(w[3])<<8 | uint16(w[4])
	if w[5] == 0x4d {
		c.writes++
		if c.refuse != 0 {
			return []byte{c.refuse}
		}
		if !c.deaf && reg == 0x00dc {
			c.counting = uint16(w[8])<<8 | uint16(w[7])
		}
		return []byte{0x06}
	}
	switch reg {
	case 0x0002:
		return answer(c.output[:w[6]]...)
	case 0x0004:
		return answer(c.output[2 : 2+w[6]]...)
	case 0x001e:
		return answer(c.energy[:w[6]]...)
	case 0x009e:
		return answer(byte(c.n), byte(c.n>>8))
	case 0x00dc:
		return answer(byte(c.counting), byte(c.counting>>8))
	default:
		return []byte{0x15}
	}
}
