package pdu

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

func TestBank(t *testing.T) {
	rest := []bool{false, false, false, false, false, false, true, true}
	for name, c := range map[string]struct {
		w      chip.Words
		fault  drivers.Fault
		closed []bool
	}{
		"all coils off":         {chip.Words{Latch: 0xff00, Direction: 0xff00}, drivers.None, rest},
		"all coils on":          {chip.Words{Latch: 0xffff, Direction: 0xff00}, drivers.None, []bool{true, true, true, true, true, true, false, false}},
		"all closed":            {chip.Words{Latch: 0x003f, Direction: 0xff00}, drivers.None, []bool{true, true, true, true, true, true, true, true}},
		"power-on":              {chip.Words{Latch: 0xffff, Direction: 0xffff}, drivers.OutOfControl, rest},
		"latch, then brown-out": {chip.Words{Latch: 0x003f, Direction: 0xffff}, drivers.OutOfControl, rest},
		"one pin an input":      {chip.Words{Latch: 0x003f, Direction: 0xff01}, drivers.Foreign, []bool{false, true, true, true, true, true, true, true}},
		"one pin an output":     {chip.Words{Latch: 0xff3f, Direction: 0xfeff}, drivers.Foreign, rest},
		"polarity":              {chip.Words{Latch: 0xff00, Direction: 0xff00, Polarity: 1}, drivers.Foreign, rest},
		"polarity and inputs":   {chip.Words{Latch: 0xff00, Direction: 0xffff, Polarity: 1}, drivers.Foreign, rest},
	} {
		b := newBoard()
		b.words = map[byte]uint16{latchReg: c.w.Latch, directionReg: c.w.Direction, polarityReg: c.w.Polarity}
		s, err := ac8(t, b).Bank(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if s.Fault != c.fault || s.Controlled != (c.fault == drivers.None) || (s.Reason == "") != s.Controlled || !slices.Equal(s.Closed, c.closed) {
			t.Errorf("%s: %+v", name, s)
		}
		if (chip.Words{Latch: s.Latch, Direction: s.Direction, Polarity: s.Polarity}) != c.w || s.At.IsZero() {
			t.Errorf("%s: %+v", name, s)
		}
		if len(b.writes) != 0 {
			t.Errorf("%s: reading wrote %04x", name, b.writes)
		}
	}
}

func TestBankUnread(t *testing.T) {
	b := newBoard()
	b.before = func(n int, _ uint16, _ []byte) error {
		if n == 2 {
			return drivers.Timeout
		}
		return nil
	}
	s, err := ac8(t, b).Bank(t.Context(), 0)
	if !errors.Is(err, drivers.Timeout) || s.Closed != nil || s.Latch != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Whatever a bank reads, the words of Standing make every contact what it was.
func TestStandingKeepsEveryRelay(t *testing.T) {
	lr3, err := ParseModel("lr3.yaml", modelData(t, "testdata/lr3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Model{ac8(t, newBoard()).Model(), lr3} {
		p := &PDU{model: m}
		for _, w := range []chip.Words{
			{Latch: 0xffff, Direction: 0xffff},
			{Latch: 0x0000, Direction: 0xffff},
			{Latch: 0xa5c3, Direction: 0xffff},
			{Latch: 0xa5c3, Direction: m.direction(0)},
		} {
			s := m.bank(0, w, time.Unix(0, 0))
			latch, direction := p.Standing(s)
			after := m.bank(0, chip.Words{Latch: latch, Direction: direction}, s.At)
			if !after.Controlled || !slices.Equal(after.Closed, s.Closed) {
				t.Errorf("%s %+v: latch %04x moves %v to %v", m.Name, w, latch, s.Closed, after.Closed)
			}
			if unused := m.direction(0); latch&unused != w.Latch&unused {
				t.Errorf("%s %+v: latch %04x changes pins without a relay", m.Name, w, latch)
			}
		}
	}
}

func TestStandingTakesAMeasurement(t *testing.T) {
	b := newBoard()
	b.brownOut()
	p := ac8(t, b)
	s, err := p.Bank(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if latch, direction := p.Standing(s); latch != 0xff00 || direction != 0xff00 {
		t.Errorf("at rest: %04x %04x", latch, direction)
	}
	s.Closed[1], s.Closed[6] = true, false // the watts say otherwise
	if latch, _ := p.Standing(s); latch != 0xff42 {
		t.Errorf("measured: %04x", latch)
	}
}
