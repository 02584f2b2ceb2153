package psu

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

const addr = 0x58

func TestNewChecksOptions(t *testing.T) {
	m := load(t, "crps")
	if _, err := New(nil, Opts{Addr: addr, Model: m}); err == nil {
		t.Error("no bus was taken")
	}
	if _, err := New(&supply{}, Opts{Addr: addr}); err == nil {
		t.Error("no model was taken")
	}
	if _, err := New(&supply{}, Opts{Addr: 0x78, Model: m}); err == nil {
		t.Error("a reserved address was taken")
	}
	d, err := New(&supply{}, Opts{Name: "left", Addr: addr, Model: m})
	if err != nil || d.String() != `psu "left"` || d.Model() != m {
		t.Errorf("%v, %v", d, err)
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name  string
		model string
		with  func(s *supply)
		want  drivers.Ident
		fault drivers.Fault
	}{
		{"any maker", "crps", nil, drivers.Ident{Manufacturer: "DELTA", Product: "DPS-2000AB", Serial: "SN12345", Version: "S1F"}, drivers.None},
		{"checks packets", "crps", func(s *supply) { s.pec = true }, drivers.Ident{Manufacturer: "DELTA", Product: "DPS-2000AB", Serial: "SN12345", Version: "S1F"}, drivers.None},
		{"the maker's own", "ocp-mwocp68", (*supply).murata, drivers.Ident{Manufacturer: "Murata-PS", Product: "MWOCP68-3600-D-RM", Serial: "LL2216RB0012", Version: "0762-0701-0000"}, drivers.None},
		{"another maker", "ocp-mwocp68", nil, drivers.Ident{}, drivers.WrongDevice},
		{"another product", "ocp-mwocp68", func(s *supply) { s.murata(); s.blocks[0x9a] = "MWOCP67-5500-B-RM" }, drivers.Ident{}, drivers.WrongDevice},
		{"no text", "crps", func(s *supply) { s.blocks[0x99] = "\x01\x02" }, drivers.Ident{}, drivers.Corrupt},
		{"absent", "crps", func(s *supply) { s.err = drivers.NoAnswer }, drivers.Ident{}, drivers.NoAnswer},
		{"nobody drives the line", "crps", func(s *supply) { s.float = true }, drivers.Ident{}, drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fresh()
			if c.with != nil {
				c.with(s)
			}
			id, err := device(t, s, load(t, c.model)).Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || id != c.want {
				t.Errorf("%+v, %v", id, err)
			}
			if len(s.written) != 0 {
				t.Errorf("identifying wrote %x", s.written)
			}
		})
	}
}

func TestSense(t *testing.T) {
	for _, pec := range []bool{false, true} {
		s := fresh()
		s.pec = pec
		d := device(t, s, load(t, "crps"))
		if _, err := d.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		m, err := d.Sense(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.VIN.Value != 230*physic.Volt || m.IIN.Value != 2*physic.Ampere || m.PIN.Value != 460*physic.Watt ||
			math.Abs(float64(m.VOUT.Value)/1e9-12.19922) > 5e-6 || m.IOUT.Value != 36*physic.Ampere || m.POUT.Value != 436*physic.Watt {
			t.Errorf("%+v %+v %+v %+v %+v %+v", m.VIN, m.IIN, m.PIN, m.VOUT, m.IOUT, m.POUT)
		}
		if m.Temperatures[0].Value != physic.ZeroCelsius+30*physic.Kelvin || m.Temperatures[2].Fault != drivers.Implausible {
			t.Errorf("%+v %+v", m.Temperatures[0], m.Temperatures[2])
		}
		if m.Fans[0].Value != 8000 || m.Fans[1] != nil || m.EOUT != nil {
			t.Errorf("%+v, %+v, %+v", m.Fans[0], m.Fans[1], m.EOUT)
		}
		if m.EIN.Count != (pmbus.Count{Energy: 8_355_600, Samples: 0x010000}) || m.EIN.Fault != drivers.None {
			t.Errorf("%+v", m.EIN)
		}
		if m.Status != 0 || m.Faults != nil || m.Details != nil {
			t.Errorf("%v %v %v", m.Status, m.Faults, m.Details)
		}
		if len(s.written) != 0 {
			t.Errorf("sensing wrote %x", s.written)
		}
	}
}

// Only the registers that STATUS_WORD points to are read.
func TestFaults(t *testing.T) {
	s := fresh()
	s.words[0x79] = 0x2848 // input, power not good, off, VIN under-voltage
	s.words[0x88] = 0
	s.bytes[0x7c] = 0x18
	d := device(t, s, load(t, "crps"))
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"input", "off", "off_input_low", "power_not_good", "vin_uv_fault"}; !slices.Equal(m.Faults, want) {
		t.Errorf("%v", m.Faults)
	}
	if len(m.Details) != 1 || m.Details[pmbus.STATUS_INPUT] != 0x18 {
		t.Errorf("%v", m.Details)
	}
	if m.VIN.Value != 0 || m.VIN.Fault != drivers.None {
		t.Errorf("the input is away, and said so: %+v", m.VIN)
	}
	for _, at := range []byte{0x7a, 0x7b, 0x7d, 0x7e, 0x80, 0x81} {
		if slices.Contains(s.read, at) {
			t.Errorf("%02x was read", at)
		}
	}
	s.words[0x79] = 0xffff
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("%v", err)
	}
}

func TestValuesThatAreNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name string
		at   byte
		word uint16
		of   func(m Measurement) drivers.Fault
		want drivers.Fault
	}{
		{"input of exactly 0", 0x88, 0x0000, func(m Measurement) drivers.Fault { return m.VIN.Fault }, drivers.Implausible},
		{"input released", 0x88, 0xffff, func(m Measurement) drivers.Fault { return m.VIN.Fault }, drivers.Implausible},
		{"current of exactly 0", 0x8c, 0x0000, func(m Measurement) drivers.Fault { return m.IOUT.Fault }, drivers.None},
		{"offset of an idle supply", 0x89, 0xfffe, func(m Measurement) drivers.Fault { return m.IIN.Fault }, drivers.Implausible}, // -1 A of 20
		{"small offset", 0x89, 0xe7ff, func(m Measurement) drivers.Fault { return m.IIN.Fault }, drivers.None},                    // -1/16 A
		{"1.2 times the rating", 0x97, 0x1234, func(m Measurement) drivers.Fault { return m.PIN.Fault }, drivers.None},            // 4 x 564
		{"beyond", 0x97, 0x1bff, func(m Measurement) drivers.Fault { return m.PIN.Fault }, drivers.Implausible},                   // 8 x 1023
		{"letters of a shifted answer", 0x88, 0x4441, func(m Measurement) drivers.Fault { return m.VIN.Fault }, drivers.Implausible},
		{"fan backwards", 0x90, 0x0700, func(m Measurement) drivers.Fault { return m.Fans[0].Fault }, drivers.Implausible},
		{"colder than a rack", 0x8d, 0x07c0, func(m Measurement) drivers.Fault { return m.Temperatures[0].Fault }, drivers.Implausible}, // -64
	} {
		s := fresh()
		s.words[c.at] = c.word
		m, err := device(t, s, load(t, "crps")).Sense(t.Context())
		if err != nil || c.of(m) != c.want {
			t.Errorf("%s: %v, %v", c.name, c.of(m), err)
		}
	}
}

func TestVoutMode(t *testing.T) {
	for _, c := range []struct {
		mode  byte
		word  uint16
		volts float64
		fault drivers.Fault
	}{
		{0x17, 0x1800, 12, drivers.None},
		{0x16, 0x3000, 12, drivers.None},
		{0x60, 0x4a00, 12, drivers.None},
		{0x25, 0x1800, 0, drivers.Unsupported},
		{0x40, 0x1800, 0, drivers.Unsupported},
		{0xff, 0x1800, 0, drivers.Implausible},
		{0x1f, 0x1800, 0, drivers.Implausible}, // 3072 V
	} {
		s := fresh()
		s.bytes[0x20], s.words[0x8b] = c.mode, c.word
		m, err := device(t, s, load(t, "crps")).Sense(t.Context())
		if err != nil || m.VOUT.Fault != c.fault || c.fault == drivers.None && float64(m.VOUT.Value)/1e9 != c.volts {
			t.Errorf("%02x %04x: %+v, %v", c.mode, c.word, m.VOUT, err)
		}
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(s *supply)
		fault drivers.Fault
	}{
		{"absent", func(s *supply) { s.err = drivers.NoAnswer }, drivers.NoAnswer},
		{"timeout", func(s *supply) { s.err = drivers.Timeout }, drivers.Timeout},
		{"nobody drives the line", func(s *supply) { s.float = true }, drivers.Implausible},
		{"two readings of ones", func(s *supply) { s.words[0x88], s.words[0x89] = 0xffff, 0xffff }, drivers.Implausible},
	} {
		s := fresh()
		c.with(s)
		if m, err := device(t, s, load(t, "crps")).Sense(t.Context()); drivers.FaultOf(err) != c.fault || m.VIN != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, fresh(), load(t, "crps")).Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

// A supply whose firmware hands out the rest of an answer that broke off: no later reading is shifted by it.
func TestAnswerThatBrokeOff(t *testing.T) {
	s := fresh()
	d := device(t, s, load(t, "crps"))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.breakOff = 0x86 // in the middle of the last reading
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Timeout) {
		t.Fatal(err)
	}
	s.breakOff = 0
	if len(s.unread) == 0 {
		t.Fatal("the double queues nothing")
	}
	m, err := d.Sense(t.Context())
	if err != nil || m.VIN.Value != 230*physic.Volt || m.EIN.Energy != 8_355_600 {
		t.Errorf("%+v, %v", m.VIN, err)
	}
	// The same, and meanwhile another supply stands there: it does not pass for the first.
	s.breakOff = 0x86
	_, _ = d.Sense(t.Context())
	s.breakOff, s.blocks[0x99] = 0, "OTHER"
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Corrupt) {
		t.Errorf("%v", err)
	}
	if id, err := d.Identify(t.Context()); err != nil || id.Manufacturer != "OTHER" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := d.Sense(t.Context()); err != nil {
		t.Error(err)
	}
}

// Pages that settle slowly, delays between accesses, VOUT in a format of its own.
func TestOddSupply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fresh()
		s.now, s.slow, s.between = time.Now, 20*time.Millisecond, 1500*time.Microsecond
		s.words[0x8b] = 0xd300
		s.words[0x91] = 0x03e8
		s.blocks[0x86], s.blocks[0x87] = "\x01\xf8\x00\x01\x00\x00", "\x02\xf8\x00\x01\x00\x00"
		d := device(t, s, load(t, "odd"))
		m, err := d.Sense(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.VOUT.Value != 12*physic.Volt || m.IIN != nil || m.Fans[0] != nil || m.Fans[1].Value != 1000 || m.Temperatures[1] != nil {
			t.Errorf("%+v", m)
		}
		if m.EIN.Exponent != -1 || m.EIN.Energy != 1 || m.EOUT.Energy != 2 {
			t.Errorf("%+v, %+v", m.EIN, m.EOUT)
		}
		if s.page != 0x20 || s.early != 0 || s.outside != 0 || len(s.written) != 1 {
			t.Errorf("page %02x, %d accesses too early, %d outside of the job, wrote %x", s.page, s.early, s.outside, s.written)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if _, err := d.Sense(ctx); !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzSense(f *testing.F) {
	f.Add(uint16(0), uint16(0xf9cc), uint16(0x1866), byte(0x17), []byte("\x10\x7f\xfe\x00\x00\x01"))
	f.Add(uint16(0x2848), uint16(0), uint16(0xffff), byte(0xff), []byte("\xff"))
	f.Add(uint16(0xffff), uint16(0xffff), uint16(0), byte(0x60), []byte{})
	f.Fuzz(func(t *testing.T, status, word, vout uint16, mode byte, ein []byte) {
		s := fresh()
		s.words[0x79], s.words[0x8b], s.bytes[0x20], s.blocks[0x86] = status, vout, mode, string(ein)
		for at := byte(0x88); at < 0x98; at++ {
			if at != 0x8b {
				s.words[at] = word
			}
		}
		m, err := device(t, s, load(t, "crps")).Sense(context.Background())
		if err != nil {
			return
		}
		if v := m.VOUT; v.Fault == drivers.None && (v.Value < -physic.Volt || v.Value > 15*physic.Volt) {
			t.Fatalf("%+v", v)
		}
		if v := m.PIN; v.Fault == drivers.None && (v.Value < -70*physic.Watt || v.Value > 4200*physic.Watt) {
			t.Fatalf("%+v", v)
		}
		if e := m.EIN; e.Fault == drivers.None && e.Energy >= 256*0x8000 {
			t.Fatalf("%+v", e)
		}
	})
}

func load(tb testing.TB, name string) *Model {
	tb.Helper()
	if name == "odd" {
		m, err := ParseModel("odd.yaml", testFile(tb, "testdata/odd.yaml"))
		if err != nil {
			tb.Fatal(err)
		}
		return m
	}
	m, err := LoadModel(name)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func device(t *testing.T, s *supply, m *Model) *Dev {
	t.Helper()
	d, err := New(s, Opts{Name: "t", Addr: addr, Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// supply is a register file that hands out unread bytes first, and the handle of the bus it is alone on.
type supply struct {
	words    map[byte]uint16
	bytes    map[byte]byte
	blocks   map[byte]string
	pec      bool
	float    bool // nobody drives the line
	err      error
	breakOff byte // a read of this register times out after two bytes
	unread   []byte
	written  [][]byte
	read     []byte
	page     byte

	inJob          bool
	outside, early int
	now            func() time.Time
	slow, between  time.Duration
	paged, last    time.Time
}

func fresh() *supply {
	return &supply{
		words: map[byte]uint16{
			0x79: 0, 0x88: 0xf9cc, 0x89: 0x0002, 0x97: 0x01cc, 0x8b: 0x1866, 0x8c: 0x0024, 0x96: 0x01b4,
			0x8d: 0x001e, 0x8e: 0x0037, 0x8f: 0x0100, 0x90: 0x1bff - 0x17, 0x91: 0,
		},
		bytes: map[byte]byte{0x19: 0x30, 0x20: 0x17, 0x98: 0x22},
		blocks: map[byte]string{
			0x86: "\x10\x7f\xfe\x00\x00\x01", 0x99: "DELTA", 0x9a: "DPS-2000AB  ", 0x9b: "S1F", 0x9e: "SN12345\x00",
		},
	}
}

func (s *supply) murata() {
	s.blocks[0x99], s.blocks[0x9a] = "Murata-PS", "MWOCP68-3600-D-RM"
	s.blocks[0x9b], s.blocks[0x9e] = "0762-0701-0000", "LL2216RB0012"
}

func (s *supply) String() string                  { return "supply" }
func (s *supply) SetSpeed(physic.Frequency) error { return nil }

func (s *supply) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	s.inJob = true
	defer func() { s.inJob = false }()
	return job(s)
}

func (s *supply) Tx(_ uint16, w, r []byte) error {
	s.watch(w)
	switch {
	case s.err != nil:
		return s.err
	case len(r) == 0:
		s.written = append(s.written, slices.Clone(w))
		s.page = w[1]
		return nil
	case s.float:
		copy(r, slices.Repeat([]byte{0xff}, len(r)))
		return nil
	}
	s.read = append(s.read, w[0])
	if len(s.unread) == 0 {
		s.unread = s.answer(w)
	}
	broke := s.breakOff != 0 && s.breakOff == w[0]
	if broke {
		r = r[:2]
	}
	n := copy(r, s.unread)
	s.unread = s.unread[n:]
	for i := n; i < len(r); i++ {
		r[i] = 0xff
	}
	if broke {
		return drivers.Timeout
	}
	if s.pec {
		s.unread = nil // a read without a code is no unread byte
	}
	return nil
}

// watch counts accesses that come too soon.
func (s *supply) watch(w []byte) {
	if s.now == nil {
		return
	}
	if !s.inJob {
		s.outside++
	}
	now := s.now()
	if now.Sub(s.paged) < s.slow || now.Sub(s.last) < s.between {
		s.early++
	}
	s.last = now
	if len(w) == 2 && w[0] == 0 {
		s.paged = now
	}
}

func (s *supply) answer(w []byte) []byte {
	at, out := w[0], []byte{0xff, 0xff}
	word, isWord := s.words[at]
	b, isByte := s.bytes[at]
	block, isBlock := s.blocks[at]
	switch {
	case at == 0:
		out = []byte{s.page}
	case isBlock:
		out = append([]byte{byte(len(block))}, block...)
	case isWord:
		out = []byte{byte(word), byte(word >> 8)}
	case at == 0x19 && s.pec:
		out = []byte{b | 0x80}
	case isByte:
		out = []byte{b}
	}
	if s.pec {
		covered := append([]byte{addr << 1}, w...)
		out = append(out, pmbus.PEC(append(append(covered, addr<<1|1), out...)...))
	}
	return out
}
