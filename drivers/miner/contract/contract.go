// Package contract holds what every dialect of package miner must do, as tests against a simulated machine of that dialect.
// A dialect's own tests run it; it is for tests alone.
package contract

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
)

// Rig is one simulated unit and the client that is judged.
type Rig struct {
	Miner   miner.Miner
	Machine *miners.Machine
	Host    *miners.Host
	// Writes counts the requests that could have changed something, by the word of the simulator.
	Writes func() int
}

// Case is one dialect.
type Case struct {
	// New builds a unit within a bubble of virtual time. change may alter the client's options.
	New func(t *testing.T, change func(*miner.Opts)) Rig
	// Mode is one of the modes that Limit takes and that draws less than the unit does at first; empty: there is none.
	Mode string
	// Watts: Limit takes watts.
	Watts bool
	// Power: the unit tells its watts.
	Power bool
	// Slow is how long any one verb may take on a healthy unit.
	Slow time.Duration
	// NotLocked: nothing can lock the writes of this dialect.
	NotLocked bool
}

// Run runs all of it.
func Run(t *testing.T, c Case) {
	for name, test := range map[string]func(*testing.T, Case){
		"nothing is sent before a verb": quiet, "status": status, "sleep and wake": sleepAndWake, "limit and release": limit, "watts over a mode": wattsOverMode,
		"averages": averages, "numbers as texts": textNumbers, "faults of the wires": wires, "a context ends a call": contextEnds,
		"a write without an answer": silent, "taken and not obeyed": ignored, "locked": locked, "another unit at the address": wrongUnit,
		"what another dialect remembered": foreignSetting, "a setting fits into a record": settingFits,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// within runs a test in a bubble, on a unit.
func (c Case) within(t *testing.T, f func(*testing.T, Rig)) { c.with(t, nil, f) }

func (c Case) with(t *testing.T, change func(*miner.Opts), f func(*testing.T, Rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if change == nil {
			change = func(*miner.Opts) {}
		}
		r := c.New(t, change)
		defer r.Host.Close()
		f(t, r)
		synctest.Wait()
		if open := r.Host.Open(); open != 0 {
			t.Errorf("%d connections are left open", open)
		}
	})
}

func near(a, b, part float64) bool { return math.Abs(a-b) <= part*math.Abs(b)+1e-6 }

func mustStatus(t *testing.T, r Rig) miner.Status {
	t.Helper()
	s, err := r.Miner.Status(t.Context())
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return s
}

func mustSetting(t *testing.T, r Rig) miner.Setting {
	t.Helper()
	s, err := r.Miner.Setting(t.Context())
	if err != nil {
		t.Fatalf("setting: %v", err)
	}
	return s
}

func quiet(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		if n := r.Host.Tries(); n != 0 {
			t.Errorf("%d connections before the first verb", n)
		}
	})
}

// status holds what is told against the truth: hashrate to 0.1 %, watts to one.
func status(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		began := time.Now()
		s := mustStatus(t, r)
		truth, spec := r.Machine.Look(), r.Machine.Spec()
		if s.State != miner.Mining || s.Hashrate == nil || !near(s.Hashrate.THs, truth.THs, 0.001) || s.Hashrate.Window == 0 || s.Hashrate.Window > time.Minute {
			t.Errorf("state %s, hashrate %+v, the truth is %+v", s.State, s.Hashrate, truth)
		}
		if s.Average == nil || !near(s.Average.THs, truth.Average, 0.001) || s.Average.Window != 0 {
			t.Errorf("average %+v, the truth is %g", s.Average, truth.Average)
		}
		if c.Power != (s.Power != nil) || s.Power != nil && math.Abs(s.Power.W-truth.W) > 1 {
			t.Errorf("power %+v, the truth is %g", s.Power, truth.W)
		}
		if s.MAC != spec.MAC || s.Model == "" || s.Firmware == "" {
			t.Errorf("identity %q %q %q", s.MAC, s.Model, s.Firmware)
		}
		if s.At.Before(began) || s.At.After(time.Now()) || time.Since(began) > c.Slow {
			t.Errorf("at %s, begun %s, now %s", s.At, began, time.Now())
		}
		if n := r.Host.Most(); n != 1 {
			t.Errorf("%d connections at once", n)
		}
		if n := r.Writes(); n != 0 {
			t.Errorf("%d writes to read", n)
		}
	})
}

// rest is more than any simulated unit takes to ramp, boot or fall.
const rest = 30 * time.Minute

func sleepAndWake(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		before, meant := mustSetting(t, r), r.Machine.Target()
		for round := range 2 { // what sleeps may be told to sleep, and what is awake to wake
			if _, err := r.Miner.Sleep(t.Context(), miner.Urgency{}); err != nil {
				t.Fatalf("sleep %d: %v", round, err)
			}
			time.Sleep(rest)
			if truth := r.Machine.Look(); truth.Phase != miners.Sleeping {
				t.Fatalf("it is %s", truth.Phase)
			}
			s := mustStatus(t, r)
			if s.State != miner.Asleep || s.Hashrate != nil && s.Hashrate.THs != 0 || s.JTH() != nil {
				t.Errorf("asleep: %s, %+v", s.State, s.Hashrate)
			}
		}
		for round := range 2 {
			if _, err := r.Miner.Wake(t.Context(), before); err != nil {
				t.Fatalf("wake %d: %v", round, err)
			}
			time.Sleep(rest)
		}
		if truth := r.Machine.Look(); truth.Phase != miners.Hashing || truth.Target != meant {
			t.Errorf("it is %s and means %+v, want %+v", truth.Phase, truth.Target, meant)
		}
		if s := mustStatus(t, r); s.State != miner.Mining {
			t.Errorf("awake: %s", s.State)
		}
		if after := mustSetting(t, r); !after.Same(before) || after.Pools != before.Pools {
			t.Errorf("%+v, was %+v", after, before)
		}
	})
}

func limit(t *testing.T, c Case) {
	var limits []miner.Limit
	if c.Mode != "" {
		limits = append(limits, miner.Limit{Mode: c.Mode})
	}
	if c.Watts {
		limits = append(limits, miner.Limit{W: 2500})
	}
	for _, l := range limits {
		c.within(t, func(t *testing.T, r Rig) {
			before, meant := mustSetting(t, r), r.Machine.Target()
			if _, err := r.Miner.Limit(t.Context(), l, miner.Urgency{}); err != nil {
				t.Fatalf("%+v: %v", l, err)
			}
			time.Sleep(rest)
			if now := r.Machine.Look(); now.W >= meant.W-1 || l.W > 0 && now.W > l.W+1 {
				t.Errorf("%+v: it draws %g W", l, now.W)
			}
			if mustSetting(t, r).Same(before) {
				t.Error("the setting does not tell of the limit")
			}
			if _, err := r.Miner.Release(t.Context(), before); err != nil {
				t.Fatalf("release: %v", err)
			}
			time.Sleep(rest)
			if now := r.Machine.Target(); now != meant {
				t.Errorf("%+v: it means %+v, want %+v", l, now, meant)
			}
			if after := mustSetting(t, r); !after.Same(before) || after.Pools != before.Pools {
				t.Errorf("%+v, was %+v", after, before)
			}
		})
	}
	none := []miner.Limit{{}, {W: 2500, Mode: "low"}, {W: -1}, {Mode: "no such mode"}}
	if !c.Watts {
		none = append(none, miner.Limit{W: 2500})
	}
	for _, l := range none {
		c.within(t, func(t *testing.T, r Rig) {
			if _, err := r.Miner.Limit(t.Context(), l, miner.Urgency{}); err == nil {
				t.Errorf("%+v is taken", l)
			}
			if now := r.Machine.Target(); now != r.Machine.Look().Target || r.Machine.Look().Phase != miners.Hashing {
				t.Errorf("%+v: it means %+v", l, now)
			}
		})
	}
}

// wattsOverMode: a limit in watts is taken away again where another mode than the strongest was in force.
func wattsOverMode(t *testing.T, c Case) {
	if c.Mode == "" || !c.Watts {
		return
	}
	c.within(t, func(t *testing.T, r Rig) {
		if _, err := r.Miner.Limit(t.Context(), miner.Limit{Mode: c.Mode}, miner.Urgency{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rest)
		before, meant := mustSetting(t, r), r.Machine.Target()
		for _, w := range []float64{meant.W - 100, meant.W + 300} {
			if _, err := r.Miner.Limit(t.Context(), miner.Limit{W: w}, miner.Urgency{}); drivers.FaultOf(err) == drivers.Unsupported || drivers.FaultOf(err) == drivers.Refused {
				continue // out of its range
			} else if err != nil {
				t.Fatalf("%g W: %v", w, err)
			}
			time.Sleep(rest)
			if _, err := r.Miner.Release(t.Context(), before); err != nil {
				t.Fatalf("release of %g W: %v", w, err)
			}
			time.Sleep(rest)
			if now, s := r.Machine.Target(), mustSetting(t, r); now != meant || !s.Same(before) {
				t.Errorf("after %g W it means %+v, want %+v; %+v, was %+v", w, now, meant, s, before)
			}
		}
	})
}

// averages: windows that stay high through a sleep do not make a sleeper a miner.
func averages(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		if _, err := r.Miner.Sleep(t.Context(), miner.Urgency{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rest)
		r.Machine.Set(miners.Averages, true)
		if s := mustStatus(t, r); s.State != miner.Asleep {
			t.Errorf("%s", s.State)
		}
	})
}

func textNumbers(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		plain := mustStatus(t, r)
		r.Machine.Set(miners.TextNumbers, true)
		s := mustStatus(t, r)
		plain.At, s.At = time.Time{}, time.Time{}
		a, _ := json.Marshal(plain)
		b, _ := json.Marshal(s)
		if string(a) != string(b) {
			t.Errorf("%s, with plain numbers %s", b, a)
		}
	})
}

func wires(t *testing.T, c Case) {
	for quirk, faults := range map[miners.Quirk][]drivers.Fault{
		miners.Refuses: {drivers.Unreachable}, miners.Vanished: {drivers.Unreachable}, miners.Hangs: {drivers.Timeout, drivers.Unreachable},
		miners.HangsUp: {drivers.Corrupt, drivers.Unreachable}, miners.CutsOff: {drivers.Corrupt, drivers.Unreachable}, miners.Floods: {drivers.Corrupt, drivers.Timeout},
	} {
		t.Run(string(quirk), func(t *testing.T) {
			c.within(t, func(t *testing.T, r Rig) {
				r.Machine.Set(quirk, true)
				began := time.Now()
				s, err := r.Miner.Status(t.Context())
				known := false
				for _, f := range faults {
					known = known || errors.Is(err, f)
				}
				if !known {
					t.Errorf("%+v, %v, want %v", s, err, faults)
				}
				if took := time.Since(began); took > 4*miner.ReadLimit {
					t.Errorf("it took %s to know", took)
				}
			})
		})
	}
	c.within(t, func(t *testing.T, r Rig) {
		plain := mustStatus(t, r)
		r.Machine.Set(miners.Dribbles, true)
		if s := mustStatus(t, r); s.State != plain.State || s.Hashrate == nil || s.Hashrate.THs != plain.Hashrate.THs {
			t.Errorf("byte by byte: %+v", s)
		}
	})
}

func contextEnds(t *testing.T, c Case) {
	verbs := map[string]func(context.Context, Rig) error{
		"status":       func(ctx context.Context, r Rig) error { _, err := r.Miner.Status(ctx); return err },
		"capabilities": func(ctx context.Context, r Rig) error { _, err := r.Miner.Capabilities(ctx); return err },
		"setting":      func(ctx context.Context, r Rig) error { _, err := r.Miner.Setting(ctx); return err },
		"sleep":        func(ctx context.Context, r Rig) error { _, err := r.Miner.Sleep(ctx, miner.Urgency{}); return err },
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			c.within(t, func(t *testing.T, r Rig) {
				r.Machine.Set(miners.Hangs, true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				err := verb(ctx, r)
				if took := time.Since(began); err == nil || took != time.Second {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}

// silent: the unit obeys and does not answer. Whoever asked must not take that for a failure.
func silent(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		r.Machine.Set(miners.Silent, true)
		_, err := r.Miner.Sleep(t.Context(), miner.Urgency{})
		if err != nil && !errors.Is(err, drivers.Unsure) {
			t.Errorf("%v, want unsure, or to have read it back", err)
		}
		time.Sleep(rest)
		if r.Machine.Look().Phase != miners.Sleeping {
			t.Error("the simulator did not obey: this test shows nothing")
		}
		r.Machine.Set(miners.Silent, false)
		if s := mustStatus(t, r); s.State != miner.Asleep {
			t.Errorf("it sleeps, and the status is %s", s.State)
		}
	})
}

// ignored: what is taken and not obeyed reads back as it was, or is an error; it is never told as done.
func ignored(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		r.Machine.Set(miners.Ignores, true)
		_, err := r.Miner.Sleep(t.Context(), miner.Urgency{})
		time.Sleep(rest)
		s := mustStatus(t, r)
		if err == nil && s.Hashrate == nil {
			t.Errorf("taken, and then %+v", s)
		}
		if r.Machine.Look().Phase != miners.Hashing {
			t.Error("the simulator obeyed: this test shows nothing")
		}
	})
}

func locked(t *testing.T, c Case) {
	if c.NotLocked {
		return
	}
	c.within(t, func(t *testing.T, r Rig) {
		r.Machine.Set(miners.Locked, true)
		if _, err := r.Miner.Sleep(t.Context(), miner.Urgency{}); !errors.Is(err, drivers.Locked) {
			t.Errorf("%v, want locked", err)
		}
		if s := mustStatus(t, r); s.State != miner.Mining {
			t.Errorf("%s", s.State)
		}
	})
}

func wrongUnit(t *testing.T, c Case) {
	c.with(t, func(o *miner.Opts) { o.MAC = "02:00:5e:ff:ff:ff" }, func(t *testing.T, r Rig) {
		before := miner.Setting{}
		if s, err := r.Miner.Setting(t.Context()); err == nil {
			before = s
		}
		for name, verb := range map[string]func() error{
			"sleep":   func() error { _, err := r.Miner.Sleep(t.Context(), miner.Urgency{}); return err },
			"wake":    func() error { _, err := r.Miner.Wake(t.Context(), before); return err },
			"release": func() error { _, err := r.Miner.Release(t.Context(), before); return err },
		} {
			if err := verb(); !errors.Is(err, drivers.WrongDevice) {
				t.Errorf("%s: %v, want wrong_device", name, err)
			}
		}
		if n := r.Writes(); n != 0 {
			t.Errorf("%d writes to another unit", n)
		}
	})
}

func foreignSetting(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		for _, s := range []miner.Setting{{}, {Dialect: "another", Mode: "1", Profile: "x"}} {
			if _, err := r.Miner.Wake(t.Context(), s); err == nil {
				t.Errorf("wake into %+v", s)
			}
			if _, err := r.Miner.Release(t.Context(), s); err == nil {
				t.Errorf("release into %+v", s)
			}
		}
		if n := r.Writes(); n != 0 {
			t.Errorf("%d writes", n)
		}
	})
}

func settingFits(t *testing.T, c Case) {
	c.within(t, func(t *testing.T, r Rig) {
		s := mustSetting(t, r)
		b, err := json.Marshal(s)
		if err != nil || len(b) > miner.MaxSetting || s.Dialect == "" || s.Pools == "" {
			t.Errorf("%d bytes, %v: %s", len(b), err, b)
		}
		var back miner.Setting
		if err := json.Unmarshal(b, &back); err != nil || !back.Same(s) {
			t.Errorf("%v: %+v", err, back)
		}
	})
}
