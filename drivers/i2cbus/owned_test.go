package i2cbus

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// sysfs builds a tree as the kernel has it: adapter 1 with two described chips, one of them driven, a mux with
// channel 5 and a driven chip on it; adapter 2 apart.
func sysfs(t *testing.T) fs.FS {
	t.Helper()
	root := t.TempDir()
	for link, target := range map[string]string{
		"bus/i2c/devices/i2c-1":  "../../../devices/platform/soc/fe804000.i2c/i2c-1",
		"bus/i2c/devices/i2c-2":  "../../../devices/platform/soc/fe805000.i2c/i2c-2",
		"bus/i2c/devices/i2c-5":  "../../../devices/platform/soc/fe804000.i2c/i2c-1/i2c-5",
		"bus/i2c/devices/1-0048": "../../../devices/platform/soc/fe804000.i2c/i2c-1/1-0048",
		"bus/i2c/devices/1-0020": "../../../devices/platform/soc/fe804000.i2c/i2c-1/1-0020",
		"bus/i2c/devices/1-0070": "../../../devices/platform/soc/fe804000.i2c/i2c-1/1-0070",
		"bus/i2c/devices/1-1064": "../../../devices/platform/soc/fe804000.i2c/i2c-1/1-1064",
		"bus/i2c/devices/5-0050": "../../../devices/platform/soc/fe804000.i2c/i2c-1/i2c-5/5-0050",
		"bus/i2c/devices/2-0048": "../../../devices/platform/soc/fe805000.i2c/i2c-2/2-0048",

		"devices/platform/soc/fe804000.i2c/i2c-1/1-0048/driver":       "../../../../../../bus/i2c/drivers/lm75",
		"devices/platform/soc/fe804000.i2c/i2c-1/1-0070/driver":       "../../../../../../bus/i2c/drivers/pca954x",
		"devices/platform/soc/fe804000.i2c/i2c-1/1-1064/driver":       "../../../../../../bus/i2c/drivers/i2c-slave-mqueue",
		"devices/platform/soc/fe804000.i2c/i2c-1/i2c-5/5-0050/driver": "../../../../../../../bus/i2c/drivers/at24",
		"devices/platform/soc/fe805000.i2c/i2c-2/2-0048/driver":       "../../../../../../bus/i2c/drivers/tmp421",
	} {
		place(t, root, link, target)
	}
	return os.DirFS(root)
}

func place(t *testing.T, root, link, target string) {
	t.Helper()
	name := filepath.Join(root, link)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestOwnedBy(t *testing.T) {
	tree := sysfs(t)
	if err := os.MkdirAll(filepath.Join(t.TempDir(), "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for bus, want := range map[int]map[uint16]string{
		1: {0x48: "lm75", 0x70: "pca954x"},
		2: {0x48: "tmp421"},
		5: {0x48: "lm75", 0x70: "pca954x", 0x50: "at24"}, // a mux channel shares its parent's wires
	} {
		got, err := OwnedBy(tree, bus)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("bus %d: %v, %v, want %v", bus, got, err, want)
		}
	}
	if got, err := OwnedBy(tree, 7); err == nil {
		t.Errorf("a bus that is not there: %v", got)
	}
	if got, err := OwnedBy(os.DirFS(t.TempDir()), 1); err == nil {
		t.Errorf("no sysfs: %v", got)
	}
}

func TestClientName(t *testing.T) {
	for _, c := range []struct {
		name string
		bus  int
		addr uint16
		ok   bool
	}{
		{"1-0048", 1, 0x48, true},
		{"12-0070", 12, 0x70, true},
		{"1-a048", 0, 0, false}, // ten bits
		{"1-1064", 0, 0, false}, // the adapter's own
		{"i2c-1", 0, 0, false},
		{"i2c-0010", 0, 0, false},
		{"i2c-INT33C2:00", 0, 0, false},
		{"1-48", 0, 0, false},
		{"-0048", 0, 0, false},
		{"1-+048", 0, 0, false},
		{"", 0, 0, false},
	} {
		bus, addr, ok := clientName(c.name)
		if bus != c.bus || addr != c.addr || ok != c.ok {
			t.Errorf("%q: %d, 0x%02x, %v", c.name, bus, addr, ok)
		}
	}
}
