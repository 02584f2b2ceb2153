package board

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"rackagent/drivers"
)

// This file holds the only outputs of this package: the two lines of a bus that somebody holds, and the reset input of
// a mux. Both are driven open-drain, for as long as one call lasts, and cannot be told to stay: there is no verb that
// sets a level. A pulse is shorter than any relay moves in. An outlet therefore cannot hang on one, nor should it: the
// kernel lets go of a line when the process ends.

var (
	// ErrNoChip refuses a pin that only periph knows: it cannot be driven open-drain, and a lost one reads low.
	ErrNoChip = errors.New("the pin is no line of a GPIO chip")
	// ErrClockHeld says that SCL is low. No clock can be made then; only a reset or the end of the supply helps.
	ErrClockHeld = errors.New("SCL is held low")
	// ErrDataHeld says that SDA is still low after nine clocks.
	ErrDataHeld = errors.New("SDA is held low after nine clocks")
	// ErrNotReset refuses or reports a line that does not behave like a reset input with its pull-up.
	ErrNotReset = errors.New("the line is no reset input: it must rest high and follow when it is pulled low")
)

// drain is a line driven open-drain. A released one is high by its pull-up if nobody else pulls it low.
type drain interface {
	set(released bool) error
	read() (Level, error)
	close() error
}

// Clocks frees a bus whose SDA a device holds low because it lost count in the middle of a read: it gives up to nine
// clocks, after which the device has sent its byte, met no acknowledgement and let go.
//
// The lines must be vacant: lines of their own beside the controller's, or the controller's own pins while its driver is
// unbound (AdapterReset). A pin that the controller uses is refused where the pin controller says so; on one that does
// not (bcm2835), taking it would cut the bus off until the driver is bound again.
type Clocks struct {
	scl, sda Line
	take     func(Line) (drain, error)
}

// Clocks finds the lines and takes neither.
func (b *Board) Clocks(scl, sda string) (*Clocks, error) {
	c := &Clocks{take: Line.takeDrain}
	var err error
	if c.scl, err = ofChip(scl); err != nil {
		return nil, err
	}
	if c.sda, err = ofChip(sda); err != nil {
		return nil, err
	}
	if c.scl.String() == c.sda.String() {
		return nil, lookup(sda, fmt.Errorf("%w: SCL and SDA are one line", ErrAmbiguous))
	}
	return c, nil
}

// ofChip finds a line that can be driven open-drain.
func ofChip(name string) (Line, error) {
	line, p, err := findLine(name, chipLines())
	if err == nil && p != nil {
		err = ErrNoChip
	}
	if err != nil {
		return Line{}, lookup(name, err)
	}
	return line, nil
}

func lookup(name string, err error) error {
	return &drivers.Error{Op: "find line", Device: strconv.Quote(name), Fault: drivers.Unsupported, Err: err}
}

// Recover takes both lines, gives clocks until SDA is high, and lets go of both whatever happened. It is for
// i2cbus.Opts.Recover: nothing else may use the bus meanwhile. Nil: SDA is high now, which it may have been before. A
// process that is killed within one of the pulses, 5 us long, can leave SCL low.
func (c *Clocks) Recover(ctx context.Context) error {
	return holding(ctx, c.take, c.scl, func(scl drain) error {
		return holding(ctx, c.take, c.sda, func(sda drain) error {
			return c.pump(ctx, scl, sda)
		})
	})
}

// Times of the clocks: those of the generic recovery in Linux (drivers/i2c/i2c-core-base.c), about 80 kHz, within the
// limits of standard mode (I2C-bus specification UM10204, table 10: t_LOW 4.7 us, t_HIGH and t_SU;STO 4.0 us).
const (
	clocks  = 9
	high    = 5 * time.Microsecond
	quarter = 2500 * time.Nanosecond
)

// pump gives the clocks. SDA follows SCL half a cycle later, as in Linux, so that each clock ends in a STOP as soon as the
// device has let go. Without that the clocks that are left would go on with whatever the device was in the middle of:
// ones shifted into an interrupted write could end up in a relay bank's latch.
func (c *Clocks) pump(ctx context.Context, scl, sda drain) error {
	for n := 0; ; n++ {
		level, err := scl.read()
		switch {
		case err != nil:
			return c.scl.fault("read line", err)
		case level != High:
			return c.scl.held(ErrClockHeld)
		}
		if level, err = sda.read(); err != nil {
			return c.sda.fault("read line", err)
		}
		if level == High {
			return nil
		}
		if n == clocks {
			return c.sda.held(ErrDataHeld)
		}
		if ctx.Err() != nil {
			return c.scl.fault("clock", refused(drivers.Timeout, context.Cause(ctx)))
		}
		if err := c.clock(scl, sda); err != nil {
			return err
		}
	}
}

func (c *Clocks) clock(scl, sda drain) error {
	for _, step := range [...]struct {
		on       Line
		line     drain
		released bool
		then     time.Duration
	}{
		{c.scl, scl, false, quarter},
		{c.sda, sda, false, quarter},
		{c.scl, scl, true, high},
		{c.sda, sda, true, quarter},
	} {
		if err := step.line.set(step.released); err != nil {
			return step.on.fault("set line", err)
		}
		time.Sleep(step.then) // a clock is too short to be broken off
	}
	return nil
}

// held is what a line that somebody else holds is to a bus.
func (l Line) held(err error) error {
	return &drivers.Error{Op: "clock", Device: l.String(), Fault: drivers.BusFault, Err: err}
}

// holding takes a line for f and lets go of it afterwards: first the level, since a line that is given back as an output
// may stay one, then the line.
func holding(ctx context.Context, take func(Line) (drain, error), l Line, f func(drain) error) (err error) {
	if ctx.Err() != nil {
		return l.fault("take line", refused(drivers.Cancelled, context.Cause(ctx)))
	}
	d, err := take(l)
	if err != nil {
		return l.fault("take line", err)
	}
	defer func() {
		loose, back := d.set(true), d.close()
		if left := errors.Join(loose, back); left != nil && err == nil {
			err = l.fault("let go of line", left)
		}
	}()
	return f(d)
}

// resetPulse is how long a reset input is held low: the parts want 6 ns (PCA9548A) to a few us, and the fastest relays
// need several ms to move (arbitrary in between).
const resetPulse = time.Millisecond

// ResetPin is the reset input of a mux or of whatever else can be reset on a bus: active low, with a pull-up, and
// driven open-drain.
type ResetPin struct {
	line Line
	take func(Line) (drain, error)
}

// ResetPin finds the line and does not take it.
func (b *Board) ResetPin(name string) (*ResetPin, error) {
	line, err := ofChip(name)
	if err != nil {
		return nil, err
	}
	return &ResetPin{line: line, take: Line.takeDrain}, nil
}

// Pulse pulls the line low for 1 ms and lets go of it. A line that does not rest high, or does not follow, is no reset
// input; one that rests low is not touched, as it may be the gate of something that a high level switches.
func (r *ResetPin) Pulse(ctx context.Context) error {
	return holding(ctx, r.take, r.line, func(d drain) error {
		if err := r.expect(d, High); err != nil {
			return err
		}
		if err := d.set(false); err != nil {
			return r.line.fault("set line", err)
		}
		t := time.NewTimer(resetPulse)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return r.line.fault("reset", refused(drivers.Timeout, context.Cause(ctx)))
		}
		if err := r.expect(d, Low); err != nil {
			return err
		}
		if err := d.set(true); err != nil {
			return r.line.fault("set line", err)
		}
		return r.expect(d, High)
	})
}

func (r *ResetPin) expect(d drain, want Level) error {
	got, err := d.read()
	if err != nil {
		return r.line.fault("read line", err)
	}
	if got != want {
		return &drivers.Error{Op: "reset", Device: r.line.String(), Fault: drivers.Mismatch, Err: fmt.Errorf("%w: reads %s", ErrNotReset, got)}
	}
	return nil
}
