package inventory

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/poll"
	"rackagent/config"
	"rackagent/drivers"
)

// fakeLine is a contact that follows a function of time.
type fakeLine struct {
	high   func() (bool, error)
	closed int
}

func (l *fakeLine) High() (bool, error) { return l.high() }
func (l *fakeLine) Close() error        { l.closed++; return nil }

var errLost = &drivers.Error{Op: "read line", Fault: drivers.BusFault, Err: errors.New("line lost")}

func lineDevice(t *testing.T, c config.Sensor, o Opts) (poll.Device, *Inventory) {
	t.Helper()
	c.Name, c.PeriodS = "probe", 1
	o.Config = &config.Config{Sensors: []config.Sensor{c}}
	inv, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	return inv.Devices[0], inv
}

func TestLeakFloat(t *testing.T) {
	for name, c := range map[string]struct {
		high   func(n int) (bool, error)
		active string
		want   float64
		fault  drivers.Fault
	}{
		"dry":           {func(int) (bool, error) { return true, nil }, "low", 0, drivers.None},
		"wet":           {func(int) (bool, error) { return false, nil }, "low", 1, drivers.None},
		"wet at high":   {func(int) (bool, error) { return true, nil }, "high", 1, drivers.None},
		"chatters":      {func(n int) (bool, error) { return n%2 == 0, nil }, "low", 0, drivers.Implausible},
		"lost":          {func(int) (bool, error) { return true, errLost }, "low", 0, drivers.BusFault},
		"lost half-way": {func(n int) (bool, error) { return true, map[int]error{1: errLost}[n] }, "low", 0, drivers.BusFault},
	} {
		for _, part := range []string{"leak-float", "contact-line"} {
			synctest.Test(t, func(t *testing.T) {
				n := -1
				line := &fakeLine{high: func() (bool, error) { n++; return c.high(n) }}
				d, inv := lineDevice(t, config.Sensor{Part: part, Line: "LEAK1", Active: c.active}, Opts{Line: func(name string) (Line, error) {
					if name != "LEAK1" {
						t.Errorf("%s %s: took %q", part, c.active, name)
					}
					return line, nil
				}})
				rs, err := d.Read(t.Context())
				switch {
				case drivers.FaultOf(err) != c.fault:
					t.Errorf("%s %s: %v, want %s", part, name, err, c.fault)
				case err == nil && rs[0].Value != c.want:
					t.Errorf("%s %s: %v", part, name, rs)
				}
				if lost := c.fault == drivers.BusFault; lost != (line.closed == 1) {
					t.Errorf("%s %s: closed %d times", part, name, line.closed)
				}
				if err := inv.Close(); err != nil || line.closed != 1 {
					t.Errorf("%s %s: %v, closed %d times", part, name, err, line.closed)
				}
			})
		}
	}
}

func TestLeakFloatEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := lineDevice(t, config.Sensor{Part: "leak-float", Line: "LEAK1", Active: "low"}, Opts{Line: func(string) (Line, error) {
			return &fakeLine{high: func() (bool, error) { return true, nil }}, nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := d.Read(ctx); !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	})
}

// fakeCounter counts with the clock.
type fakeCounter struct {
	began  time.Time
	perS   float64
	err    error
	closed int
}

func (c *fakeCounter) Count() (uint64, error) {
	return uint64(time.Since(c.began).Seconds() * c.perS), c.err
}
func (c *fakeCounter) Close() error { c.closed++; return nil }

func TestFlowPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := &fakeCounter{began: time.Now(), perS: 5}
		taken := 0
		d, _ := lineDevice(t, config.Sensor{Part: "flow-pulse", Line: "FLOW1", PerPulse: 0.1}, Opts{Counter: func(string) (Counter, error) { taken++; return counter, nil }})
		if _, err := d.Read(t.Context()); !errors.Is(err, drivers.Settling) {
			t.Errorf("one count gave a flow: %v", err)
		}
		time.Sleep(10 * time.Second)
		if rs, err := d.Read(t.Context()); err != nil || math.Abs(rs[0].Value-30) > 0.01 {
			t.Errorf("%v, %v: want 5 pulses/s x 0.1 l = 30 l/min", rs, err)
		}
		// Lost pulses are no flow of nought: the counter is taken anew and must settle.
		counter.err = errLost
		if _, err := d.Read(t.Context()); !errors.Is(err, drivers.BusFault) || counter.closed != 1 {
			t.Errorf("%v", err)
		}
		counter.err = nil
		time.Sleep(time.Second)
		if _, err := d.Read(t.Context()); !errors.Is(err, drivers.Settling) || taken != 2 {
			t.Errorf("%v, taken %d times", err, taken)
		}
	})
}

func TestNoLines(t *testing.T) {
	for _, part := range []string{"leak-float", "contact-line", "flow-pulse"} {
		d, _ := lineDevice(t, config.Sensor{Part: part, Line: "X", Active: "low", PerPulse: 1}, Opts{})
		if _, err := d.Read(t.Context()); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%s: %v", part, err)
		}
	}
}
