package board

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/drivers"
)

// soc is a board with an adapter of a platform driver.
func soc(more map[string]string) map[string]string {
	tree := map[string]string{
		"dev/i2c-1": "",
		"sys/devices/platform/soc/fe804000.i2c/i2c-1/name": "bcm2835 (i2c@7e804000)\n",
		"sys/devices/platform/soc/fe804000.i2c/driver":     "->../../../../bus/platform/drivers/i2c-bcm2835",
		"sys/bus/i2c/devices/i2c-1":                        "->../../../devices/platform/soc/fe804000.i2c/i2c-1",
		"sys/bus/platform/drivers/i2c-bcm2835/bind":        "",
		"sys/bus/platform/drivers/i2c-bcm2835/unbind":      "",
	}
	for k, v := range more {
		tree[k] = v
	}
	return tree
}

// planted gives a board on such a tree, and the tree's directory.
func planted(t *testing.T, tree map[string]string) (*Board, string) {
	t.Helper()
	root := plant(t, tree)
	b := on(t, root)
	b.dir = plantedDir(t, root)
	return b, b.dir
}

// plantedDir is where plant put a tree.
func plantedDir(t *testing.T, root fs.FS) string {
	t.Helper()
	f, err := root.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.(*os.File).Name()
}

func written(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "sys/bus/platform/drivers/i2c-bcm2835", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAdapterReset(t *testing.T) {
	for _, name := range []string{"bcm2835 (i2c@7e804000)", "/dev/i2c-1"} {
		b, dir := planted(t, soc(nil))
		a, err := b.AdapterReset(name)
		if err != nil {
			t.Fatal(err)
		}
		called := 0
		err = a.Rebind(t.Context(), func(context.Context) error {
			called++
			if written(t, dir, "unbind") != "fe804000.i2c" || written(t, dir, "bind") != "" {
				t.Error("called while the driver has the adapter")
			}
			return nil
		})
		if err != nil || called != 1 || written(t, dir, "bind") != "fe804000.i2c" {
			t.Errorf("%s: %v, called %d times, bound %q", name, err, called, written(t, dir, "bind"))
		}
		if err := a.Rebind(t.Context(), nil); err != nil {
			t.Errorf("with nothing in between: %v", err)
		}
	}
}

// Whatever happens in between, the adapter comes back.
func TestAdapterComesBack(t *testing.T) {
	b, dir := planted(t, soc(nil))
	a, err := b.AdapterReset("/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = a.Rebind(ctx, func(context.Context) error { cancel(); return ErrDataHeld })
	if !errors.Is(err, ErrDataHeld) || written(t, dir, "bind") != "fe804000.i2c" {
		t.Errorf("%v, bound %q", err, written(t, dir, "bind"))
	}
	if err := a.Rebind(ctx, nil); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A bind that failed is made good by the next call, which must not look for an adapter that is not there.
func TestAdapterLost(t *testing.T) {
	b, dir := planted(t, soc(nil))
	a, err := b.AdapterReset("/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string) string { return filepath.Join(dir, "sys/bus/platform/drivers/i2c-bcm2835", name) }
	remove := func(names ...string) {
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
	err = a.Rebind(t.Context(), func(context.Context) error {
		remove(filepath.Join(dir, "dev/i2c-1"), filepath.Join(dir, "sys/bus/i2c/devices/i2c-1"), of("bind"))
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) || drivers.FaultOf(err) != drivers.BusFault || !strings.Contains(err.Error(), "bind: ") {
		t.Errorf("bind: %v", err)
	}
	for _, name := range []string{"bind", "unbind"} {
		if err := os.WriteFile(of(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	called := false
	err = a.Rebind(t.Context(), func(context.Context) error { called = true; return nil })
	if err != nil || !called || written(t, dir, "unbind") != "" || written(t, dir, "bind") != "fe804000.i2c" {
		t.Errorf("%v, unbound %q, bound %q", err, written(t, dir, "unbind"), written(t, dir, "bind"))
	}
	if err := a.Rebind(t.Context(), nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("an adapter that is gone although it was bound: %v", err)
	}
}

func TestAdaptersThatAreNotReset(t *testing.T) {
	for _, c := range []struct {
		name string
		tree map[string]string
		ask  string
		is   error
		text string
	}{
		{"no such bus", nil, "/dev/i2c-7", ErrNotFound, ""},
		{"a number", nil, "1", ErrNumber, ""},
		{"a kernel driver has a device on it", map[string]string{"sys/bus/i2c/devices/1-0020/driver": "->../../../../bus/i2c/drivers/pca953x"}, "/dev/i2c-1", ErrInUse, "pca953x"},
		{"two adapters of one device", map[string]string{"sys/devices/platform/soc/fe804000.i2c/i2c-2/name": "other\n"}, "/dev/i2c-1", ErrInUse, "i2c-2"},
		{"a channel of a mux of the kernel's", map[string]string{
			"dev/i2c-5": "", "sys/devices/platform/soc/fe804000.i2c/i2c-1/i2c-5/name": "chan\n",
			"sys/bus/i2c/devices/i2c-5": "->../../../devices/platform/soc/fe804000.i2c/i2c-1/i2c-5",
		}, "/dev/i2c-5", ErrNotPlatform, ""},
		{"a mux below it", map[string]string{"sys/devices/platform/soc/fe804000.i2c/i2c-1/i2c-5/name": "chan\n"}, "/dev/i2c-1", ErrInUse, "i2c-5"},
		{"an adapter on PCI", map[string]string{
			"dev/i2c-3": "", "sys/devices/pci0000:00/0000:00:02.0/i2c-3/name": "radeonfb dvi\n",
			"sys/devices/pci0000:00/0000:00:02.0/driver": "->../../../bus/pci/drivers/radeonfb",
			"sys/bus/i2c/devices/i2c-3":                  "->../../../devices/pci0000:00/0000:00:02.0/i2c-3",
		}, "/dev/i2c-3", ErrNotPlatform, "pci"},
	} {
		b, dir := planted(t, soc(c.tree))
		_, err := b.AdapterReset(c.ask)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if written(t, dir, "unbind") != "" {
			t.Errorf("%s: unbound", c.name)
		}
	}
}

// What changed since the start is seen before anything is unbound.
func TestAdapterIsLookedAtAnew(t *testing.T) {
	b, dir := planted(t, soc(nil))
	a, err := b.AdapterReset("/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	device := filepath.Join(dir, "sys/bus/i2c/devices/1-0048")
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../../bus/i2c/drivers/lm75", filepath.Join(device, "driver")); err != nil {
		t.Fatal(err)
	}
	if err := a.Rebind(t.Context(), nil); !errors.Is(err, ErrInUse) || !errors.Is(err, drivers.Foreign) || written(t, dir, "unbind") != "" {
		t.Errorf("%v, unbound %q", err, written(t, dir, "unbind"))
	}
}
