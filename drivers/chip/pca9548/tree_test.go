package pca9548

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// tree is a bus with switches, some of them behind channels of others. Behind every channel is a meter at address
// 0x38 that reads as its own number; several that answer at once read as the wired-AND of theirs.
type tree struct {
	root   []*node
	log    []string
	low    bool                              // SDA is held, on an adapter that does not look: all is acknowledged and reads 0
	before func(a uint16, w, r []byte) error // an error is that of the transfer, which nobody sees
	after  func(a uint16, w, r []byte)
}

// node is one switch.
type node struct {
	at      uint16
	control byte
	noise   byte          // bits that read set and are no channels
	meters  [8]byte       // 0: none
	below   map[int]*node // by channel
	hog     byte          // a channel of these holds the bus while it is connected
	off     bool          // no supply
}

func (b *tree) String() string                  { return "tree" }
func (b *tree) SetSpeed(physic.Frequency) error { return nil }

func (b *tree) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(b) }

func (b *tree) Tx(a uint16, w, r []byte) error {
	if len(r) > 0 {
		b.log = append(b.log, fmt.Sprintf("%02x?", a))
	} else {
		b.log = append(b.log, fmt.Sprintf("%02x=%x", a, w))
	}
	if b.before != nil {
		if err := b.before(a, w, r); err != nil {
			return err
		}
	}
	if b.low {
		clear(r)
		return nil
	}
	if b.held() {
		return drivers.Timeout
	}
	err := b.deliver(a, w, r)
	if b.after != nil {
		b.after(a, w, r)
	}
	return err
}

// connected lists the switches that can be reached.
func (b *tree) connected() []*node {
	out := slices.DeleteFunc(slices.Clone(b.root), func(n *node) bool { return n.off })
	for i := 0; i < len(out); i++ {
		for ch, below := range out[i].below {
			if out[i].control>>ch&1 == 1 && !below.off {
				out = append(out, below)
			}
		}
	}
	return out
}

func (b *tree) held() bool {
	return slices.ContainsFunc(b.connected(), func(n *node) bool { return n.control&n.hog != 0 })
}

func (b *tree) deliver(a uint16, w, r []byte) error {
	acknowledged := false
	for i := range r {
		r[i] = 0xff
	}
	for _, n := range b.connected() {
		for ch := range n.meters {
			if a == 0x38 && n.control>>ch&1 == 1 && n.meters[ch] != 0 {
				acknowledged = true
				for i := range r {
					r[i] &= n.meters[ch]
				}
			}
		}
		if a == n.at {
			acknowledged = true
			for i := range r {
				r[i] &= n.control | n.noise
			}
			if len(w) == 1 {
				n.control = w[0]
			}
		}
	}
	if !acknowledged {
		return drivers.NoAnswer
	}
	return nil
}

// meters numbers the meters behind one switch from first on.
func meters(first byte) (out [8]byte) {
	for i := range out {
		out[i] = first + byte(i)
	}
	return out
}

func mux(t *testing.T, up *tree, o Opts) *Dev {
	t.Helper()
	d, err := New(up, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func channel(t *testing.T, d *Dev, n int) *Port {
	t.Helper()
	p, err := d.Port(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// meter reads the number of the meter behind a port.
func meter(p *Port) (byte, error) {
	var r [1]byte
	err := p.Tx(0x38, []byte{0x00}, r[:])
	return r[0], err
}

// The upper half of a PCA9545's control byte are its interrupt inputs, and of a PCA9546's nobody says what.
func TestUpperHalfIsNoChannel(t *testing.T) {
	for _, part := range []Part{PCA9545, PCA9546} {
		n := &node{at: 0x70, noise: 0xa0, meters: meters(0x10)}
		p := channel(t, mux(t, &tree{root: []*node{n}}, Opts{Name: "t", Addr: 0x70, Part: part}), 3)
		for range 2 {
			if got, err := meter(p); err != nil || got != 0x13 || n.control != 0 {
				t.Errorf("%s: %02x, %v, control byte %02x", part, got, err, n.control)
			}
		}
	}
	n := &node{at: 0x70, noise: 0xa0}
	if _, err := mux(t, &tree{root: []*node{n}}, Opts{Addr: 0x70}).Identify(t.Context()); !errors.Is(err, drivers.Mismatch) {
		t.Errorf("eight channels: %v", err)
	}
}

// A switch that forgets its channel, or gets another one, in the middle of a job: the data are nobody's, and this is
// said although every transfer was acknowledged.
func TestLostInTheMiddleOfAJob(t *testing.T) {
	for _, c := range []struct {
		name       string
		upset      byte // what the control byte becomes once the meter was addressed
		unverified bool
		reads      bool
		fault      drivers.Fault
	}{
		{name: "untouched", upset: 0x02, reads: true},
		{name: "brown-out", upset: 0x00, reads: true, fault: drivers.Restarted},
		{name: "another channel", upset: 0x04, reads: true, fault: drivers.Mismatch},
		{name: "a second channel", upset: 0x06, reads: true, fault: drivers.Mismatch},
		{name: "brown-out, and nobody asked", upset: 0x00, reads: true, unverified: true},
		{name: "brown-out after a write, whose own answer counts", upset: 0x00},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{at: 0x70, meters: meters(0x10)}
			b := &tree{root: []*node{n}}
			b.after = func(a uint16, _, r []byte) {
				if a == 0x38 {
					n.control = c.upset
				}
			}
			p := channel(t, mux(t, b, Opts{Addr: 0x70, Unverified: c.unverified}), 1)
			var r []byte
			if c.reads {
				r = make([]byte, 1)
			}
			err := p.Tx(0x38, []byte{0x00}, r)
			if drivers.FaultOf(err) != c.fault || n.control != 0 {
				t.Errorf("%v, control byte %02x", err, n.control)
			}
		})
	}
}

// The look at the end can fail too; then the data are as little proven.
func TestCheckThatFails(t *testing.T) {
	n := &node{at: 0x70, meters: meters(0x10)}
	b := &tree{root: []*node{n}}
	p := channel(t, mux(t, b, Opts{Addr: 0x70}), 1)
	var met bool
	b.before = func(a uint16, w, r []byte) error {
		if met && a == 0x70 && len(r) > 0 {
			met = false
			return drivers.Arbitration
		}
		met = met || a == 0x38
		return nil
	}
	if _, err := meter(p); !errors.Is(err, drivers.Arbitration) || n.control != 0 {
		t.Errorf("%v, control byte %02x", err, n.control)
	}
}

// nested is a switch behind channel 2 of another one, both of them with the same meters.
func nested(t *testing.T) (b *tree, outer, inner *node, p *Port) {
	t.Helper()
	inner = &node{at: 0x71, meters: meters(0x20)}
	outer = &node{at: 0x70, meters: meters(0x10), below: map[int]*node{2: inner}}
	outer.meters[2] = 0
	b = &tree{root: []*node{outer}}
	up := channel(t, mux(t, b, Opts{Name: "outer", Addr: 0x70}), 2)
	d, err := New(up, Opts{Name: "inner", Addr: 0x71, Part: PCA9546})
	if err != nil {
		t.Fatal(err)
	}
	return b, outer, inner, channel(t, d, 3)
}

func TestNested(t *testing.T) {
	b, outer, inner, p := nested(t)
	if got, err := meter(p); err != nil || got != 0x23 {
		t.Errorf("%02x, %v", got, err)
	}
	want := "70=00 70? 70=04 70? 71=00 71? 71=08 71? 38? 71? 71=00 70? 70=00"
	if got := strings.Join(b.log, " "); got != want {
		t.Errorf("traffic %s\nwant    %s", got, want)
	}
	b.log = nil
	if got, err := meter(p); err != nil || got != 0x23 || outer.control|inner.control != 0 {
		t.Errorf("%02x, %v, control bytes %02x and %02x", got, err, outer.control, inner.control)
	}
	if got := strings.Join(b.log, " "); got != "70=04 70? 71=08 71? 38? 71? 71=00 70? 70=00" {
		t.Errorf("second time: %s", got)
	}
}

// The inner switch is left before the outer one, whatever the job returned: the other way round its channel would stay
// connected where nobody can reach it.
func TestNestedError(t *testing.T) {
	b, outer, inner, p := nested(t)
	err := p.Do(t.Context(), func(tx i2c.Bus) error {
		b.log = nil
		return tx.Tx(0x50, []byte{0x00}, nil)
	})
	if !errors.Is(err, drivers.NoAnswer) || outer.control|inner.control != 0 {
		t.Errorf("%v, control bytes %02x and %02x", err, outer.control, inner.control)
	}
	if got := strings.Join(b.log, " "); got != "50=00 71=00 71? 70=00 70?" {
		t.Errorf("traffic %s", got)
	}
}

func TestNestedLoss(t *testing.T) {
	b, outer, inner, p := nested(t)
	b.after = func(a uint16, _, _ []byte) {
		if a == 0x38 {
			outer.control = 0 // the inner switch stays connected behind it
		}
	}
	if _, err := meter(p); err == nil {
		t.Error("data of a meter that was cut off were taken")
	}
	b.after = nil
	if got, err := meter(p); err != nil || got != 0x23 || outer.control|inner.control != 0 {
		t.Errorf("%02x, %v, control bytes %02x and %02x", got, err, outer.control, inner.control)
	}
}

// Two switches side by side with equal meters. The first job of the second one finds the channel that an earlier
// process left connected on the first one.
func TestSegment(t *testing.T) {
	one, two := &node{at: 0x70, meters: meters(0x10)}, &node{at: 0x71, meters: meters(0x20)}
	one.control = 0x08
	b := &tree{root: []*node{one, two}}
	var s Segment
	_ = mux(t, b, Opts{Name: "one", Addr: 0x70, Segment: &s})
	p := channel(t, mux(t, b, Opts{Name: "two", Addr: 0x71, Segment: &s}), 3)
	if got, err := meter(p); err != nil || got != 0x23 {
		t.Errorf("%02x, %v", got, err)
	}
	b.log = nil
	if got, err := meter(p); err != nil || got != 0x23 || strings.Contains(strings.Join(b.log, " "), "70") {
		t.Errorf("%02x, %v: a switch without doubt is not asked again: %v", got, err, b.log)
	}
	if _, err := New(b, Opts{Addr: 0x71, Segment: &s}); err == nil {
		t.Error("two switches at one address")
	}
}

func TestSegmentInDoubt(t *testing.T) {
	one, two := &node{at: 0x70, meters: meters(0x10)}, &node{at: 0x71, meters: meters(0x20)}
	b := &tree{root: []*node{one, two}}
	var s Segment
	first := channel(t, mux(t, b, Opts{Name: "one", Addr: 0x70, Segment: &s}), 0)
	second := channel(t, mux(t, b, Opts{Name: "two", Addr: 0x71, Segment: &s}), 0)
	if _, err := meter(first); err != nil {
		t.Fatal(err)
	}
	// From here on the first switch cannot be turned off any more, and its channel stays connected.
	b.before = func(a uint16, w, r []byte) error {
		if a == 0x70 && len(w) == 1 && w[0] == 0 {
			return drivers.Arbitration
		}
		return nil
	}
	if _, err := meter(first); err == nil || one.control != 0x01 {
		t.Fatalf("%v, control byte %02x", err, one.control)
	}
	ran := false
	err := second.Do(t.Context(), func(i2c.Bus) error { ran = true; return nil })
	if err == nil || ran || !strings.Contains(err.Error(), `"one"`) {
		t.Errorf("job ran beside a connected channel: %t, %v", ran, err)
	}
	b.before = nil
	if got, err := meter(second); err != nil || got != 0x20 || one.control != 0 {
		t.Errorf("%02x, %v, control byte %02x", got, err, one.control)
	}
}

// A switch that is not there stops nobody, and is asked again each time in case it comes back.
func TestSegmentWithAnAbsentSwitch(t *testing.T) {
	one, two := &node{at: 0x70, meters: meters(0x10), off: true}, &node{at: 0x71, meters: meters(0x20)}
	b := &tree{root: []*node{one, two}}
	var s Segment
	absent := channel(t, mux(t, b, Opts{Name: "one", Addr: 0x70, Segment: &s}), 0)
	p := channel(t, mux(t, b, Opts{Name: "two", Addr: 0x71, Segment: &s}), 0)
	for range 2 {
		b.log = nil
		if got, err := meter(p); err != nil || got != 0x20 || !strings.Contains(strings.Join(b.log, " "), "70=00 70?") {
			t.Errorf("%02x, %v, %v", got, err, b.log)
		}
	}
	if _, err := meter(absent); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("a job of the absent switch: %v", err)
	}
	one.off, one.control = false, 0x02
	if got, err := meter(p); err != nil || got != 0x20 || one.control != 0 {
		t.Errorf("back again: %02x, %v, control byte %02x", got, err, one.control)
	}
}

// Only a switch that acknowledges neither write nor read is absent. Any other failure leaves it open what is connected.
func TestSegmentHalfAnswered(t *testing.T) {
	for _, c := range []struct{ write, read drivers.Fault }{
		{drivers.NoAnswer, drivers.None},
		{drivers.NoAnswer, drivers.Arbitration},
		{drivers.Arbitration, drivers.NoAnswer},
		{drivers.Timeout, drivers.NoAnswer},
	} {
		one, two := &node{at: 0x70, control: 0x10}, &node{at: 0x71, meters: meters(0x20)}
		b := &tree{root: []*node{one, two}}
		var s Segment
		_ = mux(t, b, Opts{Name: "one", Addr: 0x70, Segment: &s})
		p := channel(t, mux(t, b, Opts{Name: "two", Addr: 0x71, Segment: &s}), 0)
		b.before = func(a uint16, w, r []byte) error {
			f := c.write
			if len(r) > 0 {
				f = c.read
			}
			if a != 0x70 || f == drivers.None {
				return nil
			}
			return f
		}
		ran := false
		if err := p.Do(t.Context(), func(i2c.Bus) error { ran = true; return nil }); err == nil || ran {
			t.Errorf("write %v, read %v: ran %t beside control byte %02x: %v", c.write, c.read, ran, one.control, err)
		}
	}
}

// Faults at every transfer of two switches with equal meters: whatever goes wrong, a job runs with its own meter alone
// or not at all, data are the meter's or there is an error, and afterwards all is well again.
func FuzzFaults(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, faults []byte) {
		one, two := &node{at: 0x70, control: 0x40, meters: meters(0x10)}, &node{at: 0x71, control: 0x01, meters: meters(0x20)}
		b := &tree{root: []*node{one, two}}
		var s Segment
		ports := []*Port{
			channel(t, mux(t, b, Opts{Addr: 0x70, Segment: &s}), 0), channel(t, mux(t, b, Opts{Addr: 0x71, Segment: &s}), 0),
		}
		b.before = func(a uint16, w, r []byte) error {
			if len(faults) == 0 {
				return nil
			}
			next := faults[0] % 8
			faults = faults[1:]
			switch next {
			case 1:
				return drivers.Arbitration
			case 2:
				return drivers.Corrupt
			case 3: // taken all the same
				_ = b.deliver(a, w, r)
				return drivers.Arbitration
			case 4:
				one.control = 0
			case 5:
				two.control = 0
			}
			return nil
		}
		for i := range 8 {
			p := ports[i%2]
			var first, second [1]byte
			ran := false
			err := p.Do(t.Context(), func(tx i2c.Bus) error {
				ran = true
				return errors.Join(tx.Tx(0x38, []byte{0x00}, first[:]), tx.Tx(0x38, []byte{0x00}, second[:]))
			})
			if want := byte(0x10 + 0x10*(i%2)); err == nil && (!ran || first[0] != want || second[0] != want) {
				t.Fatalf("job %d: %02x and %02x instead of %02x", i, first[0], second[0], want)
			}
			if err == nil && b.root[i%2].control != 0 {
				t.Fatalf("job %d: control byte %02x without an error", i, b.root[i%2].control)
			}
		}
		faults = nil
		for i, p := range ports {
			if got, err := meter(p); err != nil || got != byte(0x10+0x10*i) || one.control|two.control != 0 {
				t.Fatalf("afterwards: %02x, %v, control bytes %02x and %02x", got, err, one.control, two.control)
			}
		}
	})
}
