package i2cbus

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

type change struct {
	hung  bool
	since time.Time
}

// watched gives Opts whose changes are recorded.
func watched(changes *[]change) Opts {
	return Opts{OnChange: func(hung bool, since time.Time) { *changes = append(*changes, change{hung, since}) }}
}

func TestHang(t *testing.T) {
	var changes []change
	onBus(t, watched(&changes), func(t *testing.T, b *Bus, w *wire) {
		release := w.hang()
		began := time.Now()
		failsAfter := func(h *Handle, want time.Duration) {
			err := h.Tx(0x20, []byte{1}, make([]byte, 4))
			if !errors.Is(err, drivers.Hung) {
				t.Errorf("error %v", err)
			}
			if d := time.Since(began); d != want {
				t.Errorf("failed after %v, want %v", d, want)
			}
		}
		const limit = 2*DefaultDeadline + Grace
		var all sync.WaitGroup
		all.Go(func() { failsAfter(b.Poll(), limit) })
		synctest.Wait()
		all.Go(func() { failsAfter(b.Poll(), limit) })
		all.Go(func() { failsAfter(b.Act(), limit) })
		all.Wait()
		if s := b.Stats(); s.Hangs != 1 || !s.HungSince.Equal(began) || s.Errors[drivers.Hung] != 1 || s.Refused[drivers.Hung] != 2 {
			t.Errorf("hung: %+v", s)
		}
		time.Sleep(time.Hour)
		failsAfter(b.Act(), limit+time.Hour)
		if got := w.traffic(); len(got) != 1 {
			t.Errorf("started beside the hung transfer: %q", got)
		}

		release()
		synctest.Wait()
		if err := b.Poll().Tx(0x20, []byte{1}, nil); err != nil {
			t.Errorf("after it is back: %v", err)
		}
		if want := []change{{true, began}, {false, began.Add(limit + time.Hour)}}; !slices.Equal(changes, want) {
			t.Errorf("told %v, want %v", changes, want)
		}
		if s := b.Stats(); !s.HungSince.IsZero() || s.Busy != limit+time.Hour || s.Transfers != 2 {
			t.Errorf("back: %+v", s)
		}
	})
}

// The transfer that hangs writes its late data into memory of its own: the caller has gone, with its buffers.
func TestLateTransferLeavesTheCallersMemoryAlone(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		w.regs[0x20] = &[256]byte{0xee, 0xee}
		release := w.hang()
		out, in := []byte{0x00}, []byte{0x55, 0x55}
		if err := b.Tx(0x20, out, in); !errors.Is(err, drivers.Hung) {
			t.Fatal(err)
		}
		out[0] = 0x7f // what the caller does with its buffer now is its own business
		release()
		synctest.Wait()
		if !bytes.Equal(in, []byte{0x55, 0x55}) {
			t.Errorf("read buffer % x", in)
		}
		if p := w.pointer[0x20]; p != 2 {
			t.Errorf("the late transfer used pointer 0x%02x: the caller's write buffer", p-2)
		}
	})
}

// A job whose transfer hung has lost the bus, also after it is back: what it had set up may be gone.
func TestJobOfAHungTransferIsOver(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		release := w.hang()
		_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			if err := tx.Tx(0x70, []byte{1}, nil); !errors.Is(err, drivers.Hung) {
				t.Errorf("mux: %v", err)
			}
			if err := tx.Tx(0x20, []byte{1}, nil); !errors.Is(err, drivers.Hung) {
				t.Errorf("while hung: %v", err)
			}
			release()
			synctest.Wait()
			if err := tx.Tx(0x20, []byte{1}, nil); !errors.Is(err, ErrJobOver) {
				t.Errorf("back: %v", err)
			}
			return nil
		})
		if got := w.traffic(); len(got) != 1 {
			t.Errorf("on the wire: %q", got)
		}
	})
}

// Of two transfers that a job asks for at once, the one waiting behind the hung one fails with it.
func TestHangWithATransferBehindIt(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		release := w.hang()
		_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					if err := tx.Tx(0x20, []byte{1}, nil); !errors.Is(err, drivers.Hung) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return nil
		})
		release()
		synctest.Wait()
		if got := w.traffic(); len(got) != 1 {
			t.Errorf("on the wire: %q", got)
		}
	})
}

// A caller with a context waits for the outcome of what is under way, but no longer than the bus's patience.
func TestContextEndsDuringHang(t *testing.T) {
	onBus(t, Opts{}, func(t *testing.T, b *Bus, w *wire) {
		release := w.hang()
		defer synctest.Wait()
		defer release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		err := b.Act().Do(ctx, func(tx i2c.Bus) error { return tx.Tx(0x20, []byte{1}, nil) })
		if !errors.Is(err, drivers.Hung) || time.Since(began) != DefaultDeadline+Grace {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		w.takes = 100 * time.Millisecond
		b := New(w, Opts{})
		var all sync.WaitGroup
		var second error
		all.Go(func() {
			_ = b.Poll().Do(t.Context(), func(tx i2c.Bus) error {
				if err := tx.Tx(0x10, []byte{0}, nil); err != nil {
					t.Errorf("in progress: %v", err)
				}
				second = tx.Tx(0x10, []byte{0}, nil)
				return nil
			})
		})
		synctest.Wait()
		var queued error
		all.Go(func() { queued = b.Act().Tx(0x20, []byte{0}, nil) })
		synctest.Wait()
		all.Go(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		var closing error
		all.Go(func() { closing = b.Poll().Tx(0x21, []byte{0}, nil) })
		all.Wait()
		for name, err := range map[string]error{
			"next of the job": second, "queued": queued, "while closing": closing, "later": b.Tx(0x30, []byte{0}, nil),
		} {
			if !errors.Is(err, ErrClosed) || !errors.Is(err, drivers.Cancelled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := b.Close(); err != nil || !w.closed {
			t.Errorf("again: %v, closed %v", err, w.closed)
		}
		if got := w.traffic(); len(got) != 1 {
			t.Errorf("on the wire: %q", got)
		}
	})
}

func TestCloseOfAHungBus(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // Close comes this long after the transfer began
		takes time.Duration
	}{
		{"hung already", time.Minute, 0},
		{"not yet", time.Second, DefaultDeadline + Grace - time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				b := New(w, Opts{})
				release := w.hang()
				go func() { _ = b.Tx(0x10, []byte{0}, nil) }()
				time.Sleep(c.after)
				began := time.Now()
				if err := b.Close(); !errors.Is(err, drivers.Hung) {
					t.Errorf("Close: %v", err)
				}
				if d := time.Since(began); d != c.takes {
					t.Errorf("took %v, want %v", d, c.takes)
				}
				if w.closed {
					t.Error("transport closed under a transfer")
				}
				release()
				synctest.Wait()
				if !w.closed {
					t.Error("transport left open")
				}
			})
		})
	}
}
