package i2cbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// told records what OnBad is told.
type told struct {
	bad   bool
	since time.Time
}

// medic is a Recover that counts, and frees the wire if it can.
type medic struct {
	w     *wire
	frees bool
	err   error
	takes time.Duration
	at    []time.Time
	limit []time.Duration
}

func (m *medic) recover(ctx context.Context) error {
	m.at = append(m.at, time.Now())
	if end, ok := ctx.Deadline(); ok {
		m.limit = append(m.limit, time.Until(end))
	}
	m.w.mu.Lock()
	if m.w.busy {
		m.w.t.Error("recovery beside a transfer")
	}
	m.w.busy = true
	m.w.mu.Unlock()
	time.Sleep(m.takes)
	m.w.mu.Lock()
	m.w.busy = false
	m.w.mu.Unlock()
	if m.frees {
		m.w.free()
	}
	return m.err
}

// hold makes every transfer fail as on a bus whose data line somebody holds.
func (w *wire) hold(err error, addrs ...uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addrs {
		w.fails[a] = err
	}
}

func (w *wire) free() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.fails)
}

// ask reads one register.
func ask(h *Handle, addr uint16) error { return h.Tx(addr, []byte{0}, make([]byte, 1)) }

// needsHelp runs f with a bus on which 0x10 and 0x11 have answered, and a medic at hand.
func needsHelp(t *testing.T, o Opts, f func(t *testing.T, b *Bus, w *wire, m *medic, news *[]told)) {
	m, news := &medic{}, &[]told{}
	if o.Recover == nil {
		o.Recover = m.recover
	}
	o.OnBad = func(bad bool, since time.Time) { *news = append(*news, told{bad, since}) }
	onBus(t, o, func(t *testing.T, b *Bus, w *wire) {
		m.w = w
		for _, addr := range []uint16{0x10, 0x11} {
			if err := ask(b.Poll(), addr); err != nil {
				t.Fatal(err)
			}
		}
		f(t, b, w, m, news)
	})
}

func TestRecovery(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, news *[]told) {
		m.frees, m.takes = true, 100*time.Millisecond
		w.hold(syscall.EBUSY, 0x10, 0x11, 0x20)
		began := time.Now()
		for _, addr := range []uint16{0x10, 0x11} {
			if err := ask(b.Poll(), addr); !errors.Is(err, drivers.BusFault) {
				t.Errorf("0x%02x: %v", addr, err)
			}
		}
		if err := ask(b.Act(), 0x20); err != nil || time.Since(began) != m.takes {
			t.Errorf("the first job after it: %v after %s", err, time.Since(began))
		}
		if len(m.at) != 1 || !m.at[0].Equal(began) || m.limit[0] != DefaultRecoverLimit {
			t.Errorf("recovered at %v, limits %v", m.at, m.limit)
		}
		want := []told{{true, began}, {false, began.Add(m.takes)}}
		if !slices.Equal(*news, want) {
			t.Errorf("told %v, want %v", *news, want)
		}
		s := b.Stats()
		if s.Bad != 1 || s.Recoveries != 1 || s.Recovered != 1 || !s.BadSince.IsZero() || s.Fenced != m.takes || s.Transfers != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// Whoever waits when the bus is found bad waits for the recovery and not for more: the first one's first transfer is
// the trial, and if it fails the others hear so at once.
func TestFailedTrialFailsTheQueue(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		m.takes = 500 * time.Millisecond
		w.takes = time.Second
		w.hold(syscall.EIO, 0x10, 0x11, 0x20, 0x21)
		began := time.Now()
		var all sync.WaitGroup
		ends := func(h *Handle, addr uint16, want drivers.Fault, after time.Duration) {
			all.Go(func() {
				if err := ask(h, addr); !errors.Is(err, want) || time.Since(began) != after {
					t.Errorf("0x%02x: %v after %s, want %v after %s", addr, err, time.Since(began), want, after)
				}
			})
			synctest.Wait()
		}
		ends(b.Poll(), 0x10, drivers.BusFault, time.Second)
		ends(b.Poll(), 0x11, drivers.BusFault, 2*time.Second)
		time.Sleep(1500 * time.Millisecond)
		ends(b.Poll(), 0x10, drivers.BusFenced, 3500*time.Millisecond)
		ends(b.Act(), 0x20, drivers.BusFault, 3500*time.Millisecond)
		ends(b.Act(), 0x21, drivers.BusFenced, 3500*time.Millisecond)
		all.Wait()
		ends(b.Act(), 0x21, drivers.BusFenced, 3500*time.Millisecond)
		all.Wait()
		if s := b.Stats(); s.Refused[drivers.BusFenced] != 3 || s.Recoveries != 1 || s.Recovered != 0 || !s.BadSince.Equal(began) {
			t.Errorf("%+v", s)
		}
	})
}

// A hundred seconds of callers on a bus that stays bad: at each step one recovery and one transfer, else nothing.
func TestBackOff(t *testing.T) {
	for _, c := range []struct {
		name  string
		medic bool
	}{{"with recovery", true}, {"with one that fails", false}} {
		t.Run(c.name, func(t *testing.T) {
			o := Opts{}
			if !c.medic {
				o.Recover = noRecovery
			}
			needsHelp(t, o, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
				w.hold(syscall.EBUSY, 0x10, 0x11)
				began := time.Now()
				_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
				n := len(w.traffic())
				var tries []time.Duration
				for time.Since(began) < 200*time.Second {
					err := ask(b.Poll(), 0x10)
					if k := len(w.traffic()); k > n {
						n = k
						tries = append(tries, time.Since(began))
					} else if !errors.Is(err, drivers.BusFenced) {
						t.Fatalf("%v without a transfer", err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				const s = time.Second
				if want := []time.Duration{0, s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s, 183 * s}; !slices.Equal(tries, want) {
					t.Errorf("tried after %v, want %v", tries, want)
				}
				if c.medic && len(m.at) != len(tries) {
					t.Errorf("%d recoveries, %d trials", len(m.at), len(tries))
				}
				if st := b.Stats(); st.Fenced != time.Since(began) {
					t.Errorf("fenced for %s of %s", st.Fenced, time.Since(began))
				}
			})
		})
	}
}

// noRecovery can do nothing about it.
func noRecovery(context.Context) error { return errors.New("SCL is low") }

// A bus without any means of recovery is fenced all the same.
func TestBadBusWithoutRecover(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.hold(syscall.EBUSY, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		if err := ask(b.Poll(), 0x10); !errors.Is(err, drivers.BusFault) {
			t.Errorf("the trial: %v", err)
		}
		if err := ask(b.Poll(), 0x10); !errors.Is(err, drivers.BusFenced) {
			t.Errorf("after it: %v", err)
		}
		w.free()
		time.Sleep(time.Second)
		if err := ask(b.Poll(), 0x10); err != nil {
			t.Error(err)
		}
		if s := b.Stats(); s.Recoveries != 0 || s.Bad != 1 || !s.BadSince.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// A relay write that the fence refuses is known not to have been sent: no time of a write, and nothing on the wire. One
// that failed before the fence was up, as its own transfer, may have been taken.
func TestRefusedWriteIsNotSent(t *testing.T) {
	needsHelp(t, Opts{Recover: noRecovery}, func(t *testing.T, b *Bus, w *wire, _ *medic, _ *[]told) {
		write := func() (chip.Written, error) {
			p, err := chip.NewPort(b.Act(), "part", "bank", 0x20, chip.Strapped())
			if err != nil {
				t.Fatal(err)
			}
			return p.WriteBack(t.Context(), "latch", 0x5a,
				func(ctx context.Context) error { return p.Tx(ctx, "write", "latch", []byte{0x02, 0x5a}, nil) },
				func(ctx context.Context) (uint16, error) {
					v, err := p.Byte(ctx, "read", "latch", 0x02)
					return uint16(v), err
				})
		}
		w.hold(syscall.EBUSY, 0x10, 0x11, 0x20)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		done, err := write() // the trial
		if done.At.IsZero() || !errors.Is(err, drivers.BusFault) {
			t.Errorf("sent, and failed: %+v, %v", done, err)
		}
		n := len(w.traffic())
		done, err = write()
		if !done.At.IsZero() || !errors.Is(err, drivers.BusFenced) || !errors.Is(err, drivers.Cancelled) || len(w.traffic()) != n {
			t.Errorf("refused: %+v, %v, wire %q", done, err, w.traffic()[n:])
		}
		for _, wrong := range []error{drivers.BusFault, drivers.Timeout, syscall.EBUSY} {
			if errors.Is(err, wrong) {
				t.Errorf("what was never sent failed with %v", wrong)
			}
		}
		var fenced *FencedError
		if !errors.As(err, &fenced) || time.Until(fenced.Until) != time.Second {
			t.Errorf("%+v", fenced)
		}
		const want = "part \"bank\": write latch: cancelled: /dev/i2c-9: wait for the bus: cancelled: " +
			"fenced: the bus is bad for 0s (device or resource busy) and left alone for another 1s"
		if err.Error() != want {
			t.Errorf("text\n got %s\nwant %s", err, want)
		}
	})
}

// A Recover that does not return makes the bus hang like a transfer would. When it is back the next job tries.
func TestRecoveryHangs(t *testing.T) {
	stuck := make(chan struct{})
	o := Opts{RecoverLimit: time.Second, Recover: func(context.Context) error { <-stuck; return nil }}
	var changes []change
	o.OnChange = func(hung bool, since time.Time) { changes = append(changes, change{hung, since}) }
	onBus(t, o, func(t *testing.T, b *Bus, w *wire) {
		stuck = make(chan struct{}) // in the bubble
		w.hold(syscall.EBUSY, 0x10, 0x11)
		began := time.Now()
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		err := ask(b.Act(), 0x10)
		if !errors.Is(err, drivers.Hung) || time.Since(began) != time.Second+Grace {
			t.Errorf("waiting for it: %v after %s", err, time.Since(began))
		}
		if err := ask(b.Poll(), 0x10); !errors.Is(err, drivers.Hung) {
			t.Errorf("later: %v", err)
		}
		if s := b.Stats(); s.Hangs != 1 || s.Transfers != 2 || !s.HungSince.Equal(began) {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Hour)
		w.free()
		close(stuck)
		synctest.Wait()
		if err := ask(b.Poll(), 0x10); err != nil {
			t.Errorf("back: %v", err)
		}
		if s := b.Stats(); len(s.Address) != 2 || s.Busy != 0 {
			t.Errorf("a recovery counts as a transfer: %+v", s)
		}
		if want := []change{{true, began}, {false, began.Add(time.Hour + time.Second + Grace)}}; !slices.Equal(changes, want) {
			t.Errorf("told %v, want %v", changes, want)
		}
	})
}

func TestCloseDuringRecovery(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		m.takes = 2 * time.Second
		w.hold(syscall.EBUSY, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		synctest.Wait()
		began := time.Now()
		if err := b.Close(); err != nil || time.Since(began) != m.takes {
			t.Errorf("%v after %s: a recovery is not left half done", err, time.Since(began))
		}
	})
}

// The rest of a job whose transfers found the bus bad still has the bus: a mux that resets itself gets the bus back
// before anybody else, and nothing is recovered.
func TestJobThatHelpsItself(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, news *[]told) {
		w.hold(syscall.EIO, 0x10, 0x11)
		err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			_, _ = tx.Tx(0x10, []byte{0}, nil), tx.Tx(0x11, []byte{0}, nil)
			w.free()
			return tx.Tx(0x11, []byte{0}, nil)
		})
		if err != nil || len(m.at) != 0 || len(*news) != 0 || b.Stats().Bad != 0 {
			t.Errorf("%v, %d recoveries, told %v", err, len(m.at), *news)
		}
	})
}

// The same within the trial: the queue was told that the bus is bad, the next caller finds it good.
func TestTrialThatHelpsItself(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, news *[]told) {
		w.hold(syscall.EIO, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			_ = tx.Tx(0x10, []byte{0}, nil)
			w.free()
			return tx.Tx(0x11, []byte{0}, nil)
		})
		if err := ask(b.Poll(), 0x10); err != nil || len(*news) != 2 || b.Stats().Recovered != 0 {
			t.Errorf("%v, told %v, %+v", err, *news, b.Stats())
		}
	})
}

// A job that gets the bus for the trial and sends nothing decides nothing.
func TestIdleTrial(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		w.hold(syscall.EIO, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		if err := b.Poll().Do(t.Context(), func(i2c.Bus) error { return nil }); err != nil {
			t.Error(err)
		}
		if b.Stats().BadSince.IsZero() {
			t.Error("good without a transfer")
		}
		w.free()
		if err := ask(b.Poll(), 0x10); err != nil || !b.Stats().BadSince.IsZero() || len(m.at) != 1 {
			t.Errorf("%v, %d recoveries", err, len(m.at))
		}
	})
}

// A culprit that spoils the bus again and again is not answered with recoveries without end.
func TestFlappingBus(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		m.frees = true
		began := time.Now()
		for time.Since(began) < 5*time.Minute {
			w.hold(syscall.EIO, 0x10, 0x11)
			_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
			_ = ask(b.Poll(), 0x10)
			time.Sleep(200 * time.Millisecond)
		}
		if n := len(m.at); n < 8 || n > 12 {
			t.Errorf("%d recoveries in 5 minutes of 1, 2, 4 .. 60 s", n)
		}
	})
}

// SMBus devices that timed out need up to 35 ms until they listen again. The next transfer waits for that, the read-back
// of a relay write and an act included, and nobody waits longer.
func TestRestAfterTimeout(t *testing.T) {
	for _, c := range []struct {
		err  error
		rest time.Duration
	}{{syscall.ETIMEDOUT, 35 * time.Millisecond}, {syscall.EIO, 0}, {syscall.ENXIO, 0}} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
				_ = ask(b.Poll(), 0x20)
				w.hold(c.err, 0x10)
				var all sync.WaitGroup
				began := time.Now()
				_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
					_ = tx.Tx(0x10, []byte{0}, nil)
					if err := tx.Tx(0x20, []byte{0}, nil); err != nil || time.Since(began) != c.rest {
						t.Errorf("in the job: %v after %s", err, time.Since(began))
					}
					return nil
				})
				_ = ask(b.Poll(), 0x10)
				began = time.Now()
				all.Go(func() { _ = ask(b.Poll(), 0x21) })
				synctest.Wait()
				if err := ask(b.Act(), 0x20); err != nil || time.Since(began) != c.rest {
					t.Errorf("an act: %v after %s", err, time.Since(began))
				}
				all.Wait()
				_ = ask(b.Poll(), 0x10)
				time.Sleep(c.rest)
				began = time.Now()
				if err := ask(b.Act(), 0x20); err != nil || time.Since(began) != 0 {
					t.Errorf("after the rest: %v after %s", err, time.Since(began))
				}
			})
		})
	}
}

// Whoever leaves while the bus rests or recovers has sent nothing.
func TestLeavingDuringRecovery(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		m.takes = time.Second
		w.hold(syscall.ETIMEDOUT, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		failed := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		n := len(w.traffic())
		err := b.Act().Do(ctx, func(tx i2c.Bus) error { return tx.Tx(0x10, []byte{0}, nil) })
		if !errors.Is(err, drivers.Cancelled) || errors.Is(err, drivers.BusFenced) || len(w.traffic()) != n {
			t.Errorf("%v, wire %q", err, w.traffic()[n:])
		}
		if !m.at[0].Equal(failed.Add(silence)) {
			t.Errorf("the recovery began %s after the time-out", m.at[0].Sub(failed))
		}
	})
}

// Bad again before the next attempt may be made: whoever waits is turned away at once.
func TestBadAgainFailsTheQueue(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		m.frees = true
		w.hold(syscall.EIO, 0x10, 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
		_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11) // good, and both are witnesses again
		w.hold(syscall.EIO, 0x10, 0x11)
		w.takes = 100 * time.Millisecond
		began := time.Now()
		var all sync.WaitGroup
		for i, want := range []drivers.Fault{drivers.BusFault, drivers.BusFault, drivers.BusFenced, drivers.BusFenced} {
			all.Go(func() {
				err := ask(b.Poll(), 0x10+uint16(i%2))
				if at := time.Since(began); !errors.Is(err, want) || at != min(time.Duration(i+1), 2)*w.takes {
					t.Errorf("job %d: %v after %s", i, err, at)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if len(m.at) != 1 {
			t.Errorf("%d recoveries within a second", len(m.at))
		}
	})
}

// The same, and an act among those who wait. A second after the last attempt it brings the next one, like an act that
// comes in that moment; whoever polls is turned away. Within the second both are.
func TestBadAgainLetsAnActTry(t *testing.T) {
	for _, c := range []struct {
		name  string
		good  time.Duration // for how long, before it is bad again
		acts  bool          // does an act wait?
		fault drivers.Fault // of the act
	}{
		{"a second and more", 5 * time.Second, true, drivers.None},
		{"less than a second", 500 * time.Millisecond, true, drivers.BusFenced},
		{"no act waits", 5 * time.Second, false, drivers.BusFenced},
	} {
		t.Run(c.name, func(t *testing.T) {
			needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
				w.hold(syscall.EBUSY, 0x10, 0x11)
				_, _ = ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)
				for range 5 { // the next rest is 32 s
					_ = ask(b.Poll(), 0x10)
					time.Sleep(longestRest)
				}
				m.frees = true
				if err := errors.Join(ask(b.Poll(), 0x10), ask(b.Poll(), 0x11)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.good)
				w.hold(syscall.EBUSY, 0x10, 0x11, 0x20)
				w.takes = 100 * time.Millisecond
				n, attempts := len(w.traffic()), len(m.at)
				_ = ask(b.Poll(), 0x10)
				var all sync.WaitGroup
				ends := func(h *Handle, addr uint16, want drivers.Fault) {
					all.Go(func() {
						if err := ask(h, addr); want == drivers.None && err != nil || want != drivers.None && !errors.Is(err, want) {
							t.Errorf("0x%02x: %v, want %v", addr, err, want)
						}
					})
					synctest.Wait()
				}
				ends(b.Poll(), 0x11, drivers.BusFault) // convicts
				ends(b.Poll(), 0x10, drivers.BusFenced)
				if c.acts {
					ends(b.Act(), 0x20, c.fault)
				}
				all.Wait()
				if c.fault != drivers.None {
					ends(b.Poll(), 0x10, drivers.BusFenced)
					all.Wait()
				}
				sent, tried := 2, 0
				if c.fault == drivers.None {
					sent, tried = 3, 1
				}
				if len(w.traffic())-n != sent || len(m.at)-attempts != tried {
					t.Errorf("%d recoveries, wire %q", len(m.at)-attempts, w.traffic()[n:])
				}
			})
		})
	}
}

// A transfer that returned late with a time-out counts like any other.
func TestRestAfterALateTimeout(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = DefaultDeadline + Grace + time.Second
		w.hold(syscall.ETIMEDOUT, 0x10)
		if err := b.Poll().Tx(0x10, []byte{0}, nil); !errors.Is(err, drivers.Hung) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		w.takes = 0
		began := time.Now()
		if err := ask(b.Act(), 0x20); err != nil || time.Since(began) != silence {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// An owner that ends begins no recovery.
func TestNoRecoveryWhileClosing(t *testing.T) {
	needsHelp(t, Opts{}, func(t *testing.T, b *Bus, w *wire, m *medic, _ *[]told) {
		w.takes = 100 * time.Millisecond
		w.hold(syscall.EIO, 0x10, 0x11)
		_ = ask(b.Poll(), 0x10)
		_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error { // leaves a transfer behind
			go func() { _ = tx.Tx(0x11, []byte{0}, nil) }()
			synctest.Wait()
			return nil
		})
		if err := b.Close(); err != nil || len(m.at) != 0 {
			t.Errorf("%v, %d recoveries", err, len(m.at))
		}
	})
}
