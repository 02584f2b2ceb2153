package i2cbus

import (
	"errors"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"
)

func TestRegisterTakesPeriphsEntryOver(t *testing.T) {
	other := &bridge{addr: 0x40}
	opener := func() (i2c.BusCloser, error) { return other, nil }
	if err := i2creg.Register("/dev/i2c-9", []string{"I2C9"}, 9, opener); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i2creg.Unregister("/dev/i2c-9"); err != nil {
			t.Error(err)
		}
	}()
	w := newWire(t)
	b := New(w, Opts{})
	if err := Register(b); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/dev/i2c-9", "I2C9", "9"} {
		h, err := i2creg.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Tx(0x20, []byte{0}, make([]byte, 1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := w.traffic(); len(got) != 3 {
		t.Errorf("through the owner: %q", got)
	}
	second := New(newWire(t), Opts{})
	if err := Register(second); !errors.Is(err, ErrRegistered) {
		t.Errorf("a second owner: %v", err)
	}
	if err := errors.Join(second.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	ref := registered("/dev/i2c-9")
	if ref == nil || ref.Number != 9 || !slices.Equal(ref.Aliases, []string{"I2C9"}) {
		t.Fatalf("after Close: %+v", ref)
	}
	if h, err := ref.Open(); err != nil || h != i2c.BusCloser(other) {
		t.Errorf("after Close it opens %v, %v", h, err)
	}
}

func TestRegisterANewName(t *testing.T) {
	b := New(newWire(t), Opts{})
	if err := Register(b); err != nil {
		t.Fatal(err)
	}
	if _, err := i2creg.Open("/dev/i2c-9"); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if ref := registered("/dev/i2c-9"); ref != nil {
		t.Errorf("after Close: %+v", ref)
	}
	if err := Register(b); !errors.Is(err, ErrClosed) || registered("/dev/i2c-9") != nil {
		t.Errorf("registering a closed bus: %v", err)
	}
}

// named is a transport that periph's registry has no place for.
type named struct {
	*wire
	name string
}

func (n named) String() string { return n.name }

func TestRegisterANameThatPeriphRefuses(t *testing.T) {
	b := New(named{newWire(t), "usb:1"}, Opts{})
	if err := Register(b); err == nil {
		t.Error("registered")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
