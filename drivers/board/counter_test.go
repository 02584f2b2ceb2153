package board

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

// meterLine is a flow meter's line: its events come through a pipe, its level can be asked for.
type meterLine struct {
	w       *io.PipeWriter
	level   Level
	fails   error
	closed  int
	pending *io.PipeReader
}

func newMeterLine() *meterLine {
	r, w := io.Pipe()
	return &meterLine{w: w, pending: r, level: High}
}

func (m *meterLine) read() (Level, error)        { return m.level, m.fails }
func (m *meterLine) close() error                { m.closed++; return m.pending.Close() }
func (m *meterLine) events() io.Reader           { return m.pending }
func (m *meterLine) Write(p []byte) (int, error) { return m.w.Write(p) }
func (m *meterLine) edges(t *testing.T, numbers ...uint32) {
	t.Helper()
	m.send(t, eventsOf(numbers...))
}

func (m *meterLine) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := m.w.Write(b); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// eventsOf makes struct gpio_v2_line_event of their numbers, as the kernel lays them out: time, id, offset, number in the
// request, number on the line, padding; 48 bytes (Linux, include/uapi/linux/gpio.h).
func eventsOf(numbers ...uint32) []byte {
	var b []byte
	for _, n := range numbers {
		e := make([]byte, 48)
		binary.NativeEndian.PutUint64(e, uint64(n)*1_000_000)
		binary.NativeEndian.PutUint32(e[8:], 1)
		binary.NativeEndian.PutUint32(e[12:], 17)
		binary.NativeEndian.PutUint32(e[16:], n)
		binary.NativeEndian.PutUint32(e[20:], n)
		b = append(b, e...)
	}
	return b
}

// counting runs f with a counter on a line, in a bubble.
func counting(t *testing.T, f func(t *testing.T, c *Counter, m *meterLine)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeterLine()
		c := newCounter(Line{Name: "FLOW"}, m)
		f(t, c, m)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if m.closed != 1 {
			t.Errorf("closed %d times", m.closed)
		}
	})
}

func counted(t *testing.T, c *Counter, want uint64, at time.Time) {
	t.Helper()
	n, when, err := c.Count()
	if n != want || !when.Equal(at) || err != nil {
		t.Errorf("%d at %v, %v; want %d at %v", n, when, err, want, at)
	}
}

func TestCounter(t *testing.T) {
	counting(t, func(t *testing.T, c *Counter, m *meterLine) {
		counted(t, c, 0, time.Time{})
		time.Sleep(time.Second)
		m.edges(t, 1)
		counted(t, c, 1, time.Now())
		at := time.Now().Add(time.Second)
		time.Sleep(time.Second)
		m.edges(t, 2, 3, 4)
		time.Sleep(time.Minute) // nothing flows
		counted(t, c, 4, at)
		if c.Lost() != 0 {
			t.Errorf("%d lost", c.Lost())
		}
	})
}

// The kernel counts edges before it throws the oldest away: the count stays exact, and it is known how many were lost.
func TestCounterLostEvents(t *testing.T) {
	counting(t, func(t *testing.T, c *Counter, m *meterLine) {
		m.edges(t, 4)
		m.edges(t, 5, 9)
		if n, _, err := c.Count(); n != 9 || c.Lost() != 6 || err != nil {
			t.Errorf("%d, %d lost, %v", n, c.Lost(), err)
		}
	})
}

func TestCounterGoesRound(t *testing.T) {
	counting(t, func(t *testing.T, c *Counter, m *meterLine) {
		c.last = math.MaxUint32 - 1
		m.edges(t, math.MaxUint32, 0, 1)
		counted(t, c, 3, time.Now())
	})
}

// A line that is lost is an error, never a count that stands still.
func TestCounterLostLine(t *testing.T) {
	t.Run("the chip is gone, and nothing tells", func(t *testing.T) {
		counting(t, func(t *testing.T, c *Counter, m *meterLine) {
			m.edges(t, 1, 2)
			m.fails = &drivers.Error{Op: "get value", Fault: drivers.BusFault, Err: syscall.ENODEV}
			if _, _, err := c.Count(); !errors.Is(err, syscall.ENODEV) || !strings.HasPrefix(err.Error(), "FLOW: count: bus_fault: ") {
				t.Error(err)
			}
			m.fails = nil
			counted(t, c, 2, time.Now())
		})
	})
	for name, c := range map[string]struct {
		end  func(t *testing.T, m *meterLine)
		want error
	}{
		"reading fails":    {func(t *testing.T, m *meterLine) { _ = m.w.CloseWithError(syscall.ENODEV) }, syscall.ENODEV},
		"reading ends":     {func(t *testing.T, m *meterLine) { _ = m.w.Close() }, io.ErrUnexpectedEOF},
		"half an event":    {func(t *testing.T, m *meterLine) { m.send(t, eventsOf(3)[:20]); _ = m.w.Close() }, io.ErrUnexpectedEOF},
		"numbers go back":  {func(t *testing.T, m *meterLine) { m.edges(t, 1) }, ErrEvents},
		"numbers repeated": {func(t *testing.T, m *meterLine) { m.edges(t, 2) }, ErrEvents},
	} {
		t.Run(name, func(t *testing.T) {
			counting(t, func(t *testing.T, ctr *Counter, m *meterLine) {
				m.edges(t, 1, 2)
				c.end(t, m)
				synctest.Wait()
				n, _, err := ctr.Count()
				if !errors.Is(err, c.want) || n != 2 || drivers.FaultOf(err) == drivers.None {
					t.Errorf("%d, %v", n, err)
				}
			})
		})
	}
}

func TestCounterClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeterLine()
		c := newCounter(Line{Name: "FLOW"}, m)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		select {
		case <-c.done:
		default:
			t.Error("still reading after Close")
		}
		if _, _, err := c.Count(); !errors.Is(err, os.ErrClosed) || m.closed != 1 {
			t.Errorf("%v, closed %d times", err, m.closed)
		}
	})
}

func TestCounterNames(t *testing.T) {
	b := on(t, plant(t, nil))
	wired(t, &periphLine{name: "periph-flow", fn: "In/High"})
	for name, want := range map[string]error{"": ErrNoName, "nowhere": ErrNotFound, "periph-flow": ErrNoChip} {
		if _, err := b.Counter(name, CounterOpts{}); !errors.Is(err, want) || !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, o := range []CounterOpts{{Edge: 9}, {Debounce: -1}, {Debounce: 2 * time.Hour}} {
		if _, err := b.Counter("/dev/gpiochip98:1", o); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := b.Counter("/dev/gpiochip98:1", CounterOpts{}); !errors.Is(err, drivers.Unsupported) {
		t.Error(err)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(eventsOf(1, 2, 3))
	f.Add(eventsOf(7, 5)[:60])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Counter{line: Line{Name: "FLOW"}}
		for len(b) >= eventSize {
			before := c.n
			if err := c.take(b[:eventSize], time.Time{}); err == nil && c.n <= before {
				t.Error("an event that counts nothing")
			}
			b = b[eventSize:]
		}
		if c.lost > c.n {
			t.Errorf("%d of %d lost", c.lost, c.n)
		}
	})
}
