package board

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

// wires are a bus's two lines with a device on them that holds SDA low for a number of clocks, as one does that lost
// count in the middle of a read, and counts what it sees.
type wires struct {
	scl, sda     bool // what the recovery lets be: true is released
	holds        int  // clocks until the device lets go of SDA; -1: never
	stretches    bool // somebody holds SCL
	clocks       int
	stops        int
	halves       []time.Duration
	last         time.Time
	fails        error
	failsAt      int // operation, from 1
	ops          int
	taken, given []string
}

func newWires(holds int) *wires { return &wires{scl: true, sda: true, holds: holds} }

func (w *wires) sdaLevel() bool { return w.sda && w.holds == 0 }

// wireLine is one of the lines as the recovery holds it.
type wireLine struct {
	w    *wires
	name string
	line *bool
}

func (w *wires) take(l Line) (drain, error) {
	w.taken = append(w.taken, l.Name)
	line := &w.sda
	if l.Name == "SCL" {
		line = &w.scl
	}
	return &wireLine{w, l.Name, line}, nil
}

func (l *wireLine) step() error {
	l.w.ops++
	if l.w.fails != nil && l.w.ops >= l.w.failsAt {
		return l.w.fails
	}
	return nil
}

func (l *wireLine) set(released bool) error {
	if err := l.step(); err != nil && !released {
		return err
	}
	before := l.w.sdaLevel()
	if l.line == &l.w.scl && released != l.w.scl {
		now := time.Now()
		l.w.halves, l.w.last = append(l.w.halves, now.Sub(l.w.last)), now
		if released {
			l.w.clocks++
		} else if l.w.holds > 0 { // the device puts its next bit after the falling edge
			l.w.holds--
		}
	}
	*l.line = released
	if l.w.scl && !before && l.w.sdaLevel() {
		l.w.stops++
	}
	return nil
}

func (l *wireLine) read() (Level, error) {
	if err := l.step(); err != nil {
		return Unknown, err
	}
	level := l.w.sdaLevel()
	if l.line == &l.w.scl {
		level = l.w.scl && !l.w.stretches
	}
	return map[bool]Level{false: Low, true: High}[level], nil
}

func (l *wireLine) close() error {
	l.w.given = append(l.w.given, l.name)
	return nil
}

func clocksOn(w *wires) *Clocks {
	return &Clocks{scl: Line{Name: "SCL"}, sda: Line{Name: "SDA"}, take: w.take}
}

func TestClocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		w      *wires
		is     error
		fault  drivers.Fault
		clocks int
		stops  int
	}{
		{"nobody holds the data line", newWires(0), nil, 0, 0, 0},
		{"let go at once", newWires(1), nil, 0, 1, 1},
		{"in the middle of a byte", newWires(5), nil, 0, 5, 1},
		{"at the ninth", newWires(9), nil, 0, 9, 1},
		{"never", newWires(-1), ErrDataHeld, drivers.BusFault, 9, 0},
		{"one more than a byte", newWires(10), ErrDataHeld, drivers.BusFault, 9, 0},
		{"somebody holds the clock", &wires{scl: true, sda: true, holds: 3, stretches: true}, ErrClockHeld, drivers.BusFault, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c.w.last = began
				err := clocksOn(c.w).Recover(t.Context())
				if !errors.Is(err, c.is) || drivers.FaultOf(err) != c.fault {
					t.Errorf("%v", err)
				}
				if c.w.clocks != c.clocks || c.w.stops != c.stops {
					t.Errorf("%d clocks, %d stops", c.w.clocks, c.w.stops)
				}
				if !c.w.scl || !c.w.sda || len(c.w.taken) != 2 || len(c.w.given) != 2 {
					t.Errorf("left: SCL %v, SDA %v, taken %v, given back %v", c.w.scl, c.w.sda, c.w.taken, c.w.given)
				}
				if c.clocks > 1 {
					period := c.w.halves[1] + c.w.halves[2]
					if period != 12500*time.Nanosecond {
						t.Errorf("a clock takes %s", period)
					}
				}
				if time.Since(began) > time.Millisecond {
					t.Errorf("took %s", time.Since(began))
				}
			})
		})
	}
}

// Whatever fails on the way, and whenever the context ends, both lines are let go of and given back.
func TestClocksLetGo(t *testing.T) {
	lost := errors.New("no such device")
	for at := 1; at < 30; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWires(-1)
				w.fails, w.failsAt = lost, at
				if err := clocksOn(w).Recover(t.Context()); !errors.Is(err, lost) {
					t.Error(err)
				}
				if !w.scl || !w.sda || len(w.given) != 2 {
					t.Errorf("left: SCL %v, SDA %v, given back %v", w.scl, w.sda, w.given)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWires(-1)
		ctx, cancel := context.WithTimeout(t.Context(), 23*time.Microsecond)
		defer cancel()
		if err := clocksOn(w).Recover(ctx); !errors.Is(err, context.DeadlineExceeded) || w.clocks > 3 {
			t.Errorf("%v after %d clocks", err, w.clocks)
		}
		if !w.scl || !w.sda || len(w.given) != 2 {
			t.Errorf("left: SCL %v, SDA %v, given back %v", w.scl, w.sda, w.given)
		}
	})
}

// resetInput is a reset input with a pull-up, or what somebody wired there instead.
type resetInput struct {
	released bool
	pullUp   bool
	stays    bool  // a low one does not come up again
	stuck    Level // not Unknown: the line reads this whatever is done
	lows     []time.Duration
	fell     time.Time
	closed   int
}

func (p *resetInput) set(released bool) error {
	if p.released && !released {
		p.fell = time.Now()
	}
	if !p.released && released {
		p.lows = append(p.lows, time.Since(p.fell))
	}
	p.released = released
	return nil
}

func (p *resetInput) read() (Level, error) {
	switch {
	case p.stuck != Unknown:
		return p.stuck, nil
	case p.released && p.pullUp && !(p.stays && len(p.lows) > 0):
		return High, nil
	default:
		return Low, nil
	}
}

func (p *resetInput) close() error { p.closed++; return nil }

func TestResetPin(t *testing.T) {
	for _, c := range []struct {
		name string
		p    resetInput
		lows []time.Duration
		is   error
	}{
		{"a reset input", resetInput{pullUp: true}, []time.Duration{time.Millisecond}, nil},
		{"rests low: no reset input, or one that is held", resetInput{}, nil, ErrNotReset},
		{"does not come up again", resetInput{pullUp: true, stays: true}, []time.Duration{time.Millisecond}, ErrNotReset},
		{"does not follow", resetInput{stuck: High}, []time.Duration{time.Millisecond}, ErrNotReset},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := c.p
			p.released = true
			r := &ResetPin{line: Line{Name: "MUX_RST"}, take: func(Line) (drain, error) { return &p, nil }}
			if err := r.Pulse(t.Context()); !errors.Is(err, c.is) {
				t.Errorf("%s: %v", c.name, err)
			}
			if !slices.Equal(p.lows, c.lows) || !p.released || p.closed != 1 {
				t.Errorf("%s: %+v", c.name, p)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := resetInput{pullUp: true, released: true}
		r := &ResetPin{line: Line{Name: "MUX_RST"}, take: func(Line) (drain, error) { return &p, nil }}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		defer cancel()
		if err := r.Pulse(ctx); !errors.Is(err, context.DeadlineExceeded) || !p.released || p.closed != 1 {
			t.Errorf("%v, %+v", err, p)
		}
		if err := r.Pulse(ctx); !errors.Is(err, drivers.Cancelled) || len(p.lows) != 1 {
			t.Errorf("after its end: %v, %+v", err, p)
		}
	})
}

func TestLinesForRescue(t *testing.T) {
	b := on(t, plant(t, nil))
	wired(t, &periphLine{name: "only-periph", fn: "In/High"})
	for name, want := range map[string]error{"": ErrNoName, "17": ErrNumber, "nowhere": ErrNotFound, "only-periph": ErrNoChip} {
		if _, err := b.ResetPin(name); !errors.Is(err, want) || !errors.Is(err, drivers.Unsupported) {
			t.Errorf("reset pin %q: %v", name, err)
		}
		if _, err := b.Clocks("/dev/gpiochip0:1", name); !errors.Is(err, want) {
			t.Errorf("data line %q: %v", name, err)
		}
		if _, err := b.Clocks(name, "/dev/gpiochip0:1"); !errors.Is(err, want) {
			t.Errorf("clock line %q: %v", name, err)
		}
	}
	if _, err := b.Clocks("/dev/gpiochip0:1", "/dev/gpiochip0:1"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("one line for both: %v", err)
	}
	c, err := b.Clocks("/dev/gpiochip98:1", "/dev/gpiochip98:2")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Recover(t.Context()); !errors.Is(err, drivers.Unsupported) || !strings.HasPrefix(err.Error(), "/dev/gpiochip98:1: take line: ") {
		t.Error(err)
	}
	if _, err := b.ResetPin("/dev/gpiochip98:1"); err != nil {
		t.Error(err)
	}
}
