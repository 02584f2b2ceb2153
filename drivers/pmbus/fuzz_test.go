package pmbus

import (
	"context"
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

func FuzzLinear11(f *testing.F) {
	for _, w := range []uint16{0xfb1f, 0xf8e6, 0x7ff0, 0xffff, 0, 0x8001, 0x7bff} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, word uint16) {
		v, ok := Linear11(word)
		if ok != (word != 0xffff) || math.Abs(v) > 1024*32768 {
			t.Fatalf("%04x: %v, %t", word, v, ok)
		}
		again, ok := EncodeLinear11(v)
		if !ok { // only a mantissa of -1024 with the highest exponent has no other form
			if word != 0x7c00 {
				t.Fatalf("%04x: %v cannot be encoded", word, v)
			}
			return
		}
		if got, ok := Linear11(again); !ok || got != v {
			t.Fatalf("%04x: %v became %04x, %v", word, v, again, got)
		}
	})
}

func FuzzDirect(f *testing.F) {
	f.Add(uint16(0x081f), 4062.0, 0.0, -2, 12)
	f.Add(uint16(0x0800), 663.0, 20480.0, -1, 12)
	f.Add(uint16(0xf060), 1.0, 0.0, 2, 16)
	f.Add(uint16(1), 0.0, 0.0, 0, 0)
	f.Fuzz(func(t *testing.T, word uint16, m, b float64, r, width int) {
		d := Direct{M: m, B: b, R: r, Width: width}
		v, ok := d.Decode(word)
		if !ok {
			return
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("%+v, %04x: %v", d, word, v)
		}
		// Coefficients of parts: where float64 holds all digits, the word comes back.
		if math.Abs(m) < 1 || math.Abs(m) > 1e6 || math.Abs(b) > 1e6 || r < -6 || r > 6 {
			return
		}
		if again, ok := d.Encode(v); !ok || again != word {
			t.Fatalf("%+v: %04x became %v became %04x, %t", d, word, v, again, ok)
		}
	})
}

func FuzzVoutMode(f *testing.F) {
	f.Add(byte(0x17), uint16(0x1866))
	f.Add(byte(0x60), uint16(0x4a00))
	f.Add(byte(0xff), uint16(0xffff))
	f.Fuzz(func(t *testing.T, mode byte, word uint16) {
		m := VoutMode(mode)
		if n := m.Exponent(); n < -16 || n > 15 {
			t.Fatalf("%02x: exponent %d", mode, n)
		}
		d, ok := m.Decode()
		if !ok {
			return
		}
		v, ok := d(word)
		if math.IsNaN(v) || math.Abs(v) > 65535*32768 {
			t.Fatalf("%02x, %04x: %v", mode, word, v)
		}
		if m.Format() == VoutLinear {
			if again, same := EncodeULinear16(v, m.Exponent()); !ok || !same || again != word {
				t.Fatalf("%02x: %04x became %v became %04x", mode, word, v, again)
			}
		}
	})
}

func FuzzEnergy(f *testing.F) {
	f.Add([]byte("\x10\x7f\xfe\x00\x00\x01"), []byte("\x20\x01\x01\x00\x04\x01"), uint64(0x8000), false)
	f.Add([]byte("\x56\x34\x12\x02\x01\x33\x22\x11"), []byte("\x56\x34\x12\x02\x01\x34\x22\x11"), uint64(0x800000), false)
	f.Add([]byte("\xff\x0b\x02\x01\x00\x00"), []byte("\xff\x0b\x03\x02\x00\x00"), uint64(LinearModulus), true)
	f.Fuzz(func(t *testing.T, before, after []byte, modulus uint64, linear bool) {
		a := Accumulator{Modulus: modulus%0x1000000 + 1, RollOvers: 256, Linear: linear, Full: math.MaxInt16}
		if len(before) == longCount {
			a.RollOvers = 65536
		}
		b, ok := a.Parse(before)
		c, both := a.Parse(after)
		if !ok || !both {
			return
		}
		energy, samples := a.Delta(b, c)
		span := a.Modulus * a.RollOvers
		if energy >= span || (b.Energy+energy)%span != c.Energy%span || (b.Samples+samples)%sampleModulus != c.Samples {
			t.Fatalf("%+v to %+v: %d, %d", b, c, energy, samples)
		}
	})
}

// FuzzPort lets a part answer anything: a read ends in what the part said or in a fault, and never in a panic.
func FuzzPort(f *testing.F) {
	f.Add([]byte("\x03ABC"), true)
	f.Add([]byte("\x20"), false)
	f.Add([]byte("\xff\xff\xff\xff"), false)
	f.Add([]byte("\x05\x97\x02\x00\x50\xff"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, answers []byte, checked bool) {
		p, err := New(&babbler{answers: answers}, "psu", "t", addr, profile())
		if err != nil {
			t.Fatal(err)
		}
		p.state.checking.Store(checked)
		ctx := context.Background()
		if s, err := p.Text(ctx, "identify", MFR_MODEL, 3); err == nil && len(s) > maxBlock {
			t.Fatalf("%q", s)
		}
		_, _ = p.Coefficients(ctx, "read", READ_VIN, false)
		s := p.Series(ctx, "read")
		s.Status()
		v, e := s.Voltage(READ_VIN, Linear11), s.Energy(READ_EIN, Accumulator{Modulus: 0x8000, RollOvers: 256})
		if s.Err() == nil && (v == nil || e == nil || v.Fault == drivers.None && v.Raw == 0xffff) {
			t.Fatalf("%+v, %+v", v, e)
		}
	})
}

// babbler answers reads with the bytes it was given, over and over.
type babbler struct {
	answers []byte
	at      int
}

func (b *babbler) String() string                  { return "babbler" }
func (b *babbler) SetSpeed(physic.Frequency) error { return nil }

func (b *babbler) Tx(_ uint16, _, r []byte) error {
	for i := range r {
		if len(b.answers) == 0 {
			return drivers.NoAnswer
		}
		r[i] = b.answers[b.at%len(b.answers)]
		b.at++
	}
	return nil
}
