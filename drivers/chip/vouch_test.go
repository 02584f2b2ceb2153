package chip

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers"
)

func reg(at, hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: 0x48, W: []byte{at}, R: []byte{hi, lo}} }

func port(t *testing.T, bus *i2ctest.Playback) Port {
	t.Helper()
	p, err := NewPort(bus, "part", "t", 0x48, At(0x48))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Two values in registers 00 and 01, and a setting in register 0a that is 1234 and vouches for them.
func TestSure(t *testing.T) {
	setting := reg(0x0a, 0x12, 0x34)
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		want  [2]uint16
		fault drivers.Fault
	}{
		{"ordinary codes cost nothing", []i2ctest.IO{reg(0, 0, 1), reg(1, 0xff, 0xfe), setting}, [2]uint16{1, 0xfffe}, drivers.None},
		{"zero that stays", []i2ctest.IO{reg(0, 0, 0), reg(1, 0, 7), setting, reg(0, 0, 0)}, [2]uint16{0, 7}, drivers.None},
		{"ones that stay", []i2ctest.IO{reg(0, 0, 5), reg(1, 0xff, 0xff), setting, reg(1, 0xff, 0xff)}, [2]uint16{5, 0xffff}, drivers.None},
		{"zero once", []i2ctest.IO{reg(0, 0, 0), reg(1, 0, 7), setting, reg(0, 0x0c, 0x80)}, [2]uint16{0x0c80, 7}, drivers.None},
		{"ones once", []i2ctest.IO{reg(0, 0xff, 0xff), reg(1, 0, 7), setting, reg(0, 0x0c, 0x80)}, [2]uint16{0x0c80, 7}, drivers.None},
		{"both", []i2ctest.IO{reg(0, 0, 0), reg(1, 0, 0), setting, reg(0, 0, 1), reg(1, 0, 2)}, [2]uint16{1, 2}, drivers.None},
		{"zero, then ones", []i2ctest.IO{reg(0, 0, 0), reg(1, 0, 7), setting, reg(0, 0xff, 0xff)}, [2]uint16{}, drivers.Implausible},
		{"ones, then zero", []i2ctest.IO{reg(0, 0xff, 0xff), reg(1, 0, 7), setting, reg(0, 0, 0)}, [2]uint16{}, drivers.Implausible},
		{"held for good", []i2ctest.IO{reg(0, 0, 0), reg(1, 0, 0), reg(0x0a, 0, 0)}, [2]uint16{}, drivers.Mismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			p := port(t, bus)
			var got [2]uint16
			err := Sure(p, func() error {
				if v, err := p.Word(t.Context(), "read", "Setting", 0x0a); err != nil || v != 0x1234 {
					return p.Fail("read", "Setting", drivers.Mismatch, err)
				}
				return nil
			}, p.WordValue(t.Context(), "First", 0x00, &got[0]), p.WordValue(t.Context(), "Second", 0x01, &got[1]))
			if drivers.FaultOf(err) != c.fault || err == nil && got != c.want {
				t.Errorf("%04x, %v", got, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An error is the end, wherever it comes, and is not repeated.
func TestSureStopsAtAnError(t *testing.T) {
	nack := errors.New("no answer")
	for at, want := range []int{1, 1, 2} { // reads until the first value, vouch, or the second look fails
		p := port(t, &i2ctest.Playback{DontPanic: true})
		var code uint32
		reads := 0
		err := Sure(p, func() error {
			if at == 1 {
				return nack
			}
			return nil
		}, Value[uint32]{Reg: "CODE", Ones: 0xffffff, To: &code, Read: func() (uint32, error) {
			if reads++; at == 0 || reads == 2 {
				return 0, nack
			}
			return 0xffffff, nil
		}})
		if !errors.Is(err, nack) || reads != want {
			t.Errorf("%d: %v after %d reads", at, err, reads)
		}
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Run
		for i, c := range []struct {
			holds bool
			want  time.Duration
		}{{false, 0}, {true, 0}, {true, time.Second}, {true, 2 * time.Second}, {false, 0}, {true, 0}, {true, time.Second}} {
			if got := r.For(c.holds); got != c.want {
				t.Errorf("%d: %v", i, got)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestByteValue(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: 0x48, W: []byte{3}, R: []byte{0xff}}}}
	var code uint16
	v := port(t, bus).ByteValue(t.Context(), "Byte", 3, &code)
	var err error
	if code, err = v.Read(); err != nil || code != 0xff || !v.Doubtful() {
		t.Errorf("%02x, %v, doubtful %t", code, err, v.Doubtful())
	}
}

func TestSureWords(t *testing.T) {
	const l, d, p = 1, 2, 3
	for _, c := range []struct {
		name   string
		reads  [][2]uint16 // register and what it reads
		want   [3]uint16
		faulty bool
	}{
		{"some relays", [][2]uint16{{l, 0xff07}, {d, 0xff00}, {p, 0}}, [3]uint16{0xff07, 0xff00, 0}, false},
		{"all pins drive relays", [][2]uint16{{l, 0x0107}, {d, 0}, {p, 0}}, [3]uint16{0x0107, 0, 0}, false},
		{"latch read as zero once", [][2]uint16{{l, 0}, {d, 0xff00}, {p, 0}, {l, 0xff07}}, [3]uint16{0xff07, 0xff00, 0}, false},
		{"latch read as ones once", [][2]uint16{{l, 0xffff}, {d, 0xff00}, {p, 0}, {l, 0xff07}}, [3]uint16{0xff07, 0xff00, 0}, false},
		{"all pins low", [][2]uint16{{l, 0}, {d, 0}, {p, 0}, {l, 0}, {d, 0}}, [3]uint16{}, false},
		{"all pins high", [][2]uint16{{l, 0xffff}, {d, 0}, {p, 0}, {l, 0xffff}, {d, 0}}, [3]uint16{0xffff, 0, 0}, false},
		{"power-on", [][2]uint16{{l, 0xffff}, {d, 0xffff}, {p, 0}, {l, 0xffff}, {d, 0xffff}}, [3]uint16{0xffff, 0xffff, 0}, false},
		{"direction read as ones once", [][2]uint16{{l, 0x0107}, {d, 0xffff}, {p, 0}, {d, 0}}, [3]uint16{}, true}, // ones, then zeros
		{"direction of some read as ones once", [][2]uint16{{l, 0xff07}, {d, 0xffff}, {p, 0}, {d, 0xff00}}, [3]uint16{0xff07, 0xff00, 0}, false},
		{"direction read as zero once after a loss of supply", [][2]uint16{{l, 0xffff}, {d, 0}, {p, 0}, {l, 0xffff}, {d, 0xffff}}, [3]uint16{}, true},
		{"latch is zero, then ones", [][2]uint16{{l, 0}, {d, 0}, {p, 0}, {l, 0xffff}}, [3]uint16{}, true},
		{"nobody drives the line", [][2]uint16{{l, 0xffff}, {d, 0xffff}, {p, 0xffff}}, [3]uint16{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [3]uint16
			rest := slices.Clone(c.reads)
			value := func(reg uint16) Value[uint16] {
				return Value[uint16]{Reg: "r", Ones: 0xffff, To: &got[reg-1], Read: func() (uint16, error) {
					if len(rest) == 0 || rest[0][0] != reg {
						t.Fatalf("register %d is read, left are %v", reg, rest)
					}
					v := rest[0][1]
					rest = rest[1:]
					return v, nil
				}}
			}
			err := port(t, &i2ctest.Playback{DontPanic: true}).SureWords(value(l), value(d), value(p))
			if errors.Is(err, drivers.Implausible) != c.faulty || err == nil && got != c.want {
				t.Errorf("%04x, %v", got, err)
			}
			if len(rest) > 0 {
				t.Errorf("not read: %v", rest)
			}
		})
	}
}
