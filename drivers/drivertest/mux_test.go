package drivertest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"rackagent/drivers"
)

// trunk is a bus with switches; each device behind them is an 8-bit expander whose latch tells it from the others.
type trunk struct {
	*Bus
	t *testing.T
}

func newTrunk(t *testing.T) trunk { return trunk{NewBus("trunk", BusOpts{}), t} }

// hang attaches a device at 0x20.
func hang(s *Segment, name string, latch byte) {
	c := NewPCA9554(nil)
	c.Load(latch, 0)
	s.Attach(name, 0x20, c)
}

// sel writes a control byte that must be taken.
func (b trunk) sel(addr uint16, control byte) {
	b.t.Helper()
	if err := b.Tx(b.t.Context(), addr, []byte{control}, nil); err != nil {
		b.t.Fatalf("select %02x at 0x%02x: %v", control, addr, err)
	}
}

// latch reads the output latch at 0x20: its value in hex, or the word for why there is none.
func (b trunk) latch() string {
	r := make([]byte, 1)
	if err := b.Tx(b.t.Context(), 0x20, []byte{1}, r); err != nil {
		return drivers.FaultOf(err).String()
	}
	return fmt.Sprintf("%02x", r[0])
}

func (b trunk) want(step, want string) {
	b.t.Helper()
	if got := b.latch(); got != want {
		b.t.Errorf("%s: %s, want %s", step, got, want)
	}
}

func TestMuxWidths(t *testing.T) {
	for _, c := range []struct {
		name    string
		mux     *Mux
		n       int
		written string
		read    string
	}{
		{"PCA9548", NewPCA9548(), 8, "ff", "ff"},
		{"PCA9546", NewPCA9546(), 4, "ff", "0f"},
		{"PCA9545", NewPCA9545(), 4, "f5", "05"},
	} {
		if c.mux.Channels() != c.n {
			t.Errorf("%s has %d channels", c.name, c.mux.Channels())
		}
		get(t, c.mux, "", "00")
		put(t, c.mux, c.written)
		get(t, c.mux, "", c.read)
		c.mux.Interrupt(2, true)
		want := c.read
		if c.name == "PCA9545" {
			want = "45"
		}
		get(t, c.mux, "", want)
		c.mux.Reset()
	}
}

func TestMuxPCA9545Interrupts(t *testing.T) {
	c := NewPCA9545()
	c.Interrupt(0, true)
	c.Interrupt(3, true)
	get(t, c, "", "90")
	put(t, c, "02")
	get(t, c, "", "92")
	c.Interrupt(3, false)
	c.Reset() // the lines belong to the devices
	get(t, c, "", "10")
	if c.Control() != 0 {
		t.Errorf("control %02x", c.Control())
	}
}

// Two levels, two switches of equal address on different channels of the first.
func TestMuxNested(t *testing.T) {
	b := newTrunk(t)
	outer, left, right := NewPCA9548(), NewPCA9546(), NewPCA9545()
	b.Attach("outer", 0x70, outer)
	outer.Channel(0).Attach("left", 0x71, left)
	outer.Channel(7).Attach("right", 0x71, right)
	hang(left.Channel(3), "a", 0xA0)
	hang(right.Channel(3), "b", 0xB0)
	b.want("closed", "nack")
	b.sel(0x70, 0x01)
	b.want("outer alone", "nack")
	b.sel(0x71, 0x08)
	b.want("left", "a0")
	b.sel(0x70, 0x80)
	b.want("the right one is still closed", "nack")
	b.sel(0x71, 0x08)
	b.want("right", "b0")
	b.sel(0x70, 0x00)
	b.want("outer closed", "nack")
	b.sel(0x70, 0x81) // both inner ones kept their channels
	b.want("both pull the lines", "a0")
	b.sel(0x71, 0x00) // written to both
	if left.Control() != 0 || right.Control() != 0 {
		t.Errorf("left %02x right %02x", left.Control(), right.Control())
	}
}

// A transfer that selects does not reach what is behind it, and one that deselects does not either.
func TestMuxConnectsAtStop(t *testing.T) {
	b := newTrunk(t)
	m := NewPCA9548()
	b.Attach("mux", 0x70, m)
	inner := NewPCA9548()
	m.Channel(0).Attach("inner", 0x70, inner)
	b.sel(0x70, 0x01)
	if inner.Control() != 0 {
		t.Errorf("inner %02x", inner.Control())
	}
	b.sel(0x70, 0x01)
	if inner.Control() != 1 {
		t.Errorf("inner %02x", inner.Control())
	}
}

// Equal devices behind two switches of one trunk: with both connected both take a write.
func TestMuxTwoOnOneTrunk(t *testing.T) {
	b := newTrunk(t)
	one, two := NewPCA9548(), NewPCA9548()
	b.Attach("one", 0x70, one)
	b.Attach("two", 0x71, two)
	hang(one.Channel(0), "a", 0x0F)
	hang(two.Channel(0), "b", 0x3C)
	b.sel(0x70, 0x01)
	b.want("one", "0f")
	b.sel(0x71, 0x01)
	b.want("both", "0c")
	if err := b.Tx(t.Context(), 0x20, []byte{1, 0x55}, nil); err != nil {
		t.Fatal(err)
	}
	b.sel(0x70, 0x00)
	b.want("the write reached the wrong one too", "55")
}

// Between two transfers of one job the switch falls to its power-on state.
func TestMuxForgets(t *testing.T) {
	b := newTrunk(t)
	m := NewPCA9548()
	b.Attach("mux", 0x70, m)
	hang(m.Channel(2), "a", 0xA5)
	b.sel(0x70, 0x04)
	b.want("before", "a5")
	b.Inject(Fault{Kind: FaultDo, Addr: 0x20, Times: 1, Do: m.Reset})
	b.want("brown-out", "nack")
	b.want("after", "nack")
	b.sel(0x70, 0x04)
	b.want("selected again", "a5")
}

func TestMuxSticks(t *testing.T) {
	b := newTrunk(t)
	m := NewPCA9548()
	b.Attach("mux", 0x70, m)
	hang(m.Channel(0), "a", 0xA0)
	hang(m.Channel(1), "b", 0xB0)
	m.Stick(0, false)
	b.sel(0x70, 0x01)
	b.want("does not close its contact", "nack")
	get(t, m, "", "01")
	m.Stick(0, true)
	m.Reset()
	b.want("does not open", "a0")
	get(t, m, "", "00")
	b.sel(0x70, 0x02)
	b.want("the neighbour hears and is heard too", "a0")
	m.Heal()
	b.want("healed", "b0")
	m.StickBit(1, false)
	b.want("the bit fell", "nack")
	b.sel(0x70, 0x03)
	get(t, m, "", "01")
	m.StickBit(1, true)
	m.Reset()
	get(t, m, "", "02")
	b.want("the bit stays", "b0")
}

func TestMuxHangsTheTrunk(t *testing.T) {
	for _, c := range []struct {
		forEver bool
		after   string
	}{{false, "5a"}, {true, "bus_fault"}} {
		b := newTrunk(t)
		m := NewPCA9548()
		b.Attach("mux", 0x70, m)
		hang(&b.Segment, "near", 0x5A)
		b.want("nothing wrong", "5a")
		m.Hang(3, c.forEver)
		b.sel(0x70, 0x04)
		b.want("another channel", "5a")
		b.sel(0x70, 0x08) // this write still goes through
		b.want("connected", "bus_fault")
		b.Recover()
		err := b.Tx(t.Context(), 0x70, []byte{0}, nil)
		if !errors.Is(err, syscall.EBUSY) || !errors.Is(err, drivers.BusFault) || m.Control() != 8 {
			t.Errorf("deselecting over the stuck bus: %v, control %02x", err, m.Control())
		}
		m.Reset()
		b.want("RESET pin", c.after)
		m.Heal()
		b.want("healed", "5a")
	}
}

// A hang behind two switches holds the trunk only while both are connected; the outer one's RESET pin frees it.
func TestMuxHangsThroughAnother(t *testing.T) {
	b := newTrunk(t)
	outer, inner := NewPCA9548(), NewPCA9546()
	b.Attach("outer", 0x70, outer)
	outer.Channel(1).Attach("inner", 0x71, inner)
	hang(&b.Segment, "near", 0x5A)
	inner.Hang(0, true)
	b.sel(0x70, 0x02)
	b.want("inner closed", "5a")
	b.sel(0x71, 0x01)
	b.want("both", "bus_fault")
	outer.Reset()
	b.want("outer reset", "5a")
	b.sel(0x70, 0x02)
	b.want("again", "bus_fault")
}

// A channel that is stuck on and hangs cannot be reset away.
func TestMuxStuckOnAndHanging(t *testing.T) {
	b := newTrunk(t)
	m := NewPCA9548()
	b.Attach("mux", 0x70, m)
	m.Stick(0, true)
	m.Hang(0, false)
	m.Reset()
	b.want("reset", "bus_fault")
}
