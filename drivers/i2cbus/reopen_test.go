package i2cbus

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

// node is a device file that comes and goes.
type node struct {
	gone   error     // why it cannot be opened
	back   time.Time // until when
	opened int
	log    []string
}

func (n *node) open(context.Context) (Transport, error) {
	if n.gone != nil && (n.back.IsZero() || time.Now().Before(n.back)) {
		return nil, n.gone
	}
	n.opened++
	n.log = append(n.log, "open")
	return file{n}, nil
}

type file struct{ *node }

func (f file) Tx(context.Context, uint16, []byte, []byte) error {
	f.log = append(f.log, "tx")
	return nil
}
func (f file) Close() error   { f.log = append(f.log, "close"); return nil }
func (f file) String() string { return "/dev/i2c-9" }

func TestReopening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		r, err := Reopen(t.Context(), n.open)
		if err != nil || r.String() != "/dev/i2c-9" {
			t.Fatal(r, err)
		}
		_ = r.Tx(t.Context(), 0x20, []byte{0}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err = r.Away(ctx, func(context.Context) error {
			n.log = append(n.log, "rebind")
			n.gone, n.back = os.ErrNotExist, time.Now().Add(300*time.Millisecond) // until udev has made it anew
			return nil
		})
		if took := time.Since(began); err != nil || took < 300*time.Millisecond || took > 350*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
		_ = r.Tx(t.Context(), 0x20, []byte{0}, nil)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if want := []string{"open", "tx", "close", "rebind", "open", "tx", "close"}; !slices.Equal(n.log, want) {
			t.Errorf("%q, want %q", n.log, want)
		}
		if err := r.Tx(t.Context(), 0x20, []byte{0}, nil); !errors.Is(err, os.ErrClosed) || n.opened != 2 {
			t.Errorf("after Close: %v, opened %d times", err, n.opened)
		}
		if err := r.Away(t.Context(), func(context.Context) error { t.Error("called"); return nil }); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// An adapter that does not come back is a fault of the bus, not of the configuration; each transfer looks again.
func TestReopeningInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		r, err := Reopen(t.Context(), n.open)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failed := errors.New("unbind: permission denied")
		err = r.Away(ctx, func(context.Context) error {
			n.gone = &drivers.Error{Op: "open", Device: "/dev/i2c-9", Fault: drivers.Unsupported, Err: syscall.ENOENT}
			return failed
		})
		if !errors.Is(err, failed) || !errors.Is(err, syscall.ENOENT) {
			t.Error(err)
		}
		if err := r.Tx(t.Context(), 0x20, []byte{0}, nil); drivers.FaultOf(err) != drivers.BusFault || faultOf(err) != drivers.BusFault || !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%v", err)
		}
		n.gone = nil
		if err := r.Tx(t.Context(), 0x20, []byte{0}, nil); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestReopenWhatIsNotThere(t *testing.T) {
	if _, err := Reopen(t.Context(), (&node{gone: syscall.ENOENT}).open); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
}

func TestCloseWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		r, _ := Reopen(t.Context(), n.open)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.Away(ctx, func(context.Context) error { n.gone = syscall.ENODEV; return nil })
		if err := r.Close(); err != nil || slices.Index(n.log, "close") != len(n.log)-1 {
			t.Errorf("%v, %q: closed twice", err, n.log)
		}
	})
}
