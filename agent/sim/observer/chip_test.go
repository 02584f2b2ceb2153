package observer

import (
	"testing"

	"rackagent/drivers/drivertest"
)

// Examples of writes and what they leave in the parts with one-byte registers: every byte goes to the register that the
// command names (NXP PCA9554, figure 6), and a controller takes 80 and 00 alone.
func TestChipTakes(t *testing.T) {
	for _, x := range []struct {
		kind kind
		w    []byte
		want chip
	}{
		{expander8, nil, chip{kind: expander8, latch: 0xFF, direction: 0xFF}},
		{expander8, []byte{1, 0x12}, chip{kind: expander8, latch: 0x12, direction: 0xFF, pointer: 1}},
		{expander8, []byte{1, 0x12, 0x34}, chip{kind: expander8, latch: 0x34, direction: 0xFF, pointer: 1}},
		{expander8, []byte{2, 0x01}, chip{kind: expander8, latch: 0xFF, polarity: 0x01, direction: 0xFF, pointer: 2}},
		{expander8, []byte{3, 0x00}, chip{kind: expander8, latch: 0xFF, pointer: 3}},
		{expander8, []byte{0, 0x00}, chip{kind: expander8, latch: 0xFF, direction: 0xFF}},
		{expander8, []byte{5, 0x00}, chip{kind: expander8, latch: 0xFF, direction: 0xFF, pointer: 5}},
		{operation, nil, chip{kind: operation, latch: 0x80}},
		{operation, []byte{1, 0x00}, chip{kind: operation, pointer: 1}},
		{operation, []byte{1, 0x40}, chip{kind: operation, latch: 0x80, pointer: 1}},
		{operation, []byte{0xD4, 0x00}, chip{kind: operation, latch: 0x80, pointer: 0xD4}},
	} {
		if got := powerOn(x.kind).take(x.w); got != x.want {
			t.Errorf("% x: %+v, want %+v", x.w, got, x.want)
		}
	}
}

func TestChipTells(t *testing.T) {
	for _, x := range []struct {
		c    chip
		r    []byte
		fits bool
	}{
		{chip{kind: expander8, latch: 0x12, pointer: 1}, []byte{0x12, 0x12}, true},
		{chip{kind: expander8, latch: 0x12, pointer: 1}, []byte{0x12, 0x00}, false},
		{chip{kind: expander8, latch: 0x12, pointer: 0}, []byte{0x99}, true},
		{chip{kind: operation, pointer: 1}, []byte{0x00, 0x5B}, true}, // a packet error code follows
		{chip{kind: operation, pointer: 1}, []byte{0x80}, false},
		{chip{kind: operation, pointer: 0x88}, []byte{0x80, 0x12}, true},
	} {
		if _, ok := x.c.tells(x.r); ok != x.fits {
			t.Errorf("%+v, read % x: %v", x.c, x.r, ok)
		}
	}
}

// OPERATION = 80 and CLEAR_FAULTS at the address 58h.
func TestPacketCode(t *testing.T) {
	for _, x := range []struct {
		w    []byte
		want byte
	}{{[]byte{0x01, 0x80}, 0x76}, {[]byte{0x03}, 0x46}} {
		if got := packetCode(0x58, x.w); got != x.want {
			t.Errorf("% x: %02x, want %02x", x.w, got, x.want)
		}
	}
}

// transfers cuts a script into transfers: a length, and as many bytes.
func transfers(script []byte, each func(w []byte)) {
	for len(script) > 0 {
		n := min(int(script[0]%6), len(script)-1)
		each(script[1 : 1+n])
		script = script[1+n:]
	}
}

// The simulation of an 8-bit expander and the observer agree on everything that any transfer does.
func FuzzExpander8(f *testing.F) {
	f.Add([]byte{2, 1, 0x12, 2, 3, 0}, byte(1))
	f.Add([]byte{4, 1, 2, 0, 4, 1, 9}, byte(2))
	f.Fuzz(func(t *testing.T, script []byte, reads byte) {
		c := drivertest.NewPCA9554(nil)
		x := powerOn(expander8)
		transfers(script, func(w []byte) {
			got := make([]byte, reads%4)
			if err := c.Tx(w, got); err != nil {
				t.Fatal(err)
			}
			next, ok := x.take(w).tells(got)
			if x = next; !ok || byte(x.latch) != c.Output() || byte(x.direction) != c.Direction() || byte(x.polarity) != c.Polarity() {
				t.Fatalf("after % x, read % x: %+v, and the chip has %02x %02x", w, got, x, c.Output(), c.Direction())
			}
		})
	})
}

// The simulation of a hot-swap controller and the observer agree on what any transfer makes of OPERATION.
func FuzzOperation(f *testing.F) {
	f.Add([]byte{2, 1, 0x00, 1, 1, 2, 1, 0x80}, byte(0))
	f.Add([]byte{3, 1, 0x00, packetCode(0x10, []byte{1, 0}), 3, 1, 0x80, 0}, byte(0))
	f.Add([]byte{1, 0xD9, 2, 1, 0x40, 1, 1, 2, 1, 0}, byte(1))
	f.Fuzz(func(t *testing.T, script []byte, reads byte) {
		c := drivertest.NewADM1272(drivertest.ADM1272Opts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x10}})
		x := powerOn(operation)
		transfers(script, func(w []byte) {
			got := make([]byte, reads%3)
			err := c.Tx(w, got)
			x = x.take(operation.heard(0x10, w, len(got)))
			ok := true
			if err == nil && len(w) < 2 { // with data before a repeated START it answers nothing that counts
				x, ok = x.tells(got)
			}
			if has := c.Register(0, cmdOperation)[0]; !ok || byte(x.latch) != has {
				t.Fatalf("after % x, read % x: %+v, and OPERATION is %02x", w, got, x, has)
			}
		})
	})
}
