package pdu

import (
	"context"
	"errors"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

func TestOneRelayMoves(t *testing.T) {
	for _, c := range []struct {
		n      int
		closed bool
		want   uint16 // from latch ff07
	}{
		{1, false, 0xff06},
		{4, true, 0xff0f},
		{7, false, 0xff47}, // normally closed: the coil opens it
		{7, true, 0xff07},  // closed already, and written all the same
		{8, false, 0xff87},
	} {
		b := newBoard()
		s, err := verb(ac8(t, b), c.closed)(t.Context(), c.n)
		if err != nil || s.Before != 0xff07 || s.After != c.want || b.words[latchReg] != c.want || !slices.Equal(b.writes, []uint16{c.want}) {
			t.Errorf("outlet %d closed %t: %+v, %v, writes %04x", c.n, c.closed, s, err, b.writes)
		}
		if s.Taken.IsZero() || s.Confirmed.Before(s.Taken) {
			t.Errorf("outlet %d: %+v", c.n, s)
		}
	}
}

// A model whose coils are energised by a low level, and whose bits follow no order.
func TestActiveLow(t *testing.T) {
	m, err := ParseModel("lr3.yaml", modelData(t, "testdata/lr3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n             int
		cut, energise uint16 // the outlet's bit
		restsClosed   bool
	}{{1, 0, 0x8000, true}, {2, 0x0100, 0, false}, {3, 0, 0x0008, false}} {
		o := m.Outlets[c.n-1]
		if o.set(0, false) != c.cut || o.set(0, true) != c.energise || o.ClosedAtRest() != c.restsClosed {
			t.Errorf("outlet %d: cut %04x, energise %04x", c.n, o.set(0, false), o.set(0, true))
		}
	}
}

func TestNoSuchOutlet(t *testing.T) {
	b := newBoard()
	for _, n := range []int{0, -1, 9} {
		s, err := ac8(t, b).Cut(t.Context(), n)
		if !errors.Is(err, drivers.Unsupported) || s != (Switched{}) || b.count != 0 {
			t.Errorf("outlet %d: %+v, %v, %d transfers", n, s, err, b.count)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*board)
		fault  drivers.Fault
	}{
		"all inputs":           {func(b *board) { b.brownOut() }, drivers.OutOfControl},
		"inputs, latch intact": {func(b *board) { b.words[directionReg] = 0xffff }, drivers.OutOfControl},
		"somebody's direction": {func(b *board) { b.words[directionReg] = 0xff80 }, drivers.Foreign},
		"outputs everywhere":   {func(b *board) { b.words[directionReg] = 0 }, drivers.Foreign},
		"polarity":             {func(b *board) { b.words[polarityReg] = 0x0100 }, drivers.Foreign},
		"no answer":            {func(b *board) { b.before = failing(0, drivers.NoAnswer) }, drivers.NoAnswer},
		"no second look":       {func(b *board) { b.before = failing(3, drivers.NoAnswer) }, drivers.NoAnswer},
		"latch read wrongly": {func(b *board) {
			b.after = func(n int, _ uint16, _ []byte) error {
				if n == 0 {
					b.words[latchReg] ^= 0x40 // what was read differs from what is there from now on
				}
				return nil
			}
		}, drivers.Corrupt},
	} {
		for _, closed := range []bool{true, false} {
			b := newBoard()
			c.change(b)
			s, err := verb(ac8(t, b), closed)(t.Context(), 2)
			if drivers.FaultOf(err) != c.fault || !s.Taken.IsZero() || !s.Confirmed.IsZero() || len(b.writes) != 0 {
				t.Errorf("%s: %+v, %v, writes %04x", name, s, err, b.writes)
			}
		}
	}
}

func TestFailuresOfTheWrite(t *testing.T) {
	const write, readBack = 4, 5 // transfers of a job: latch, direction, polarity, latch again, write, read back
	for name, c := range map[string]struct {
		change           func(*board)
		fault            drivers.Fault
		taken, confirmed bool
		after            uint16
	}{
		"works but is not acknowledged": {func(b *board) { b.after = failing(write, drivers.NoAnswer) }, drivers.None, true, true, 0xff06},
		"refused":                       {func(b *board) { b.before = failing(write, drivers.NoAnswer) }, drivers.Mismatch, true, false, 0xff07},
		"no read-back":                  {func(b *board) { b.before = failing(readBack, drivers.Timeout) }, drivers.Timeout, true, false, 0},
		"hangs": {func(b *board) {
			b.before = func(n int, _ uint16, _ []byte) error {
				if n >= write {
					return drivers.Hung
				}
				return nil
			}
		}, drivers.Hung, true, false, 0},
		"brown-out meanwhile": {func(b *board) {
			b.after = func(n int, _ uint16, _ []byte) error {
				if n == write {
					b.brownOut()
				}
				return nil
			}
		}, drivers.Mismatch, true, false, 0xffff},
		"the bus was closed": {func(b *board) { b.before = failing(write, drivers.Cancelled) }, drivers.Cancelled, false, false, 0},
	} {
		b := newBoard()
		c.change(b)
		s, err := ac8(t, b).Cut(t.Context(), 1)
		if drivers.FaultOf(err) != c.fault || s.Taken.IsZero() == c.taken || s.Confirmed.IsZero() == c.confirmed || s.Before != 0xff07 || s.After != c.after {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if len(b.writes) > 1 {
			t.Errorf("%s: repeated: %04x", name, b.writes)
		}
	}
}

// lateConn is the board on a bus whose jobs fail after they have done their work.
type lateConn struct{ *board }

func (c lateConn) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	return errors.Join(c.board.Do(ctx, job), drivers.Mismatch)
}

// What was read back in a job that failed as a whole does not count as read back; that it was written does.
func TestJobFailsAfterTheReadBack(t *testing.T) {
	b := newBoard()
	p, err := New(b, lateConn{b}, Opts{Name: "pdu-a", Model: ac8(t, b).Model()})
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		s, err := verb(p, closed)(t.Context(), 1)
		if !errors.Is(err, drivers.Mismatch) || s.Taken.IsZero() || !s.Confirmed.IsZero() || s.After != 0 {
			t.Errorf("closed %t: %+v, %v", closed, s, err)
		}
	}
	if len(b.writes) != 2 {
		t.Errorf("writes %04x", b.writes)
	}
	b.brownOut()
	a, err := p.Adopt(t.Context(), 0, 0xff00, 0xff00)
	if !errors.Is(err, drivers.Mismatch) || b.words[directionReg] != 0xff00 {
		t.Fatalf("%v, direction %04x", err, b.words[directionReg])
	}
	for _, s := range []Switched{a.Latch, a.Direction} {
		if s.Taken.IsZero() || !s.Confirmed.IsZero() || s.After != 0 {
			t.Errorf("%+v", a)
		}
	}
}

// Random banks, verbs and failures at any transfer. Whatever happens, no relay but the named one moves, nothing is
// written to a bank that is not under control, and the result tells the truth about the write.
func TestSwitchingWalk(t *testing.T) {
	model := ac8(t, newBoard()).Model()
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard()
		p, err := New(b, b, Opts{Name: "pdu-a", Model: model})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 8).Draw(t, "verbs") {
			b.words[directionReg] = rapid.SampledFrom([]uint16{0xff00, 0xff00, 0xff00, 0xffff, 0x00ff}).Draw(t, "direction")
			b.words[latchReg] = rapid.Uint16().Draw(t, "latch")
			n, closed := rapid.IntRange(1, 8).Draw(t, "outlet"), rapid.Bool().Draw(t, "closed")
			fault := rapid.SampledFrom([]error{nil, drivers.NoAnswer, drivers.Timeout, drivers.Hung}).Draw(t, "fault")
			at, acted := b.count+rapid.IntRange(0, 6).Draw(t, "at"), rapid.Bool().Draw(t, "acted")
			b.before, b.after, b.writes = nil, nil, nil
			if fault != nil && acted {
				b.after = failing(at, fault)
			} else if fault != nil {
				b.before = failing(at, fault)
			}
			before := b.words[latchReg]
			want := p.model.Outlets[n-1].set(before, closed)
			s, err := verb(p, closed)(context.Background(), n)
			after := b.words[latchReg]
			switch {
			case after != before && after != want:
				t.Fatalf("latch %04x became %04x, outlet %d wanted %04x", before, after, n, want)
			case len(b.writes) > 1:
				t.Fatalf("written %d times", len(b.writes))
			case len(b.writes) > 0 && b.words[directionReg] != 0xff00:
				t.Fatal("a bank out of control was written to")
			case err == nil && (after != want || s.After != want || s.Confirmed.IsZero()):
				t.Fatalf("success without the word: %+v", s)
			case err == nil && fault == nil && len(b.writes) != 1:
				t.Fatalf("left a write out: %+v", s)
			case len(b.writes) > 0 && s.Taken.IsZero():
				t.Fatalf("a write that nobody owns: %+v, %v", s, err)
			case errors.Is(err, drivers.Mismatch) && s.After != after:
				t.Fatalf("%+v, the latch is %04x", s, after)
			}
		}
	})
}

func TestAdopt(t *testing.T) {
	b := newBoard()
	b.brownOut()
	p := ac8(t, b)
	s, err := p.Bank(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	latch, direction := p.Standing(s)
	var order []byte
	b.before = func(_ int, _ uint16, w []byte) error {
		if len(w) == 3 {
			order = append(order, w[0])
		}
		return nil
	}
	a, err := p.Adopt(t.Context(), 0, latch, direction)
	if err != nil || !slices.Equal(order, []byte{latchReg, directionReg}) {
		t.Fatalf("%+v, %v, order % x", a, err, order)
	}
	if a.Latch.Before != 0xffff || a.Latch.After != latch || a.Direction.Before != 0xffff || a.Direction.After != direction {
		t.Errorf("%+v", a)
	}
	if a.Latch.Confirmed.IsZero() || a.Direction.Taken.Before(a.Latch.Confirmed) || a.Direction.Confirmed.IsZero() {
		t.Errorf("%+v", a)
	}
	after, err := p.Bank(t.Context(), 0)
	if err != nil || !after.Controlled || !slices.Equal(after.Closed, s.Closed) {
		t.Errorf("%+v, %v", after, err)
	}
}

func TestAdoptRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*board)
		direction uint16
		fault     drivers.Fault
	}{
		"under control meanwhile": {func(*board) {}, 0xff00, drivers.Foreign},
		"somebody's meanwhile":    {func(b *board) { b.words[directionReg] = 0x00ff }, 0xff00, drivers.Foreign},
		"polarity":                {func(b *board) { b.brownOut(); b.words[polarityReg] = 1 }, 0xff00, drivers.Foreign},
		"another direction":       {func(b *board) { b.brownOut() }, 0x0000, drivers.Unsupported},
		"unreadable":              {func(b *board) { b.brownOut(); b.before = failing(1, drivers.NoAnswer) }, 0xff00, drivers.NoAnswer},
	} {
		b := newBoard()
		c.change(b)
		direction := b.words[directionReg]
		a, err := ac8(t, b).Adopt(t.Context(), 0, 0xff00, c.direction)
		if drivers.FaultOf(err) != c.fault || a != (Adopted{}) || len(b.writes) != 0 || b.words[directionReg] != direction {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// A failure at any transfer of Adopt: the pins do not become outputs over a latch that was not proven.
func TestAdoptInterrupted(t *testing.T) {
	const latch = 0xff00
	for at := range 9 {
		for _, acted := range []bool{false, true} {
			b := newBoard()
			b.brownOut()
			if acted {
				b.after = failing(at, drivers.Timeout)
			} else {
				b.before = failing(at, drivers.Timeout)
			}
			a, err := ac8(t, b).Adopt(t.Context(), 0, latch, 0xff00)
			if b.words[directionReg] != 0xffff && (b.words[latchReg] != latch || a.Latch.Confirmed.IsZero() || a.Direction.Taken.IsZero()) {
				t.Errorf("failure at %d: outputs over latch %04x: %+v, %v", at, b.words[latchReg], a, err)
			}
			if err == nil && b.words[directionReg] != 0xff00 {
				t.Errorf("failure at %d: success, direction %04x", at, b.words[directionReg])
			}
			if len(b.writes) > 0 && a.Latch.Taken.IsZero() {
				t.Errorf("failure at %d: a write that nobody owns: %+v", at, a)
			}
		}
	}
}

// The context ends while the latch is being written: the write is read back, and the pins stay inputs.
func TestAdoptStopsBetweenItsWrites(t *testing.T) {
	b := newBoard()
	b.brownOut()
	ctx, cancel := context.WithCancel(t.Context())
	b.before = func(_ int, _ uint16, w []byte) error {
		if len(w) == 3 {
			cancel()
		}
		return nil
	}
	a, err := ac8(t, b).Adopt(ctx, 0, 0xff00, 0xff00)
	if !errors.Is(err, context.Canceled) || a.Latch.Confirmed.IsZero() || a.Direction != (Switched{}) || b.words[directionReg] != 0xffff {
		t.Errorf("%+v, %v, direction %04x", a, err, b.words[directionReg])
	}
}

// On the real bus owner, which refuses transfers of a job whose context has ended: a write that was begun is read
// back all the same, and before that nothing is written.
func TestEndOfContext(t *testing.T) {
	for at := range 7 {
		b := newBoard()
		bus := i2cbus.New(transport{b}, i2cbus.Opts{})
		p, err := New(bus.Poll(), bus.Act(), Opts{Name: "pdu-a", Model: ac8(t, b).Model()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.before = func(n int, _ uint16, _ []byte) error {
			if n == at {
				cancel()
			}
			return nil
		}
		s, err := p.Cut(ctx, 1)
		wrote := len(b.writes) == 1
		switch {
		case at < 4 && (wrote || !s.Taken.IsZero() || !errors.Is(err, context.Canceled)):
			t.Errorf("context ended in transfer %d: %+v, %v", at, s, err)
		case at >= 4 && (!wrote || err != nil || s.Confirmed.IsZero()):
			t.Errorf("context ended in transfer %d: %+v, %v", at, s, err)
		}
		cancel()
		if s, err := p.Cut(ctx, 1); !errors.Is(err, context.Canceled) || !s.Taken.IsZero() {
			t.Errorf("ended context: %+v, %v", s, err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A meter's job that loses its context mid-way leaves no mux channel behind it on the real bus owner either.
func TestEndOfContextInAMeter(t *testing.T) {
	for at := range 30 {
		b := newBoard()
		bus := i2cbus.New(transport{b}, i2cbus.Opts{})
		p, err := New(bus.Poll(), bus.Act(), Opts{Name: "pdu-a", Model: ac8(t, b).Model()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.before = func(n int, _ uint16, _ []byte) error {
			if n == at {
				cancel()
			}
			return nil
		}
		if _, err := p.Meter(ctx, 0); err == nil || b.control != 0 {
			t.Errorf("context ended in transfer %d: %v, control byte %02x", at, err, b.control)
		}
		cancel()
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	}
}

func verb(p *PDU, closed bool) func(context.Context, int) (Switched, error) {
	if closed {
		return p.Energise
	}
	return p.Cut
}

// failing gives err at one transfer.
func failing(at int, err error) func(int, uint16, []byte) error {
	return func(n int, _ uint16, _ []byte) error {
		if n == at {
			return err
		}
		return nil
	}
}

// transport puts the board behind the real bus owner.
type transport struct{ b *board }

func (x transport) Tx(_ context.Context, addr uint16, w, r []byte) error { return x.b.Tx(addr, w, r) }
func (x transport) Close() error                                         { return nil }
func (x transport) String() string                                       { return "board" }
