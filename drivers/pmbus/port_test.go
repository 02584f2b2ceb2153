package pmbus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x58

func profile() Profile {
	return Profile{
		Reads:  []Command{CAPABILITY, OPERATION, COEFFICIENTS, STATUS_WORD, READ_VIN, READ_IIN, READ_PIN, READ_EIN, MFR_ID, MFR_MODEL, 0xd4},
		Writes: []Command{OPERATION, 0xd4, 0xd9},
		Names:  map[Command]string{0xd4: "PMON_CONFIG"},
		Pages:  []byte{0, 1},
		Proof:  Proof{MFR_ID, []byte("\x03ABC")},
	}
}

func port(t *testing.T, bus i2c.Bus, p Profile) *Port {
	t.Helper()
	got, err := New(bus, "psu", "t", addr, p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNewChecksTheProfile(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	able := []Command{CAPABILITY}
	for _, c := range []struct {
		name string
		p    Profile
		says string
	}{
		{"no register of one byte", Profile{Reads: []Command{READ_VIN}}, "CAPABILITY"},
		{"CLEAR_FAULTS", Profile{Reads: able, Writes: []Command{0x03}}, "CLEAR_FAULTS is never sent"},
		{"STORE_USER_ALL", Profile{Reads: able, Writes: []Command{0x15}}, "never sent"},
		{"RESTORE_DEFAULT_CODE", Profile{Reads: able, Writes: []Command{0x14}}, "never sent"},
		{"PAGE_PLUS_WRITE", Profile{Reads: able, Writes: []Command{0x05}}, "never sent"},
		{"PAGE", Profile{Reads: able, Writes: []Command{PAGE}}, "OnPage"},
		{"all pages", Profile{Reads: able, Pages: []byte{0xff}}, "page ff"},
	} {
		if _, err := New(bus, "psu", "t", addr, c.p); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, a := range []uint16{0, 0x07, 0x78} {
		if _, err := New(bus, "psu", "t", a, profile()); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, "psu", "t", addr, profile()); err == nil {
		t.Error("no bus was taken")
	}
}

// What the lists do not name never reaches the bus, and neither does anything under a context that has ended.
func TestListsAreKept(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true} // takes no transfer at all
	p := port(t, bus, profile())
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name  string
		fault drivers.Fault
		try   func() error
	}{
		{"read byte", drivers.Unsupported, func() error { _, err := p.Byte(t.Context(), "read", VOUT_MODE); return err }},
		{"read word", drivers.Unsupported, func() error { _, err := p.Word(t.Context(), "read", READ_VOUT); return err }},
		{"read block", drivers.Unsupported, func() error { _, err := p.Block(t.Context(), "read", MFR_SERIAL, 3); return err }},
		{"block of nothing", drivers.Unsupported, func() error { _, err := p.Block(t.Context(), "read", MFR_ID, 0); return err }},
		{"block of 33", drivers.Unsupported, func() error { _, err := p.Block(t.Context(), "read", MFR_ID, 33); return err }},
		{"clear faults", drivers.Unsupported, func() error { return p.Send(t.Context(), CLEAR_FAULTS) }},
		{"write byte", drivers.Unsupported, func() error { return p.SetByte(t.Context(), ON_OFF_CONFIG, 0) }},
		{"write word", drivers.Unsupported, func() error { return p.SetWord(t.Context(), VOUT_COMMAND, 0) }},
		{"write and read back", drivers.Unsupported, func() error {
			w, err := p.SetByteBack(t.Context(), ON_OFF_CONFIG, 0)
			if !w.At.IsZero() {
				t.Error("a refused write counts as sent")
			}
			return err
		}},
		{"page", drivers.Unsupported, func() error { return p.OnPage(t.Context(), direct{bus}, 2, nil) }},
		{"context over", drivers.Cancelled, func() error { _, err := p.Word(over, "read", READ_VIN); return err }},
	} {
		if err := c.try(); drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if bus.Count != 0 {
		t.Errorf("%d transfers", bus.Count)
	}
}

func TestReads(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x01}, R: []byte{0x80}},
		{Addr: addr, W: []byte{0x88}, R: []byte{0xcc, 0xf9}},
		{Addr: addr, W: []byte{0x99}, R: []byte("\x03ABC")},
		{Addr: addr, W: []byte{0x9a}, R: []byte("\x08LM5066\x00\x00")},
		{Addr: addr, W: []byte{0x30, 0x02, 0x88, 0x01}, R: []byte{5, 0x97, 2, 0, 0x50, 0xff}},
	}}
	p, ctx := port(t, bus, profile()), t.Context()
	if b, err := p.Byte(ctx, "read", OPERATION); b != 0x80 || err != nil {
		t.Errorf("%02x, %v", b, err)
	}
	if w, err := p.Word(ctx, "read", READ_VIN); w != 0xf9cc || err != nil {
		t.Errorf("%04x, %v", w, err)
	}
	if b, err := p.Block(ctx, "read", MFR_ID, 3); string(b) != "ABC" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if s, err := p.Text(ctx, "read", MFR_MODEL, 8); s != "LM5066" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if d, err := p.Coefficients(ctx, "read", READ_VIN, false); d != (Direct{M: 663, B: 20480, R: -1}) || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrites(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x01, 0x80}},
		{Addr: addr, W: []byte{0xd4, 0x3f, 0x3f}},
		{Addr: addr, W: []byte{0xd9}},
		{Addr: addr, W: []byte{0xd4, 0x34, 0x12}},
		{Addr: addr, W: []byte{0xd4}, R: []byte{0x34, 0x12}},
	}}
	p, ctx := port(t, bus, profile()), t.Context()
	if err := errors.Join(p.SetByte(ctx, OPERATION, 0x80), p.SetWord(ctx, 0xd4, 0x3f3f), p.Send(ctx, 0xd9)); err != nil {
		t.Error(err)
	}
	if w, err := p.SetWordBack(ctx, 0xd4, 0x1234); err != nil || w.Word != 0x1234 || w.Read.IsZero() {
		t.Errorf("%+v, %v", w, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestChecking(t *testing.T) {
	capability := func(b ...byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x19}, R: b} }
	for _, c := range []struct {
		name     string
		checking Checking
		ops      []i2ctest.IO
		on       bool
		fault    drivers.Fault
	}{
		{"able", CheckIfAble, []i2ctest.IO{capability(0xb0), capability(0xb0, PEC(0xb0, 0x19, 0xb1, 0xb0))}, true, drivers.None},
		{"unable", CheckIfAble, []i2ctest.IO{capability(0x30)}, false, drivers.None},
		{"claims everything", CheckIfAble, []i2ctest.IO{capability(0xff)}, false, drivers.None},
		{"wrong code", CheckIfAble, []i2ctest.IO{capability(0xb0), capability(0xb0, 0xb0)}, false, drivers.None},
		{"never", CheckNever, nil, false, drivers.None},
		{"must and can", CheckAlways, []i2ctest.IO{capability(0xb0), capability(0xb0, PEC(0xb0, 0x19, 0xb1, 0xb0))}, true, drivers.None},
		{"must and cannot", CheckAlways, []i2ctest.IO{capability(0x30)}, false, drivers.WrongDevice},
		{"must, wrong code", CheckAlways, []i2ctest.IO{capability(0xb0), capability(0xb0, 0)}, false, drivers.WrongDevice},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			pr := profile()
			pr.Checking = c.checking
			p := port(t, bus, pr)
			if err := p.Negotiate(t.Context()); drivers.FaultOf(err) != c.fault || p.Checks() != c.on {
				t.Errorf("%v, on: %t", err, p.Checks())
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	nack := &queue{err: drivers.NoAnswer}
	p := port(t, nack, profile())
	if err := p.Negotiate(t.Context()); err != nil || p.Checks() {
		t.Errorf("not acknowledged: %v", err)
	}
	nack.err = drivers.Timeout
	if err := p.Negotiate(t.Context()); !errors.Is(err, drivers.Timeout) {
		t.Errorf("timeout: %v", err)
	}
}

func TestCheckedTransfers(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x01, 0x80, 0x76}},
		{Addr: addr, W: []byte{0x99}, R: []byte("\x03ABC\x27")},
		{Addr: addr, W: []byte{0x00, 0x01, PEC(0xb0, 0x00, 0x01)}},
		{Addr: addr, W: []byte{0x00}, R: []byte{0x01, PEC(0xb0, 0x00, 0xb1, 0x01)}},
		{Addr: addr, W: []byte{0x88}, R: []byte{0x00, 0xf8, 0x00}},
	}}
	p, ctx := port(t, bus, profile()), t.Context()
	p.state.checking.Store(true)
	if err := p.SetByte(ctx, OPERATION, 0x80); err != nil {
		t.Error(err)
	}
	if b, err := p.Block(ctx, "read", MFR_ID, 3); string(b) != "ABC" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	err := p.OnPage(ctx, direct{bus}, 1, func(on *Port) error {
		_, err := on.Word(ctx, "read", READ_VIN)
		return err
	})
	if !errors.Is(err, drivers.Corrupt) || !strings.Contains(err.Error(), "packet error code 00 instead of") {
		t.Errorf("wrong code: %v", err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestOnPage(t *testing.T) {
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"selected", []i2ctest.IO{
			{Addr: addr, W: []byte{0x00, 0x01}},
			{Addr: addr, W: []byte{0x00}, R: []byte{0x01}},
			{Addr: addr, W: []byte{0x88}, R: []byte{0xcc, 0xf9}},
			{Addr: addr, W: []byte{0x00}, R: []byte{0x01}},
		}, drivers.None},
		{"supply lost in between", []i2ctest.IO{
			{Addr: addr, W: []byte{0x00, 0x01}},
			{Addr: addr, W: []byte{0x00}, R: []byte{0x01}},
			{Addr: addr, W: []byte{0x88}, R: []byte{0xcc, 0xf9}},
			{Addr: addr, W: []byte{0x00}, R: []byte{0x00}},
		}, drivers.Mismatch},
		{"not taken", []i2ctest.IO{
			{Addr: addr, W: []byte{0x00, 0x01}},
			{Addr: addr, W: []byte{0x00}, R: []byte{0x00}},
		}, drivers.Mismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			err := port(t, bus, profile()).OnPage(t.Context(), direct{bus}, 1, func(on *Port) error {
				_, err := on.Word(t.Context(), "read", READ_VIN)
				return err
			})
			if drivers.FaultOf(err) != c.fault {
				t.Error(err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A part that answers 20 ms after PAGE and not before, and leaves 2 ms between accesses.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr := profile()
		pr.PageDelay, pr.AccessDelay = 20*time.Millisecond, 2*time.Millisecond
		q := &queue{}
		begin, times := time.Now(), []time.Duration(nil)
		q.onTx = func() { times = append(times, time.Since(begin)) }
		p := port(t, q, pr)
		err := p.OnPage(t.Context(), direct{q}, 1, func(on *Port) error {
			_, err := on.Word(t.Context(), "read", READ_VIN)
			return err
		})
		if want := []time.Duration{0, 20 * time.Millisecond, 22 * time.Millisecond, 24 * time.Millisecond}; err != nil || !slices.Equal(times, want) {
			t.Errorf("%v, %v", times, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err = p.OnPage(ctx, direct{q}, 1, func(*Port) error { return errors.New("reached") })
		if !errors.Is(err, drivers.Cancelled) || time.Since(begin) != 34*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// A part whose firmware queues its answers: after one that broke off, every later word is shifted until the queue is
// emptied.
func TestQueueIsEmptied(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(ctx context.Context, p *Port, q *queue) error
		want drivers.Fault
	}{
		{"a block shorter than it is", func(ctx context.Context, p *Port, _ *queue) error {
			_, err := p.Block(ctx, "read", MFR_MODEL, 4)
			return err
		}, drivers.Corrupt},
		{"a timeout in the middle", func(ctx context.Context, p *Port, q *queue) error {
			q.err, q.taken = drivers.Timeout, 1
			defer func() { q.err = nil }()
			_, err := p.Block(ctx, "read", MFR_MODEL, 32)
			return err
		}, drivers.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &queue{}
			p := port(t, q, profile())
			if err := c.do(t.Context(), p, q); drivers.FaultOf(err) != c.want {
				t.Fatal(err)
			}
			if len(q.unread) == 0 {
				t.Fatal("the double queues nothing")
			}
			if w, err := p.Word(t.Context(), "read", READ_VIN); w != 0xf9cc || err != nil {
				t.Errorf("%04x, %v", w, err)
			}
			before := q.n
			if w, err := p.Word(t.Context(), "read", READ_VIN); w != 0xf9cc || err != nil || q.n != before+1 {
				t.Errorf("%04x, %v, %d transfers", w, err, q.n-before)
			}
		})
	}
}

// A write takes nothing out of the queue and is not held up by it; its read-back is.
func TestWriteDoesNotWait(t *testing.T) {
	q := &queue{operation: 0x80}
	p := port(t, q, profile())
	if _, err := p.Block(t.Context(), "read", MFR_MODEL, 4); !errors.Is(err, drivers.Corrupt) {
		t.Fatal(err)
	}
	before := q.n
	q.onTx = func() {
		if q.n == before+1 && q.operation != 0 {
			t.Error("something went before the write")
		}
	}
	w, err := p.SetByteBack(t.Context(), OPERATION, 0)
	if err != nil || w.Word != 0 || q.operation != 0 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestProofFails(t *testing.T) {
	q := &queue{}
	p := port(t, q, profile())
	_, _ = p.Block(t.Context(), "read", MFR_MODEL, 4)
	q.id = "\x03XYZ"
	if _, err := p.Word(t.Context(), "read", READ_VIN); !errors.Is(err, drivers.Corrupt) {
		t.Errorf("%v", err)
	}
	if err := p.Negotiate(t.Context()); err != nil { // an identification must be able to find another part
		t.Error(err)
	}
	if s, err := p.Text(t.Context(), "identify", MFR_ID, 3); s != "XYZ" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	_, _ = p.Block(t.Context(), "read", MFR_MODEL, 4)
	p.Remember(Proof{MFR_ID, []byte("\x03XYZ")})
	if w, err := p.Word(t.Context(), "read", READ_VIN); w != 0xf9cc || err != nil {
		t.Errorf("%04x, %v", w, err)
	}
	q.id = ""
	if w, err := p.Word(t.Context(), "read", READ_VIN); w != 0xf9cc || err != nil {
		t.Errorf("%04x, %v", w, err)
	}
}

func TestText(t *testing.T) {
	for _, likely := range []int{0, 31, 32, 5} {
		q := &queue{}
		p := port(t, q, profile())
		if s, err := p.Text(t.Context(), "identify", MFR_MODEL, likely); s != "MODEL-OF-THIRTY-ONE-BYTES------" || err != nil {
			t.Errorf("likely %d: %q, %v", likely, s, err)
		}
	}
	// The same with codes, whose place moves with the length.
	q := &queue{pec: true}
	p := port(t, q, profile())
	p.state.checking.Store(true)
	if s, err := p.Text(t.Context(), "identify", MFR_MODEL, 3); s != "MODEL-OF-THIRTY-ONE-BYTES------" || err != nil {
		t.Errorf("with codes: %q, %v", s, err)
	}
	for _, c := range []struct {
		b    string
		want string
		ok   bool
	}{
		{"LM5066\x00\x00", "LM5066", true},
		{"ABC   ", "ABC", true},
		{"A B", "A B", true},
		{"", "", true},
		{" A", " A", true},
		{"A\x00B", "", false},
		{"\xff\xff", "", false},
		{"A\x7f", "", false},
	} {
		if got, ok := Text([]byte(c.b)); got != c.want || ok != c.ok {
			t.Errorf("%q: %q, %t", c.b, got, ok)
		}
	}
}

func TestOtherFaults(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0x99}, R: []byte{0xff, 0xff, 0xff, 0xff}}}}
	if _, err := port(t, bus, profile()).Text(t.Context(), "identify", MFR_ID, 3); !errors.Is(err, drivers.Implausible) {
		t.Errorf("all ones: %v", err)
	}
	bus = &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0x30, 2, 0x88, 0}, R: []byte{4, 1, 0, 0, 0, 0}}}}
	if _, err := port(t, bus, profile()).Coefficients(t.Context(), "read", READ_VIN, true); !errors.Is(err, drivers.Corrupt) {
		t.Errorf("coefficients: %v", err)
	}
	q := &queue{err: drivers.NoAnswer}
	p := port(t, q, profile())
	for range 2 {
		if _, err := p.Word(t.Context(), "read", READ_VIN); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("%v", err)
		}
	}
	if q.n != 2 {
		t.Errorf("an absent part cost %d transfers", q.n)
	}
}

func TestSeries(t *testing.T) {
	word := func(at, lo, hi byte) i2ctest.IO {
		return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{lo, hi}}
	}
	status := word(0x79, 0, 0)
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
		vin   drivers.Fault
		iin   drivers.Fault
	}{
		{"good", []i2ctest.IO{status, word(0x88, 0xcc, 0xf9), word(0x89, 0x00, 0xf8)}, drivers.None, drivers.None, drivers.None},
		{"one of them ones", []i2ctest.IO{status, word(0x88, 0xff, 0xff), word(0x89, 0x00, 0xf8)}, drivers.None, drivers.Implausible, drivers.None},
		{"two in a row", []i2ctest.IO{status, word(0x88, 0xff, 0xff), word(0x89, 0xff, 0xff)}, drivers.Implausible, 0, 0},
		{"status ones", []i2ctest.IO{word(0x79, 0xff, 0xff)}, drivers.Implausible, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			s := port(t, bus, profile()).Series(t.Context(), "read")
			s.Status()
			vin, iin := s.Voltage(READ_VIN, Linear11), s.Current(READ_IIN, Linear11)
			if drivers.FaultOf(s.Err()) != c.fault {
				t.Fatal(s.Err())
			}
			if s.Err() == nil && (vin.Fault != c.vin || iin.Fault != c.iin) {
				t.Errorf("%+v, %+v", vin, iin)
			}
			if c.vin == drivers.None && s.Err() == nil && (vin.Value != 230*physic.Volt || vin.Raw != 0xf9cc || iin.Value != 0) {
				t.Errorf("%+v, %+v", vin, iin)
			}
			if s.Err() != nil && iin != nil {
				t.Error("a reading beside an error")
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReadings(t *testing.T) {
	if r := NewTemperature(0x001e, Linear11); r.Value != physic.ZeroCelsius+30*physic.Kelvin || r.Fault != drivers.None {
		t.Errorf("%+v", r)
	}
	if r := NewPower(0x0b9c, Linear11); r.Value != 1848*physic.Watt {
		t.Errorf("%+v", r)
	}
	if r := NewSpeed(0x07ff, Linear11); r.Fault != drivers.Implausible { // -1
		t.Errorf("%+v", r)
	}
	if r := NewSpeed(0x03e8, Linear11); r.Value != 1000 || r.Fault != drivers.None {
		t.Errorf("%+v", r)
	}
	if r := NewCurrent(0xffff, Direct{M: 1, R: 2}.Decode); r.Fault != drivers.Implausible || r.Raw != 0xffff { // -0.01 A to a careless reader
		t.Errorf("%+v", r)
	}
	huge := Direct{M: 1, R: -100}
	if r := NewVoltage(5, huge.Decode); r.Fault != drivers.Implausible {
		t.Errorf("%+v", r)
	}
}

func TestEnergyReading(t *testing.T) {
	for _, c := range []struct {
		name string
		data string
		want Energy
		err  drivers.Fault
	}{
		{"vector", "\x06\x10\x7f\xfe\x00\x00\x01", Energy{Count: Count{Energy: 8_355_600, Samples: 0x010000}}, drivers.None},
		{"another length", "\x08\x10\x7f\xfe\x00\x00\x01", Energy{Fault: drivers.Corrupt}, drivers.None},
		{"ones", "\xff\xff\xff\xff\xff\xff\xff", Energy{Fault: drivers.Implausible}, drivers.None},
		{"too large", "\x06\x10\xff\xfe\x00\x00\x01", Energy{Fault: drivers.Implausible}, drivers.None},
	} {
		bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0x86}, R: []byte(c.data)}}}
		s := port(t, bus, profile()).Series(t.Context(), "read")
		if e := s.Energy(READ_EIN, short); s.Err() != nil || *e != c.want {
			t.Errorf("%s: %+v, %v", c.name, e, s.Err())
		}
	}
	s := port(t, &queue{err: drivers.NoAnswer}, profile()).Series(t.Context(), "read")
	if e := s.Energy(READ_EIN, short); e != nil || !errors.Is(s.Err(), drivers.NoAnswer) {
		t.Errorf("%+v, %v", e, s.Err())
	}
}

// direct makes a bus a handle whose jobs run at once.
type direct struct{ i2c.Bus }

func (d direct) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(d.Bus) }

// queue is a part that hands out what it was not asked to give with the last read before anything else.
type queue struct {
	unread    []byte
	id        string // of MFR_ID, with its count; empty: "\x03ABC"
	operation byte
	page      byte
	pec       bool
	err       error
	taken     int // bytes that a transfer with err takes all the same
	n         int
	onTx      func()
}

func (q *queue) String() string                  { return "queue" }
func (q *queue) SetSpeed(physic.Frequency) error { return nil }

func (q *queue) Tx(_ uint16, w, r []byte) error {
	if q.onTx != nil {
		q.onTx()
	}
	q.n++
	if q.err != nil && q.taken == 0 {
		return q.err
	}
	if len(r) == 0 {
		if w[0] == byte(PAGE) {
			q.page = w[1]
		} else {
			q.operation = w[1]
		}
		return nil
	}
	if len(q.unread) == 0 {
		q.unread = q.answer(w[0])
		if q.pec {
			q.unread = append(q.unread, transferPEC(addr, w, q.unread))
		}
	}
	if q.err != nil {
		r = r[:q.taken]
	}
	n := copy(r, q.unread)
	q.unread = q.unread[n:]
	return q.err
}

func (q *queue) answer(at byte) []byte {
	switch Command(at) {
	case PAGE:
		return []byte{q.page}
	case OPERATION:
		return []byte{q.operation}
	case MFR_ID:
		if q.id != "" {
			return []byte(q.id)
		}
		return []byte("\x03ABC")
	case MFR_MODEL:
		return []byte("\x20MODEL-OF-THIRTY-ONE-BYTES------\x00")
	case READ_VIN:
		return []byte{0xcc, 0xf9}
	default:
		return []byte{0x30}
	}
}
