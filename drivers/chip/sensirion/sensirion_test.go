package sensirion

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

func TestCRC(t *testing.T) {
	for _, c := range []struct{ high, low, want byte }{
		{0xbe, 0xef, 0x92}, // the example of the data sheets
		{0x66, 0x66, 0x93},
		{0x80, 0x00, 0xa2},
		{0xff, 0xff, 0xac},
		{0x00, 0x00, 0x81},
	} {
		if got := CRC(c.high, c.low); got != c.want {
			t.Errorf("%02x %02x: %02x, want %02x", c.high, c.low, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		answer []byte
		want   []uint16
		ok     bool
	}{
		{[]byte{0xbe, 0xef, 0x92, 0x80, 0x00, 0xa2}, []uint16{0xbeef, 0x8000}, true},
		{[]byte{0xff, 0xff, 0xac}, []uint16{0xffff}, true},
		{nil, nil, true},
		{[]byte{0xbe, 0xef, 0x93}, nil, false},
		{[]byte{0xbe, 0xef, 0x92, 0x80, 0x01, 0xa2}, nil, false}, // one flipped bit
		{[]byte{0xbe, 0xef}, nil, false},
	} {
		got, err := Words(c.answer)
		if !slices.Equal(got, c.want) || (err == nil) != c.ok {
			t.Errorf("% x: %04x, %v", c.answer, got, err)
		}
	}
}

// What is taken for words is exactly what those words would be sent as.
func FuzzWords(f *testing.F) {
	f.Add([]byte{0xbe, 0xef, 0x92, 0x80, 0x00, 0xa2})
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Add([]byte{0x00})
	f.Fuzz(func(t *testing.T, answer []byte) {
		words, err := Words(answer)
		if err != nil {
			return
		}
		var sent []byte
		for _, w := range words {
			sent = append(sent, byte(w>>8), byte(w), CRC(byte(w>>8), byte(w)))
		}
		if !bytes.Equal(sent, answer) {
			t.Errorf("% x was taken for % x", answer, sent)
		}
	})
}

func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		raw  uint16
		want float64
		ok   bool
	}{
		{0x6666, 25, true},
		{1873, -39.998, true},
		{1872, 0, false}, // -40.001
		{63662, 124.999, true},
		{63663, 0, false}, // 125.002
		{0x0000, 0, false},
		{0xffff, 0, false},
	} {
		got, ok := Temperature(c.raw)
		if ok != c.ok || ok && math.Abs(got.Celsius()-c.want) > 0.001 {
			t.Errorf("%04x: %v, %t", c.raw, got, ok)
		}
	}
}

// part answers a command after a while and refuses reads until then.
type part struct {
	works  time.Duration
	answer []byte
	err    error  // of every transfer
	late   error  // of reads
	gone   func() // called when a command came

	asked time.Time
	log   []time.Duration // when reads came, counted from the command
}

func (p *part) String() string                  { return "part" }
func (p *part) SetSpeed(physic.Frequency) error { return nil }

func (p *part) Tx(_ uint16, w, r []byte) error {
	switch {
	case p.err != nil:
		return p.err
	case len(w) > 0:
		p.asked = time.Now()
		if p.gone != nil {
			p.gone()
		}
		return nil
	}
	p.log = append(p.log, time.Since(p.asked))
	if p.late != nil {
		return p.late
	}
	if time.Since(p.asked) < p.works {
		return &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	}
	copy(r, p.answer)
	return nil
}

func ask(ctx context.Context, t *testing.T, p *part) ([]uint16, error) {
	t.Helper()
	port, err := chip.NewPort(p, "sht", "t", 0x44, chip.At(0x44))
	if err != nil {
		t.Fatal(err)
	}
	return Ask(ctx, port, "read", Command{Name: "Measurement", Code: []byte{0xfd}, Time: 10 * time.Millisecond}, 2)
}

func TestAsk(t *testing.T) {
	const ms = time.Millisecond
	good := []byte{0x66, 0x66, 0x93, 0x66, 0x66, 0x93}
	for _, c := range []struct {
		name  string
		part  part
		reads []time.Duration
		fault drivers.Fault
	}{
		{"ready in time", part{works: 8300 * time.Microsecond, answer: good}, []time.Duration{10 * ms}, drivers.None},
		{"slow by a little", part{works: 11 * ms, answer: good}, []time.Duration{10 * ms, 11 * ms}, drivers.None},
		{"as slow as is waited for", part{works: 12 * ms, answer: good}, []time.Duration{10 * ms, 11 * ms, 12 * ms}, drivers.None},
		{"slower", part{works: 13 * ms, answer: good}, []time.Duration{10 * ms, 11 * ms, 12 * ms}, drivers.NoAnswer},
		{"absent", part{err: drivers.NoAnswer}, nil, drivers.NoAnswer},
		{"lost arbitration is no sign of work", part{late: drivers.Arbitration}, []time.Duration{10 * ms}, drivers.Arbitration},
		{"a held bus", part{late: drivers.Timeout}, []time.Duration{10 * ms}, drivers.Timeout},
		{"flipped bit", part{answer: []byte{0x66, 0x67, 0x93, 0x66, 0x66, 0x93}}, []time.Duration{10 * ms}, drivers.Corrupt},
		{"flipped bit in the last word", part{answer: []byte{0x66, 0x66, 0x93, 0x66, 0x66, 0x92}}, []time.Duration{10 * ms}, drivers.Corrupt},
		{"all zero", part{answer: make([]byte, 6)}, []time.Duration{10 * ms}, drivers.Corrupt},
		{"nobody drives", part{answer: bytes.Repeat([]byte{0xff}, 6)}, []time.Duration{10 * ms}, drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				words, err := ask(t.Context(), t, &c.part)
				if drivers.FaultOf(err) != c.fault || !slices.Equal(c.part.log, c.reads) {
					t.Errorf("%v, reads at %v", err, c.part.log)
				}
				if want := []uint16{0x6666, 0x6666}; (err == nil) != slices.Equal(words, want) {
					t.Errorf("%04x, %v", words, err)
				}
				if c.fault == drivers.NoAnswer && c.part.err == nil && !errors.Is(err, syscall.ENXIO) {
					t.Errorf("%v lost its errno", err)
				}
			})
		})
	}
}

func TestTheEndOfTheContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the agent stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		p := &part{gone: func() { time.AfterFunc(time.Millisecond, func() { cancel(why) }) }}
		_, err := ask(ctx, t, p)
		if !errors.Is(err, drivers.Cancelled) || !errors.Is(err, why) || time.Since(p.asked) != time.Millisecond || p.log != nil {
			t.Errorf("%v after %v, reads at %v", err, time.Since(p.asked), p.log)
		}
		p = &part{}
		if _, err = ask(ctx, t, p); !errors.Is(err, drivers.Cancelled) || !p.asked.IsZero() {
			t.Errorf("%v: a command was sent after the end", err)
		}
	})
}
