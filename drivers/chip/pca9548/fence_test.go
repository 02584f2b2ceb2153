package pca9548

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// hogged is a switch whose channel 2 holds the bus as soon as it is connected.
func hogged(t *testing.T, o Opts) (b *tree, n *node, bad, good *Port) {
	t.Helper()
	n = &node{at: 0x70, meters: meters(0x10), hog: 0x04}
	b = &tree{root: []*node{n}}
	o.Name, o.Addr = "t", 0x70
	d := mux(t, b, o)
	return b, n, channel(t, d, 2), channel(t, d, 5)
}

// fenced tells what a port's switch says of its channel.
func fenced(p *Port) *FencedError {
	f, _ := errors.AsType[*FencedError](p.mux.Fenced(p.n))
	return f
}

func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n, bad, good := hogged(t, Opts{})
		for i, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			wait *= time.Second
			if _, err := meter(bad); !errors.Is(err, drivers.Timeout) {
				t.Fatalf("time %d: %v", i, err)
			}
			if f := fenced(bad); f == nil || f.Channel != 2 || f.Failures != i+1 || time.Until(f.Until) != wait || !errors.Is(f, drivers.Timeout) {
				t.Fatalf("time %d: %+v", i, f)
			}
			if _, err := meter(good); err == nil {
				t.Fatalf("time %d: a job on a held bus worked", i)
			}
			n.control = 0 // the bus is recovered by other means

			if got, err := meter(good); err != nil || got != 0x15 {
				t.Fatalf("time %d: the other channels: %02x, %v", i, got, err)
			}
			for _, rest := range []time.Duration{0, wait - 1} {
				time.Sleep(rest)
				b.log = nil
				_, err := meter(bad)
				f, ok := errors.AsType[*FencedError](err)
				if !ok || !errors.Is(err, drivers.BusFenced) || drivers.FaultOf(err) != drivers.Cancelled || f.Failures != i+1 || b.log != nil {
					t.Fatalf("time %d, %s later: %v, %v", i, rest, err, b.log)
				}
			}
			time.Sleep(time.Nanosecond)
			if fenced(bad) != nil {
				t.Fatalf("time %d: fenced beyond its time", i)
			}
		}
		n.hog = 0
		if got, err := meter(bad); err != nil || got != 0x12 {
			t.Errorf("mended: %02x, %v", got, err)
		}
		n.hog = 0x04
		if _, err := meter(bad); err == nil || fenced(bad).Failures != 1 {
			t.Errorf("%v: a channel that was well again begins anew: %+v", err, fenced(bad))
		}
	})
}

func TestFencedSaysWhy(t *testing.T) {
	_, _, bad, _ := hogged(t, Opts{})
	if bad.mux.Fenced(-1) != nil || bad.mux.Fenced(8) != nil || bad.mux.Fenced(2) != nil {
		t.Error("fenced without a reason")
	}
	_, err := meter(bad)
	if err == nil || fenced(bad) == nil || bad.mux.Fenced(5) != nil {
		t.Errorf("%v, %v", err, bad.mux.Fenced(5))
	}
}

// What is no proof against the channel fences nothing.
func TestNotFenced(t *testing.T) {
	for _, c := range []struct {
		name string
		job  func(b *tree, tx i2c.Bus) error
		then func(a uint16, w, r []byte) error
	}{
		{
			name: "a slow part behind it, the bus is free again",
			job:  func(b *tree, tx i2c.Bus) error { return fail(b, drivers.Timeout, tx) },
		},
		{
			name: "the switch itself does not answer",
			job:  func(b *tree, tx i2c.Bus) error { return fail(b, drivers.NoAnswer, tx) },
			then: func(uint16, []byte, []byte) error { return drivers.NoAnswer },
		},
		{
			name: "a clean job, then the bus is held",
			job:  func(*tree, i2c.Bus) error { return nil },
			then: func(uint16, []byte, []byte) error { return drivers.Timeout },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _, _, good := hogged(t, Opts{})
			err := good.Do(t.Context(), func(tx i2c.Bus) error {
				err := c.job(b, tx)
				b.before = c.then
				return err
			})
			if fenced(good) != nil {
				t.Errorf("fenced after %v", err)
			}
		})
	}
}

// fail makes one transfer fail.
func fail(b *tree, f drivers.Fault, tx i2c.Bus) error {
	b.before = func(uint16, []byte, []byte) error { return f }
	defer func() { b.before = nil }()
	return tx.Tx(0x38, []byte{0}, nil)
}

// A select that was not acknowledged connected nothing: the bus was held before.
func TestHeldBeforeTheSelect(t *testing.T) {
	b, _, bad, good := hogged(t, Opts{})
	if _, err := meter(good); err != nil {
		t.Fatal(err)
	}
	b.before = func(uint16, []byte, []byte) error { return drivers.BusFault }
	if _, err := meter(bad); !errors.Is(err, drivers.BusFault) || fenced(bad) != nil {
		t.Errorf("%v, %v", err, fenced(bad))
	}
}

// A driver may keep the error of a transfer for itself. The switch saw it.
func TestFenceWithoutAnErrorOfTheJob(t *testing.T) {
	_, _, bad, _ := hogged(t, Opts{})
	bad.mux.doubt.Store(false)
	n := bad.mux.up.(*tree).root[0]
	n.hog = 0
	err := bad.Do(t.Context(), func(tx i2c.Bus) error {
		n.hog = 0x04
		_ = tx.Tx(0x38, []byte{0}, nil)
		return nil
	})
	if err == nil || fenced(bad) == nil {
		t.Errorf("%v, %v", err, fenced(bad))
	}
}

func TestResetPin(t *testing.T) {
	var n *node
	pulses := 0
	_, n, bad, good := hogged(t, Opts{Reset: func(ctx context.Context) error {
		if _, ends := ctx.Deadline(); !ends || ctx.Err() != nil {
			t.Error("reset without a time limit of its own")
		}
		pulses++
		n.control = 0
		return nil
	}})
	for i := range 2 {
		bad.mux.lower(2)
		if _, err := meter(bad); !errors.Is(err, drivers.Timeout) || pulses != i+1 || fenced(bad) == nil {
			t.Errorf("%v after %d pulses, %v", err, pulses, fenced(bad))
		}
		if got, err := meter(good); err != nil || got != 0x15 || pulses != i+1 {
			t.Errorf("the other channels: %02x, %v after %d pulses", got, err, pulses)
		}
	}
}

// The pin is pulsed once and not again until a deselect has worked: it does not help twice.
func TestResetPinOnce(t *testing.T) {
	pulses := 0
	broken := errors.New("no such line")
	b, n, bad, good := hogged(t, Opts{Reset: func(context.Context) error { pulses++; return broken }})
	if _, err := meter(bad); !errors.Is(err, drivers.Timeout) || !errors.Is(err, broken) || pulses != 1 {
		t.Errorf("%v after %d pulses", err, pulses)
	}
	for range 3 {
		if _, err := meter(good); err == nil || pulses != 1 {
			t.Errorf("%v after %d pulses", err, pulses)
		}
	}
	n.control = 0
	if _, err := meter(good); err != nil || pulses != 1 {
		t.Errorf("%v after %d pulses", err, pulses)
	}
	b.before = func(uint16, []byte, []byte) error { return drivers.BusFault }
	if _, err := meter(good); err == nil || pulses != 2 {
		t.Errorf("%v after %d pulses", err, pulses)
	}
}

// A job without the bus must not disturb the one that has it, nor a switch that a kernel driver owns.
func TestNoResetWithoutTheBus(t *testing.T) {
	for _, f := range []drivers.Fault{drivers.Hung, drivers.Cancelled, drivers.Foreign, drivers.Unsupported} {
		b, _, _, good := hogged(t, Opts{Reset: func(context.Context) error { t.Errorf("%v: reset", f); return nil }})
		err := good.Do(t.Context(), func(tx i2c.Bus) error {
			b.before = func(uint16, []byte, []byte) error { return f }
			return tx.Tx(0x38, []byte{0}, nil)
		})
		if !errors.Is(err, f) || !good.mux.doubt.Load() {
			t.Errorf("%v: %v", f, err)
		}
		if hung := f == drivers.Hung; (fenced(good) != nil) != hung {
			t.Errorf("%v: %v", f, fenced(good))
		}
	}
}

// Identify may need the pin as well: an earlier process may have died with the bad channel connected.
func TestResetPinAtStart(t *testing.T) {
	var n *node
	_, n, _, good := hogged(t, Opts{Reset: func(context.Context) error { n.control = 0; return nil }})
	n.control = 0x04
	if _, err := good.mux.Identify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A pin that is not connected says nothing.
func TestResetPinWithoutEffect(t *testing.T) {
	pulses := 0
	_, n, _, good := hogged(t, Opts{Reset: func(context.Context) error { pulses++; return nil }})
	n.control = 0x04
	if _, err := good.mux.Identify(t.Context()); !errors.Is(err, drivers.Timeout) || pulses != 1 {
		t.Errorf("%v after %d pulses", err, pulses)
	}
}

// A bus that was held for a moment is no clean end of a job, whatever the driver made of it: the switch is proven off,
// and what is known against the channel stays.
func TestHeldForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n, bad, _ := hogged(t, Opts{})
		if _, err := meter(bad); err == nil {
			t.Fatal("no error on a held bus")
		}
		n.control, n.hog = 0, 0
		time.Sleep(firstFence)
		err := bad.Do(t.Context(), func(tx i2c.Bus) error {
			_ = fail(b, drivers.Timeout, tx)
			b.log = nil
			return nil
		})
		if err != nil || !slices.Equal(b.log, []string{"70=00", "70?"}) {
			t.Errorf("%v, %v", err, b.log)
		}
		n.hog = 0x04
		if _, err := meter(bad); err == nil || fenced(bad).Failures != 2 {
			t.Errorf("%v, %+v", err, fenced(bad))
		}
	})
}

// A failure to prove the switch off is doubt, also where there was none.
func TestFailedIdentifyIsDoubt(t *testing.T) {
	b, _, _, good := hogged(t, Opts{})
	if _, err := meter(good); err != nil {
		t.Fatal(err)
	}
	b.before = func(uint16, []byte, []byte) error { return drivers.Arbitration }
	if _, err := good.mux.Identify(t.Context()); err == nil {
		t.Fatal("identified")
	}
	b.before, b.log = nil, nil
	if _, err := meter(good); err != nil || !slices.Equal(b.log[:3], []string{"70=00", "70?", "70=20"}) {
		t.Errorf("%v, %v", err, b.log)
	}
}
