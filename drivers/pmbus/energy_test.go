package pmbus

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// short is the accumulator of the generic DIRECT parts, with a full scale that leaves 2.5 s between readings.
var short = Accumulator{Modulus: 0x8000, RollOvers: 256, Full: 0x0cff}

func parse(t *testing.T, a Accumulator, b ...byte) Count {
	t.Helper()
	c, ok := a.Parse(b)
	if !ok {
		t.Fatalf("%x is refused", b)
	}
	return c
}

func TestEnergyVector(t *testing.T) {
	before := parse(t, short, 0x10, 0x7f, 0xfe, 0x00, 0x00, 0x01)
	after := parse(t, short, 0x20, 0x01, 0x01, 0x00, 0x04, 0x01)
	if before != (Count{Energy: 8_355_600, Samples: 0x010000}) || after != (Count{Energy: 33_056, Samples: 0x010400}) {
		t.Errorf("%+v, %+v", before, after)
	}
	energy, samples := short.Delta(before, after)
	if energy != 66_064 || samples != 1024 {
		t.Errorf("%d over %d samples", energy, samples)
	}
	m := NewMeter(short, 1000)
	begin := time.Now()
	if i := m.Add(before, 64, begin); i.Basis != Reference {
		t.Errorf("first reading: %+v", i)
	}
	i := m.Add(after, 64, begin.Add(1024*time.Millisecond))
	if i.Basis != Counted || i.Code != 64.515625 || i.Samples != 1024 || i.Elapsed != 1024*time.Millisecond {
		t.Errorf("%+v", i)
	}
	if !i.Agrees(60) || i.Agrees(50) {
		t.Error("agreement with the power readings")
	}
}

func TestParseCount(t *testing.T) {
	long := Accumulator{Modulus: 0x800000, RollOvers: 65536, Divisor: 256}
	if got := parse(t, long, 0x56, 0x34, 0x12, 0x02, 0x01, 0x33, 0x22, 0x11); got != (Count{Energy: 0x102*0x800000 + 0x123456, Samples: 0x112233}) {
		t.Errorf("%+v", got)
	}
	linear := Accumulator{Modulus: LinearModulus, RollOvers: 256, Linear: true}
	if got := parse(t, linear, 0xff, 0x0b, 0x02, 1, 0, 0); got != (Count{Energy: 2*1023 + 1023, Exponent: 1, Samples: 1}) {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		name string
		a    Accumulator
		b    []byte
	}{
		{"too short", short, []byte{1, 2, 3, 4, 5}},
		{"too long", short, []byte{1, 2, 3, 4, 5, 6, 7}},
		{"short for long", long, []byte{1, 2, 3, 4, 5, 6}},
		{"bit 15 of 15", short, []byte{0, 0x80, 0, 0, 0, 0}},
		{"bit 23 of 23", long, []byte{0, 0, 0x80, 0, 0, 0, 0, 0}},
		{"released bus", Accumulator{Modulus: 0x10000, RollOvers: 256}, []byte{255, 255, 255, 255, 255, 255}},
		{"negative sum", linear, []byte{0, 0x04, 0, 0, 0, 0}},
	} {
		if got, ok := c.a.Parse(c.b); ok {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// A reading of a part that takes 1000 samples per second.
type moment struct {
	after time.Duration // since the last
	count Count
	power float64
	want  Basis
	code  float64
}

func TestMeter(t *testing.T) {
	at := func(energy uint64, samples uint32) Count { return Count{Energy: energy, Samples: samples} }
	const s = time.Second
	for _, c := range []struct {
		name string
		rate float64
		seen []moment
	}{
		{"steady", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{s, at(100_000, 1000), 100, Counted, 100},
			{s, at(300_000, 2000), 300, Counted, 200},
		}},
		{"no new samples", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{s / 2, at(0, 0), 100, Unchanged, 0},
			{s / 2, at(100_000, 1000), 100, Counted, 100},
		}},
		{"the sample counter wraps", 1000, []moment{
			{0, at(0, 1<<24-400), 100, Reference, 0},
			{s, at(100_000, 600), 100, Counted, 100},
		}},
		{"everything wraps", 1000, []moment{
			{0, at(255*0x8000+0x7fff, 0), 1, Reference, 0},
			{s, at(999, 1000), 1, Counted, 1},
		}},
		{"the part restarts", 1000, []moment{
			{0, at(5_000_000, 700_000), 100, Reference, 0},
			{s, at(30_000, 300), 100, Reference, 0},
			{s, at(130_000, 1300), 100, Counted, 100},
		}},
		{"the sampler stands still, then goes on", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{10 * s, at(100_000, 1000), 100, Reference, 0},
		}},
		{"a gap too long for the accumulator", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{10 * s, at(1_000_000, 10_000), 300, Estimated, 200},
			{s, at(1_100_000, 11_000), 100, Counted, 100},
		}},
		{"a gap without power readings", 1000, []moment{
			{0, at(0, 0), math.NaN(), Reference, 0},
			{10 * s, at(1_000_000, 10_000), 300, Reference, 0},
		}},
		{"a gap too long for the sample counter", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{20_000 * s, at(1, 3_222_784), 100, Reference, 0},
		}},
		{"more than full scale", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{s, at(4_000_000, 1000), 100, Reference, 0},
		}},
		{"the rate is learnt", 0, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{s, at(100_000, 1000), 100, Estimated, 100},
			{s, at(200_000, 2000), 100, Counted, 100},
		}},
		{"a rate that was learnt across a restart is forgotten", 0, []moment{
			{0, at(0, 500), 100, Reference, 0},
			{s, at(10, 10), 100, Estimated, 100}, // 16,776,726 samples
			{s, at(100_010, 1010), 100, Reference, 0},
			{s, at(200_010, 2010), 100, Reference, 0},
			{s, at(300_010, 3010), 100, Estimated, 100},
			{s, at(400_010, 4010), 100, Counted, 100},
		}},
		{"the clock stood still", 1000, []moment{
			{0, at(0, 0), 100, Reference, 0},
			{0, at(100, 1), 100, Unchanged, 0},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, now := NewMeter(short, c.rate), time.Now()
			for n, x := range c.seen {
				now = now.Add(x.after)
				got := m.Add(x.count, x.power, now)
				if got.Basis != x.want || x.want >= Counted && got.Code != x.code {
					t.Errorf("reading %d: %+v, want %d with code %v", n, got, x.want, x.code)
				}
			}
		})
	}
}

func TestLinearMeter(t *testing.T) {
	a := Accumulator{Modulus: LinearModulus, RollOvers: 256, Linear: true, Full: 1000}
	m, now := NewMeter(a, 10), time.Now()
	m.Add(parse(t, a, 0, 0x08, 0, 0, 0, 0), 200, now) // exponent 1
	i := m.Add(parse(t, a, 0xe8, 0x0b, 0, 10, 0, 0), 200, now.Add(time.Second))
	if i.Basis != Counted || i.Code != 200 { // 1000 x 2 W over 10 samples
		t.Errorf("%+v", i)
	}
	if i = m.Add(parse(t, a, 0xe8, 0x13, 0, 20, 0, 0), 200, now.Add(2*time.Second)); i.Basis != Reference {
		t.Errorf("another exponent: %+v", i)
	}
}

// Whatever the load does, the counted intervals hold exactly the energy of their samples.
func TestMeterLosesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m, now := NewMeter(short, 1000), time.Now()
		sum := rapid.Uint64Range(0, 256*0x8000-1).Draw(r, "sum")
		samples := rapid.Uint32Range(0, 1<<24-1).Draw(r, "samples")
		m.Add(Count{Energy: sum, Samples: samples}, 0, now)
		for range 20 {
			code := rapid.Uint64Range(0, uint64(short.Full)).Draw(r, "code")
			n := rapid.Uint32Range(10, 2000).Draw(r, "n")
			sum = (sum + code*uint64(n)) % (256 * 0x8000)
			samples = (samples + n) % (1 << 24)
			now = now.Add(time.Duration(n) * time.Millisecond)
			if i := m.Add(Count{Energy: sum, Samples: samples}, 0, now); i.Basis != Counted || i.Code != float64(code) {
				r.Fatalf("%d samples of %d: %+v", n, code, i)
			}
		}
	})
}
