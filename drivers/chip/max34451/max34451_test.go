package max34451

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

const addr = 0x36

func TestNewChecksOptions(t *testing.T) {
	s := fresh()
	for _, o := range []Opts{{Addr: 0x79}, {Addr: addr, External: []byte{16}}, {Addr: addr, External: []byte{21}}} {
		if _, err := New(s, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

// Worked numbers of the Linux driver max34440.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		d     pmbus.Direct
		value float64
		code  uint16
	}{
		{Volts(), 12.034, 0x2f02},
		{Volts(), 3.3, 0x0ce4},
		{Amperes(), 12.5, 0x04e2},
		{Celsius(), 45.5, 0x11c6},
		{Celsius(), -40, 0xf060},
	} {
		if got, ok := c.d.Encode(c.value); !ok || got != c.code {
			t.Errorf("%v: %04x, %t", c.value, got, ok)
		}
		if v, ok := c.d.Decode(c.code); !ok || math.Abs(v-c.value) > 1e-9 {
			t.Errorf("%04x: %v, %t", c.code, v, ok)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name              string
		id, model, lo, hi byte
		fault             drivers.Fault
		version           string
	}{
		{"early", 0x4d, 0x59, 0x02, 0x00, drivers.None, "0002"},
		{"later", 0x4d, 0x59, 0x12, 0x00, drivers.None, "0012"},
		{"another maker", 0x41, 0x59, 0, 0, drivers.WrongDevice, ""},
		{"sister", 0x4d, 0x54, 0, 0, drivers.WrongDevice, ""},
		{"ones", 0xff, 0xff, 0xff, 0xff, drivers.Implausible, ""},
		{"no revision", 0x4d, 0x59, 0xff, 0xff, drivers.None, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
				{Addr: addr, W: []byte{0x19}, R: []byte{0x20}},
				{Addr: addr, W: []byte{0x99}, R: []byte{c.id}},
				{Addr: addr, W: []byte{0x9a}, R: []byte{c.model}},
				{Addr: addr, W: []byte{0x9b}, R: []byte{c.lo, c.hi}},
			}}
			id, err := device(t, direct{bus}).Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || id.Version != c.version {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestSense(t *testing.T) {
	s := fresh()
	d := device(t, s, 17, 20)
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range m.Channels {
		switch n {
		case 0, 1, 2: // sequenced, monitored, read
			if c.Voltage == nil || c.Current != nil || c.Voltage.Value != 12034*physic.MilliVolt || c.Fault != drivers.None {
				t.Errorf("channel %d: %+v", n, c)
			}
		case 3, 4:
			if c.Current == nil || c.Voltage != nil || c.Current.Value != 12500*physic.MilliAmpere {
				t.Errorf("channel %d: %+v", n, c)
			}
		case 7: // a setting of no data sheet
			if c.Voltage != nil || c.Current != nil || c.Fault != drivers.Unsupported {
				t.Errorf("channel %d: %+v", n, c)
			}
		default: // inputs, and channels that are off
			if c.Voltage != nil || c.Current != nil || c.Fault != drivers.None {
				t.Errorf("channel %d: %+v", n, c)
			}
		}
	}
	if m.Internal.Value != physic.ZeroCelsius+45500*physic.MilliKelvin || len(m.External) != 2 {
		t.Errorf("%+v, %+v", m.Internal, m.External)
	}
	if m.External[20].Fault != drivers.Implausible || m.External[20].Raw != 0x7fff || m.External[17].Fault != drivers.None {
		t.Errorf("%+v, %+v", m.External[17], m.External[20])
	}
	if m.Status != 0x0040 {
		t.Errorf("status %v", m.Status)
	}
	if s.outside != 0 || s.jobs != 19 {
		t.Errorf("%d jobs, %d transfers outside of one", s.jobs, s.outside)
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(s *sequencer)
		fault drivers.Fault
	}{
		{"absent", func(s *sequencer) { s.err = drivers.NoAnswer }, drivers.NoAnswer},
		{"the page is not taken", func(s *sequencer) { s.stuck = true }, drivers.Mismatch},
		{"nobody drives the line", func(s *sequencer) { s.float = true }, drivers.Implausible},
		{"the setting reads ones", func(s *sequencer) { s.config[5] = 0xffff }, drivers.Implausible},
	} {
		s := fresh()
		c.with(s)
		if m, err := device(t, s).Sense(t.Context()); drivers.FaultOf(err) != c.fault || m.Internal != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, fresh()).Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

// A channel that reads 0, as one that is off does and as a held bus does.
func TestZeroIsConfirmed(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(s *sequencer)
		want  physic.ElectricPotential
		extra int // transfers
		fault drivers.Fault
	}{
		{"ordinary", func(*sequencer) {}, 12034 * physic.MilliVolt, 0, drivers.None},
		{"off", func(s *sequencer) { s.vout = 0 }, 0, 3 * 2, drivers.None},
		{"held once", func(s *sequencer) { s.held, s.heldFor = readVout, 1 }, 12034 * physic.MilliVolt, 2, drivers.None},
		{"held for good", func(s *sequencer) { s.held, s.heldFor = readVout, 100 }, 0, 0, drivers.Implausible},
	} {
		plain := fresh()
		if _, err := device(t, plain).Sense(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := fresh()
		c.with(s)
		m, err := device(t, s).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if v := m.Channels[0].Voltage; v.Value != c.want || v.Fault != drivers.None || s.count != plain.count+c.extra {
			t.Errorf("%s: %+v with %d transfers instead of %d", c.name, v, s.count, plain.count)
		}
	}
}

// readVout is where the first value of all is read: after PAGE and its read-back, STATUS_WORD and MFR_CHANNEL_CONFIG.
const readVout = 5

// The part needs 50 us from PAGE to the next access.
func TestPageDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fresh()
		s.now = time.Now
		if _, err := device(t, s).Sense(t.Context()); err != nil || s.early != 0 {
			t.Errorf("%v, %d accesses too early", err, s.early)
		}
	})
}

func FuzzChannel(f *testing.F) {
	f.Add(uint16(0x0010), uint16(0x2f02))
	f.Add(uint16(0x1ea3), uint16(0xffff))
	f.Add(uint16(0x0007), uint16(0))
	f.Fuzz(func(t *testing.T, config, value uint16) {
		s := fresh()
		s.config[0], s.vout, s.iout = config, value, value
		m, err := device(t, s).Sense(context.Background())
		if err != nil {
			if config != 0xffff {
				t.Fatal(err)
			}
			return
		}
		c := m.Channels[0]
		if c.Voltage != nil && c.Current != nil || c.Fault != drivers.None && (c.Voltage != nil || c.Current != nil) {
			t.Fatalf("%04x: %+v", config, c)
		}
		if c.Voltage != nil && (c.Voltage.Fault == drivers.None) == (value == 0xffff) {
			t.Fatalf("%04x: %+v", value, c.Voltage)
		}
	})
}

func device(t *testing.T, bus interface {
	i2c.Bus
	Do(ctx context.Context, job func(tx i2c.Bus) error) error
}, external ...byte,
) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, External: external})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// direct makes a bus a handle whose jobs run at once.
type direct struct{ i2c.Bus }

func (d direct) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(d.Bus) }

// sequencer is a register file with pages, and the handle of the bus it is alone on.
type sequencer struct {
	config     [Channels]uint16
	vout, iout uint16
	page       byte
	err        error
	stuck      bool // PAGE does not change
	float      bool // nobody drives the line
	held       int  // from this transfer on, counted from 1, the line is held low
	heldFor    int  // for so many
	count      int  // transfers

	inJob         bool
	jobs, outside int
	now           func() time.Time
	paged         time.Time
	early         int
}

func fresh() *sequencer {
	return &sequencer{
		config: [Channels]uint16{0x0010, 0x3f20, 0x0021, 0x0022, 0x0023, 0x0030, 0x0034, 0x0011},
		vout:   0x2f02, iout: 0x04e2,
	}
}

func (s *sequencer) String() string                  { return "sequencer" }
func (s *sequencer) SetSpeed(physic.Frequency) error { return nil }

func (s *sequencer) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	s.inJob = true
	defer func() { s.inJob = false }()
	s.jobs++
	return job(s)
}

func (s *sequencer) Tx(_ uint16, w, r []byte) error {
	s.count++
	if !s.inJob {
		s.outside++
	}
	if s.now != nil && s.now().Sub(s.paged) < 50*time.Microsecond {
		s.early++
	}
	switch {
	case s.err != nil:
		return s.err
	case len(r) == 0:
		if !s.stuck {
			s.page = w[1]
		}
		if s.now != nil {
			s.paged = s.now()
		}
		return nil
	}
	v := s.value(w[0])
	for i := range r {
		r[i] = byte(v >> (8 * i))
		if s.float {
			r[i] = 0xff
		}
		if s.count >= s.held && s.count < s.held+s.heldFor {
			r[i] = 0
		}
	}
	return nil
}

func (s *sequencer) value(at byte) uint16 {
	switch at {
	case 0x00:
		return uint16(s.page)
	case 0x79:
		return 0x0040
	case 0x8b:
		return s.vout
	case 0x8c:
		return s.iout
	case 0x8d:
		if s.page == 20 {
			return 0x7fff
		}
		return 0x11c6
	case 0x99:
		return 0x4d
	case 0xe4:
		return s.config[s.page]
	default:
		return 0
	}
}
