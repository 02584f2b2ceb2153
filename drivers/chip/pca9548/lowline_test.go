package pca9548

import (
	"errors"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// pair are two switches side by side with equal meters, both of them used once.
func pair(t *testing.T, o Opts) (b *tree, one, two *node, first, second *Port) {
	t.Helper()
	one, two = &node{at: 0x70, meters: meters(0x10)}, &node{at: 0x71, meters: meters(0x40)}
	b = &tree{root: []*node{one, two}}
	o.Segment = new(Segment)
	o.Name, o.Addr = "one", 0x70
	first = channel(t, mux(t, b, o), 2)
	second = channel(t, mux(t, b, Opts{Name: "two", Addr: 0x71, Segment: o.Segment}), 3)
	for _, p := range []*Port{first, second, first, second} {
		if _, err := meter(p); err != nil {
			t.Fatal(err)
		}
	}
	b.log = nil
	return b, one, two, first, second
}

// lowJobs leave the first switch connected on a line that is held low.
var lowJobs = []struct {
	name string
	o    Opts
	job  func(tx i2c.Bus) error
	err  bool // is there an error?
}{
	{name: "that reads", job: func(tx i2c.Bus) error { return tx.Tx(0x38, []byte{0}, make([]byte, 1)) }, err: true},
	{name: "that only writes", job: func(tx i2c.Bus) error { return tx.Tx(0x38, []byte{0}, nil) }},
	{name: "that fails", job: func(i2c.Bus) error { return drivers.Corrupt }, err: true},
	{name: "that reads, unverified", o: Opts{Unverified: true}, job: func(tx i2c.Bus) error { return tx.Tx(0x38, []byte{0}, make([]byte, 1)) }},
}

// A line that is held low makes a deselect look as if it had worked. Whenever it comes free in the following job of the
// other switch, that job runs with its own meter alone or not at all, and the one after it is well.
func TestLowLine(t *testing.T) {
	for _, c := range lowJobs {
		t.Run(c.name, func(t *testing.T) {
			refused := false
			for free := range 12 {
				b, one, two, first, second := pair(t, c.o)
				err := first.Do(t.Context(), func(tx i2c.Bus) error { b.low = true; return c.job(tx) })
				if (err != nil) != c.err || one.control != 0x04 || first.mux.doubt.Load() {
					t.Fatalf("%v, control byte %02x, in doubt %t", err, one.control, first.mux.doubt.Load())
				}
				n := 0
				b.before = func(uint16, []byte, []byte) error {
					b.low = n < free
					n++
					return nil
				}
				var r [1]byte
				err = second.Do(t.Context(), func(tx i2c.Bus) error {
					if !b.low && one.control != 0 {
						t.Errorf("free at %d: a job ran beside control byte %02x", free, one.control)
					}
					return tx.Tx(0x38, []byte{0}, r[:])
				})
				if err == nil && r[0] != 0x43 {
					t.Errorf("free at %d: %02x", free, r[0])
				}
				if free == 0 && err != nil {
					t.Errorf("free before the job: %v", err)
				}
				if errors.Is(err, drivers.Mismatch) && strings.Contains(err.Error(), "look for other channels") {
					refused = true
					if one.control != 0 {
						t.Errorf("free at %d: refused, and left at %02x", free, one.control)
					}
				}
				b.before, b.low = nil, false
				if got, err := meter(second); err != nil || got != 0x43 || one.control|two.control != 0 {
					t.Errorf("free at %d, afterwards: %02x, %v, control bytes %02x and %02x", free, got, err, one.control, two.control)
				}
			}
			if !refused {
				t.Error("no job found the channel that was still connected")
			}
		})
	}
}

// What the proof costs: nothing after a job that was clean to its end, and three short transfers once after any other.
func TestLowLineTraffic(t *testing.T) {
	b, absent, _, first, second := pair(t, Opts{})
	traffic := func(p *Port, want string) {
		t.Helper()
		b.log = nil
		if _, err := meter(p); err != nil {
			t.Error(err)
		}
		if got := strings.Join(b.log, " "); got != want {
			t.Errorf("traffic %s\nwant    %s", got, want)
		}
	}
	const one, two = "70=04 70? 38? 70? 70=00", "71=08 71? 38? 71? 71=00"
	traffic(first, one)
	traffic(second, two)
	if err := first.Do(t.Context(), func(tx i2c.Bus) error { return tx.Tx(0x50, []byte{0}, nil) }); !errors.Is(err, drivers.NoAnswer) {
		t.Fatal(err)
	}
	traffic(second, "70=00 71=08 71? 70? 71? 38? 71? 71=00")
	traffic(second, two)
	traffic(first, one)
	_ = first.Do(t.Context(), func(i2c.Bus) error { return drivers.Corrupt })
	absent.off = true // who is not there is not looked at
	traffic(second, "70=00 70=00 70? "+two)
	traffic(second, "70=00 70? "+two)
}

// A look that fails refuses the job, but for a switch that is not there any more.
func TestLookThatFails(t *testing.T) {
	for _, c := range []struct {
		name        string
		write, read drivers.Fault
		runs        bool
	}{
		{name: "the read alone", read: drivers.Arbitration},
		{name: "not acknowledged, but written", read: drivers.NoAnswer},
		{name: "read and write", write: drivers.Arbitration, read: drivers.Arbitration},
		{name: "no supply", write: drivers.NoAnswer, read: drivers.NoAnswer, runs: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, one, two, first, second := pair(t, Opts{})
			_ = first.Do(t.Context(), func(i2c.Bus) error { return drivers.Corrupt })
			b.before = func(a uint16, w, r []byte) error {
				f := c.write
				if len(r) > 0 {
					f = c.read
				}
				if a != 0x70 || f == drivers.None || two.control == 0 {
					return nil
				}
				return f
			}
			ran := false
			err := second.Do(t.Context(), func(i2c.Bus) error { ran = true; return nil })
			if ran != c.runs || (err == nil) != c.runs || two.control != 0 || !first.mux.doubt.Load() {
				t.Errorf("ran %t, %v, control byte %02x", ran, err, two.control)
			}
			b.before = nil
			if got, err := meter(second); err != nil || got != 0x43 || one.control != 0 {
				t.Errorf("afterwards: %02x, %v", got, err)
			}
		})
	}
}

// The line that went low again while the others were looked at has proven nothing.
func TestLowDuringTheLook(t *testing.T) {
	b, _, two, first, second := pair(t, Opts{})
	_ = first.Do(t.Context(), func(i2c.Bus) error { return drivers.Corrupt })
	b.before = func(a uint16, _, r []byte) error {
		b.low = b.low || a == 0x70 && two.control != 0 && len(r) > 0
		return nil
	}
	ran := false
	err := second.Do(t.Context(), func(i2c.Bus) error { ran = true; return nil })
	if ran || !errors.Is(err, drivers.Mismatch) || !first.mux.unseen.Load() {
		t.Errorf("ran %t, %v", ran, err)
	}
}
