package pdu

import (
	"bytes"
	"context"
	"math/bits"
	"slices"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"pgregory.net/rapid"

	"rackagent/drivers"
	"rackagent/drivers/chip/ade7953"
)

// fakeConn is a bus with nothing on it.
type fakeConn struct{}

func (fakeConn) String() string                  { return "empty" }
func (fakeConn) SetSpeed(physic.Frequency) error { return nil }
func (fakeConn) Tx(uint16, []byte, []byte) error { return drivers.NoAnswer }
func (c fakeConn) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	return job(c)
}

// board is an ac8 as register files, on a bus that runs one job after the other. Faults are made by hooks.
type board struct {
	control byte // of the mux
	words   map[byte]uint16
	config  byte // of the temperature sensor
	temp    uint16
	eeprom  []byte
	meters  [4]*chipFile

	count  int
	before func(n int, addr uint16, w []byte) error // n counts transfers from 0; an error is what the transfer gives
	after  func(n int, addr uint16, w []byte) error // as before, but the device has taken the transfer
	writes []uint16                                 // latch words that reached the expander
}

const (
	latchReg     = 0x02
	polarityReg  = 0x04
	directionReg = 0x06
)

// newBoard is a board after the agent has set it up long ago: relays 1 to 3 and, by their contacts at rest, 7 and 8
// closed, 4 to 6 open.
func newBoard() *board {
	b := &board{
		words:  map[byte]uint16{latchReg: 0xff07, polarityReg: 0, directionReg: 0xff00},
		temp:   0x1900,
		eeprom: identity("Rackagent", "AC8", "PA-0001"),
	}
	for i := range b.meters {
		b.meters[i] = newChipFile()
	}
	return b
}

func (b *board) String() string                  { return "board" }
func (b *board) SetSpeed(physic.Frequency) error { return nil }
func (b *board) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	if ctx.Err() != nil {
		return &drivers.Error{Op: "wait", Fault: drivers.Cancelled, Err: context.Cause(ctx)}
	}
	return job(b)
}

func (b *board) Tx(addr uint16, w, r []byte) error {
	n := b.count
	b.count++
	if b.before != nil {
		if err := b.before(n, addr, w); err != nil {
			return err
		}
	}
	if err := b.move(addr, w, r); err != nil {
		return err
	}
	if b.after != nil {
		return b.after(n, addr, w)
	}
	return nil
}

func (b *board) move(addr uint16, w, r []byte) error {
	switch addr {
	case 0x70:
		if len(w) == 1 {
			b.control = w[0]
		}
		if len(r) == 1 {
			r[0] = b.control
		}
	case 0x20:
		b.expander(w, r)
	case 0x48:
		b.sensor(w, r)
	case 0x50:
		copy(r, b.eeprom[w[0]:])
	case ade7953.Address:
		n := bits.TrailingZeros8(b.control)
		if bits.OnesCount8(b.control) != 1 || n >= len(b.meters) || b.meters[n] == nil {
			return drivers.NoAnswer
		}
		b.meters[n].tx(w, r)
	default:
		return drivers.NoAnswer
	}
	return nil
}

func (b *board) expander(w, r []byte) {
	if len(r) == 2 {
		r[0], r[1] = byte(b.words[w[0]]), byte(b.words[w[0]]>>8)
		return
	}
	b.words[w[0]] = uint16(w[1]) | uint16(w[2])<<8
	if w[0] == latchReg {
		b.writes = append(b.writes, b.words[latchReg])
	}
}

func (b *board) sensor(w, r []byte) {
	words := map[byte]uint16{0: b.temp, 1: uint16(b.config) << 8, 2: 0x4b00, 3: 0x5000}
	if len(r) == 0 {
		b.config = w[1]
		return
	}
	v := words[w[0]]
	copy(r, []byte{byte(v >> 8), byte(v)})
}

// brownOut is what the expander is after a loss of its supply.
func (b *board) brownOut() {
	b.words = map[byte]uint16{latchReg: 0xffff, polarityReg: 0, directionReg: 0xffff}
}

// chipFile is an ADE7953 as a register file. Addresses of four digits tell the width as the part's do.
type chipFile struct {
	regs   map[uint16]uint32
	writes int
}

func newChipFile() *chipFile {
	c := &chipFile{}
	c.reset()
	return c
}

func (c *chipFile) reset() {
	c.regs = map[uint16]uint32{
		0x004: 0x40, 0x102: 0x8004, 0x203: 0xe419, 0x204: 0xe419, 0x22d: 1 << 20, 0x702: 0x33,
		0x10e: 0x117a, 0x21c: 0x5a7843, // 50 Hz, 230 V
		0x212: 0x160a8b, 0x210: 0x160a8b, 0x21a: 0x3e5e7c, 0x10a: 0x7ae1, // A: 2300 W, 10 A
	}
	for r := uint16(0x280); r <= 0x284; r++ {
		c.regs[r], c.regs[r+12] = 0x400000, 0x400000
	}
}

func (c *chipFile) tx(w, r []byte) {
	reg := uint16(w[0])<<8 | uint16(w[1])
	if len(r) == 0 {
		c.write(reg, w[2:])
		return
	}
	v := c.regs[reg]
	switch reg {
	case 0x37f:
		v = c.sum()
	case 0x22e:
		v, c.regs[0x22d] = c.regs[0x22d], 0
	}
	for i := range r {
		r[i] = byte(v >> (8 * (len(r) - 1 - i)))
	}
}

func (c *chipFile) sum() uint32 {
	if c.regs[0x102]&0x100 == 0 {
		return 0xffffffff
	}
	sum := uint32(7)
	for _, r := range []uint16{0x004, 0x007, 0x008, 0x009, 0x040, 0x102, 0x201, 0x280, 0x28d} {
		sum = sum*31 + c.regs[r]
	}
	return sum
}

func (c *chipFile) write(reg uint16, data []byte) {
	c.writes++
	protect := c.regs[0x040]
	if reg != 0x040 && (len(data) == 1 && protect&1 != 0 || len(data) == 2 && protect&2 != 0 || len(data) > 2 && protect&4 != 0) {
		return
	}
	var v uint32
	for _, x := range data {
		v = v<<8 | uint32(x)
	}
	c.regs[reg] = v
}

// identity is a memory of 256 bytes with a board area.
func identity(manufacturer, product, serial string) []byte {
	sum := func(b []byte) (s byte) {
		for _, x := range b {
			s += x
		}
		return s
	}
	area := []byte{1, 0, 0x19, 0, 0, 0}
	for _, f := range []string{manufacturer, product, serial, "RA-100-8"} {
		area = append(append(area, 0xc0|byte(len(f))), f...)
	}
	area = append(area, 0xc1)
	for len(area)%8 != 7 {
		area = append(area, 0)
	}
	area[1] = byte((len(area) + 1) / 8)
	area = append(area, -sum(area))
	mem := slices.Concat([]byte{1, 0, 0, 1, 0, 0, 0, 0xfe}, area)
	return append(mem, bytes.Repeat([]byte{0xff}, 256-len(mem))...)
}

func ac8(t rapid.TB, b *board) *PDU {
	t.Helper()
	m, err := LoadModel("ac8")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(b, b, Opts{Name: "pdu-a", Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
