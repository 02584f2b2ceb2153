package i2cbus

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// onBus runs f in a bubble with a bus on w and closes the bus after it.
func onBus(t *testing.T, o Opts, f func(t *testing.T, b *Bus, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		b := New(w, o)
		defer func() {
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if synctest.Wait(); !w.closed {
				t.Error("transport left open")
			}
		}()
		f(t, b, w)
	})
}

func TestReadBackOverBothHandles(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		if err := b.Act().Tx(0x20, []byte{0x02, 0xa5, 0x5a}, nil); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2)
		if err := (&i2c.Dev{Bus: b.Poll(), Addr: 0x20}).Tx([]byte{0x02}, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, []byte{0xa5, 0x5a}) {
			t.Errorf("read % x", got)
		}
		if want := []string{"20 02a55a 0", "20 02 2"}; !slices.Equal(w.traffic(), want) {
			t.Errorf("on the wire: %q, want %q", w.traffic(), want)
		}
	})
}

// A job on Act waits for the job in progress, all of it, and for nothing on Poll.
func TestActGoesFirst(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 10 * time.Millisecond
		var all sync.WaitGroup
		all.Go(func() {
			err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
				return errors.Join(tx.Tx(0x10, []byte{1}, nil), tx.Tx(0x10, []byte{2}, nil))
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for i := range 3 {
			all.Go(func() { _ = b.Poll().Tx(0x11+uint16(i), []byte{0}, nil) })
			synctest.Wait()
		}
		for i := range 2 {
			all.Go(func() { _ = b.Act().Tx(0x20+uint16(i), []byte{0}, nil) })
			synctest.Wait()
		}
		all.Wait()
		want := []string{"10 01 0", "10 02 0", "20 00 0", "21 00 0", "11 00 0", "12 00 0", "13 00 0"}
		if got := w.traffic(); !slices.Equal(got, want) {
			t.Errorf("order\n got %q\nwant %q", got, want)
		}
		s := b.Stats()
		if s.Act != (Wait{Jobs: 2, Sum: 50 * time.Millisecond, Max: 30 * time.Millisecond}) {
			t.Errorf("Act waited %+v", s.Act)
		}
		if s.Poll != (Wait{Jobs: 4, Sum: 150 * time.Millisecond, Max: 60 * time.Millisecond}) {
			t.Errorf("Poll waited %+v", s.Poll)
		}
	})
}

func TestLeavingTheQueue(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 500 * time.Millisecond
		var all sync.WaitGroup
		all.Go(func() { _ = b.Tx(0x10, []byte{1}, nil) })
		synctest.Wait()
		cause := errors.New("the rack is being shut down")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
		defer cancel()
		began := time.Now()
		err := b.Act().Do(ctx, func(i2c.Bus) error { t.Error("the job started"); return nil })
		if !errors.Is(err, drivers.Cancelled) || !errors.Is(err, cause) {
			t.Errorf("error %v", err)
		}
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("left after %v", d)
		}
		all.Wait()
		if got := w.traffic(); len(got) != 1 {
			t.Errorf("on the wire: %q", got)
		}
		if n := b.Stats().Refused[drivers.Cancelled]; n != 1 {
			t.Errorf("%d refused", n)
		}
	})
}

func TestContextEndedBefore(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := b.Act().Do(ctx, func(i2c.Bus) error { t.Error("the job started"); return nil })
		if !errors.Is(err, drivers.Cancelled) || !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// A transfer under way is not abandoned: its outcome is what the caller gets. The next one does not begin.
func TestContextEndsDuringTransfer(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 300 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := b.Poll().Do(ctx, func(tx i2c.Bus) error {
			if err := tx.Tx(0x10, []byte{1, 7}, nil); err != nil {
				t.Errorf("the transfer under way: %v", err)
			}
			return tx.Tx(0x10, []byte{1}, make([]byte, 1))
		})
		if !errors.Is(err, drivers.Cancelled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the transfer after it: %v", err)
		}
		if got := w.traffic(); !slices.Equal(got, []string{"10 0107 0"}) {
			t.Errorf("on the wire: %q", got)
		}
	})
}

// A transport that can stop early does so at the deadline, which counts per message.
func TestDeadlinePerMessage(t *testing.T) {
	for _, c := range []struct {
		name string
		w, r []byte
		want time.Duration
	}{
		{"write", []byte{1}, nil, 200 * time.Millisecond},
		{"read", nil, make([]byte, 1), 200 * time.Millisecond},
		{"write and read", []byte{1}, make([]byte, 1), 400 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBus(t, Opts{Deadline: 200 * time.Millisecond}, func(t *testing.T, b *Bus, w *wire) {
				w.takes, w.heeds = time.Hour, true
				began := time.Now()
				err := b.Tx(0x10, c.w, c.r)
				if !errors.Is(err, drivers.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				if d := time.Since(began); d != c.want {
					t.Errorf("after %v, want %v", d, c.want)
				}
				if !strings.HasPrefix(err.Error(), "/dev/i2c-9 0x10: "+c.name+": timeout: ") {
					t.Errorf("text %q", err)
				}
			})
		})
	}
}

func TestRefusedBeforeTheWire(t *testing.T) {
	o := Opts{Refuse: map[uint16]string{0x48: "lm75"}}
	onBus(t, o, func(t *testing.T, b *Bus, w *wire) {
		for _, c := range []struct {
			name string
			addr uint16
			w, r []byte
			want drivers.Fault
			text string
		}{
			{"nothing to do", 0x20, nil, []byte{}, drivers.Unsupported, "neither bytes"},
			{"general call", 0x00, []byte{6}, nil, drivers.Unsupported, "reserved"},
			{"below devices", 0x07, []byte{6}, nil, drivers.Unsupported, "reserved"},
			{"above devices", 0x78, []byte{6}, nil, drivers.Unsupported, "reserved"},
			{"ten bits", 0x120, []byte{6}, nil, drivers.Unsupported, "reserved"},
			{"long write", 0x20, make([]byte, 8193), nil, drivers.Unsupported, "8193 bytes"},
			{"long read", 0x20, nil, make([]byte, 8193), drivers.Unsupported, "8193 bytes"},
			{"kernel's", 0x48, []byte{0}, make([]byte, 2), drivers.Foreign, `"lm75"`},
		} {
			err := b.Tx(c.addr, c.w, c.r)
			if drivers.FaultOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := b.Tx(0x20, make([]byte, 8192), make([]byte, 8192)); err != nil {
			t.Errorf("longest messages: %v", err)
		}
		s := b.Stats()
		if s.Transfers != 1 || s.Refused[drivers.Unsupported] != 7 || s.Refused[drivers.Foreign] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestErrorsKeepFaultAndCause(t *testing.T) {
	own := &drivers.Error{Op: "transfer", Device: "bridge", Fault: drivers.Arbitration, Err: errors.New("line lost")}
	for _, c := range []struct {
		err  error
		is   []error
		text string
	}{
		{syscall.ENXIO, []error{drivers.NoAnswer, syscall.ENXIO}, "/dev/i2c-9 0x10: write: nack: " + syscall.ENXIO.Error()},
		{drivers.Corrupt, []error{drivers.Corrupt}, "/dev/i2c-9 0x10: write: corrupt"},
		{own, []error{drivers.Arbitration, own.Err}, "/dev/i2c-9 0x10: write: arbitration: line lost"},
		{errors.New("odd"), []error{drivers.BusFault}, "/dev/i2c-9 0x10: write: bus_fault: odd"},
	} {
		onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
			w.fails[0x10] = c.err
			err := b.Tx(0x10, []byte{0}, nil)
			for _, target := range c.is {
				if !errors.Is(err, target) {
					t.Errorf("%v is not %v", err, target)
				}
			}
			if err.Error() != c.text {
				t.Errorf("text %q, want %q", err, c.text)
			}
		})
	}
}

func TestFailedReadLeavesTheBufferAlone(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.fails[0x10] = syscall.EIO
		r := []byte{0xc3, 0xc3}
		if err := b.Tx(0x10, []byte{0}, r); !errors.Is(err, drivers.BusFault) {
			t.Errorf("error %v", err)
		}
		if !bytes.Equal(r, []byte{0xc3, 0xc3}) {
			t.Errorf("buffer % x", r)
		}
	})
}

func TestTxOutlivesItsJob(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		var kept i2c.Bus
		if err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		try := func() {
			if err := kept.Tx(0x10, []byte{0}, nil); !errors.Is(err, ErrJobOver) || !errors.Is(err, drivers.Cancelled) {
				t.Errorf("error %v", err)
			}
		}
		try()
		_ = b.Poll().Do(t.Context(), func(i2c.Bus) error { try(); return nil })
		if len(w.traffic()) != 0 {
			t.Errorf("on the wire: %q", w.traffic())
		}
	})
}

// A goroutine that a job left behind cannot bring two transfers together.
func TestStragglerOfAJob(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 100 * time.Millisecond
		var all sync.WaitGroup
		leaveBehind := func() {
			_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
				all.Go(func() {
					if err := tx.Tx(0x10, []byte{0}, nil); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				return nil
			})
		}
		leaveBehind()
		time.Sleep(time.Minute)
		leaveBehind()
		began := time.Now()
		err := b.Act().Do(t.Context(), func(i2c.Bus) error {
			if d := time.Since(began); d != w.takes {
				t.Errorf("the next job began after %v, beside the transfer left behind", d)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		all.Wait()
		if n := b.Stats().Revoked; n != 0 {
			t.Errorf("%d revoked", n)
		}
	})
}

// Transfers that a job asks for from several goroutines go one after the other.
func TestTransfersOfOneJobDoNotOverlap(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 100 * time.Millisecond
		err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() {
					if err := tx.Tx(0x10+uint16(i), []byte{0}, nil); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return nil
		})
		if n := b.Stats().Transfers; err != nil || n != 3 {
			t.Errorf("%d transfers, %v", n, err)
		}
	})
}

// Whether a caller's context ends just before or just after the bus falls free: its job does not begin.
func TestContextEndsAsTheBusFallsFree(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			_ = b.Poll().Do(t.Context(), func(i2c.Bus) error {
				all.Go(func() {
					err := b.Act().Do(ctx, func(i2c.Bus) error { t.Error("the job started"); return nil })
					if !errors.Is(err, drivers.Cancelled) {
						t.Errorf("error %v", err)
					}
				})
				synctest.Wait()
				cancel()
				return nil
			})
			all.Wait()
		}
	})
}

func TestPanicInAJobGivesTheBusBack(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			_ = b.Poll().Do(t.Context(), func(i2c.Bus) error { panic("defect") })
		}()
		if err := b.Poll().Tx(0x10, []byte{0}, nil); err != nil {
			t.Error(err)
		}
	})
}

// A job that holds the bus and does not use it loses it, so that it cannot hold up an act (S10).
func TestIdleJobLosesTheBus(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		var all sync.WaitGroup
		all.Go(func() {
			_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
				if err := tx.Tx(0x10, []byte{1}, nil); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if err := tx.Tx(0x10, []byte{2}, nil); !errors.Is(err, ErrJobOver) {
					t.Errorf("after idling: %v", err)
				}
				return nil
			})
		})
		synctest.Wait()
		began := time.Now()
		if err := b.Act().Tx(0x20, []byte{0}, nil); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != DefaultDeadline+Grace {
			t.Errorf("waited %v", d)
		}
		all.Wait()
		if n := b.Stats().Revoked; n != 1 {
			t.Errorf("%d revoked", n)
		}
	})
}

// A job that has lost the bus gives nothing back when it returns at last.
func TestLateReturnDoesNotFreeTheBus(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = 900 * time.Millisecond
		var all sync.WaitGroup
		all.Go(func() {
			_ = b.Poll().Do(t.Context(), func(i2c.Bus) error { time.Sleep(DefaultDeadline + Grace + 500*time.Millisecond); return nil })
		})
		synctest.Wait()
		all.Go(func() {
			err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
				return errors.Join(tx.Tx(0x10, []byte{0}, nil), tx.Tx(0x10, []byte{0}, nil))
			})
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(DefaultDeadline + Grace + time.Millisecond)
		all.Go(func() { _ = b.Act().Tx(0x20, []byte{0}, nil) })
		all.Wait()
		if got := w.traffic(); !slices.Equal(got, []string{"10 00 0", "10 00 0", "20 00 0"}) {
			t.Errorf("split: %q", got)
		}
	})
}

func TestPausesWithinAJob(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		err := b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			for range 10 {
				time.Sleep(DefaultDeadline)
				if err := tx.Tx(0x10, []byte{1}, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSetSpeed(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		_ = b.Act().Do(t.Context(), func(tx i2c.Bus) error {
			for _, bus := range []i2c.Bus{b, b.Poll(), tx} {
				if err := bus.SetSpeed(physic.MegaHertz); !errors.Is(err, drivers.Unsupported) {
					t.Errorf("%T: %v", bus, err)
				}
				if bus.String() != "/dev/i2c-9" {
					t.Errorf("%T: %s", bus, bus)
				}
			}
			return nil
		})
	})
}

func TestStatsAreACopy(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.takes = time.Millisecond
		w.fails[0x11] = syscall.ENXIO
		_ = b.Tx(0x10, []byte{0}, nil)
		_ = b.Tx(0x11, []byte{0}, nil)
		s := b.Stats()
		if s.Transfers != 2 || s.Busy != 2*time.Millisecond || s.Errors[drivers.NoAnswer] != 1 || len(s.Errors) != 1 {
			t.Errorf("bus: %+v", s.Counts)
		}
		if c := s.Address[0x11]; c.Transfers != 1 || c.Errors[drivers.NoAnswer] != 1 || c.Busy != time.Millisecond || c.Wait.Jobs != 1 {
			t.Errorf("0x11: %+v", c)
		}
		s.Errors[drivers.NoAnswer] = 99
		s.Address[0x11].Errors[drivers.NoAnswer] = 99
		if again := b.Stats(); again.Errors[drivers.NoAnswer] != 1 || again.Address[0x11].Errors[drivers.NoAnswer] != 1 {
			t.Error("a copy's maps are the ledger's")
		}
	})
}
