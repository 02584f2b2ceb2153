package board

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// plant makes files (content) and links (content after "->") below a directory.
func plant(t *testing.T, tree map[string]string) fs.FS {
	t.Helper()
	root := t.TempDir()
	for name, content := range tree {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if target, link := strings.CutPrefix(content, "->"); link {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return os.DirFS(root)
}

// controller is a board with two adapters of one name, one with a name of its own and a chip that the kernel
// drives, an SMBus, and no class i2c-adapter for the last.
func controller(t *testing.T) fs.FS {
	return plant(t, map[string]string{
		"dev/i2c-1": "", "dev/i2c-2": "", "dev/i2c-10": "", "dev/i2c-0": "", "dev/i2c-stub": "", "dev/i2c-01": "", "dev/null": "",

		"sys/class/i2c-adapter/i2c-0/name":  "SMBus I801 adapter at efa0\n",
		"sys/class/i2c-adapter/i2c-1/name":  "bcm2835 (i2c@7e804000)\n",
		"sys/class/i2c-adapter/i2c-2/name":  "i2c-gpio\n",
		"sys/devices/soc/b/i2c-10/name":     "i2c-gpio\n",
		"sys/devices/soc/a/i2c-1/x":         "",
		"sys/devices/soc/a/i2c-2/x":         "",
		"sys/devices/soc/a/i2c-0/x":         "",
		"sys/bus/i2c/devices/i2c-0":         "->../../../devices/soc/a/i2c-0",
		"sys/bus/i2c/devices/i2c-1":         "->../../../devices/soc/a/i2c-1",
		"sys/bus/i2c/devices/i2c-2":         "->../../../devices/soc/a/i2c-2",
		"sys/bus/i2c/devices/i2c-10":        "->../../../devices/soc/b/i2c-10",
		"sys/bus/i2c/devices/1-0048/driver": "->../../../../bus/i2c/drivers/lm75",
	})
}

// port is a device file that opens.
type port struct{ path, adapter string }

func (p port) Tx(context.Context, uint16, []byte, []byte) error { return syscall.ENXIO }
func (p port) Close() error                                     { return nil }
func (p port) String() string                                   { return p.path }

// on gives a board with a tree of its own whose device files open. The SMBus's says so.
func on(t *testing.T, tree fs.FS) *Board {
	t.Helper()
	b, err := Open(Opts{Root: tree})
	if err != nil {
		t.Fatal(err)
	}
	b.open = func(path, adapter string) (i2cbus.Transport, error) { return port{path, adapter}, nil }
	b.functions = func(path string) (i2cbus.Funcs, error) {
		switch path {
		case "/dev/i2c-0":
			return 0x1fff8008, nil
		case "/dev/i2c-2":
			return 0, syscall.EACCES
		default:
			return 0x0eff0009, nil
		}
	}
	return b
}

func TestThisBoard(t *testing.T) {
	b, err := Open(Opts{})
	if err != nil {
		t.Fatalf("whatever this machine has or lacks is no error: %v", err)
	}
	if _, err := b.Buses(); err != nil {
		t.Error(err)
	}
	for _, l := range b.Inputs() {
		if l.String() == "" {
			t.Errorf("a line without a name to ask for: %+v", l)
		}
	}
}

func TestBuses(t *testing.T) {
	list, err := on(t, controller(t)).Buses()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, a.Path+" | "+a.Name+" | "+a.Funcs.String())
	}
	want := []string{
		"/dev/i2c-0 | SMBus I801 adapter at efa0 | SMBus only",
		"/dev/i2c-1 | bcm2835 (i2c@7e804000) | I2C",
		"/dev/i2c-2 | i2c-gpio | neither I2C nor SMBus (0x00000000)",
		"/dev/i2c-10 | i2c-gpio | I2C",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !maps.Equal(list[1].Owned, map[uint16]string{0x48: "lm75"}) || len(list[3].Owned) != 0 {
		t.Errorf("owned: %v, %v", list[1].Owned, list[3].Owned)
	}
	if list[1].Err != nil || !errors.Is(list[2].Err, syscall.EACCES) {
		t.Errorf("errors: %v, %v", list[1].Err, list[2].Err)
	}
}

func TestBus(t *testing.T) {
	b := on(t, controller(t))
	for name, want := range map[string]port{
		"bcm2835 (i2c@7e804000)":     {"/dev/i2c-1", "bcm2835 (i2c@7e804000)"},
		"/dev/i2c-1":                 {"/dev/i2c-1", "bcm2835 (i2c@7e804000)"},
		"/dev/i2c-10":                {"/dev/i2c-10", "i2c-gpio"},
		"SMBus I801 adapter at efa0": {"/dev/i2c-0", "SMBus I801 adapter at efa0"},
	} {
		got, err := b.Bus(name)
		if err != nil || got != i2cbus.Transport(want) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	a, err := b.Find("/dev/i2c-1")
	if err != nil || a.Owned[0x48] != "lm75" {
		t.Errorf("%+v, %v", a, err)
	}
}

// What is sent on a channel of a mux that the kernel operates is heard on the adapter of the mux too.
func TestChannelsOfTheKernelsMuxes(t *testing.T) {
	const soc = "sys/devices/soc/a.i2c/"
	b := on(t, plant(t, map[string]string{
		"dev/i2c-1": "", "dev/i2c-5": "", "dev/i2c-6": "", "dev/i2c-9": "", "dev/i2c-11": "",
		soc + "i2c-1/i2c-5/i2c-9/name": "chan\n", soc + "i2c-1/i2c-6/name": "chan\n", soc + "i2c-11/name": "other\n",
		"sys/bus/i2c/devices/i2c-1":  "->../../../devices/soc/a.i2c/i2c-1",
		"sys/bus/i2c/devices/i2c-5":  "->../../../devices/soc/a.i2c/i2c-1/i2c-5",
		"sys/bus/i2c/devices/i2c-6":  "->../../../devices/soc/a.i2c/i2c-1/i2c-6",
		"sys/bus/i2c/devices/i2c-9":  "->../../../devices/soc/a.i2c/i2c-1/i2c-5/i2c-9",
		"sys/bus/i2c/devices/i2c-11": "->../../../devices/soc/a.i2c/i2c-11",
	}))
	want := map[string][]string{"/dev/i2c-1": nil, "/dev/i2c-5": {"/dev/i2c-1"}, "/dev/i2c-6": {"/dev/i2c-1"}, "/dev/i2c-9": {"/dev/i2c-1", "/dev/i2c-5"}, "/dev/i2c-11": nil}
	list, err := b.Buses()
	if err != nil || len(list) != len(want) {
		t.Fatal(list, err)
	}
	for _, listed := range list {
		found, err := b.Find(listed.Path)
		if err != nil || !slices.Equal(found.Above, want[listed.Path]) || !slices.Equal(listed.Above, want[listed.Path]) {
			t.Errorf("%s: %v and %v, %v; want %v", listed.Path, found.Above, listed.Above, err, want[listed.Path])
		}
	}
}

func TestBusNamesThatSayTooLittle(t *testing.T) {
	b := on(t, controller(t))
	for name, c := range map[string]struct {
		is   error
		text string
	}{
		"":            {ErrNoName, `"": find bus: unsupported: the name is empty`},
		"1":           {ErrNumber, "numbers can move between boots"},
		"-1":          {ErrNumber, "numbers can move between boots"},
		"I2C1":        {ErrNotFound, `/dev/i2c-1 "bcm2835 (i2c@7e804000)"`},
		"/dev/i2c-7":  {ErrNotFound, "the board has /dev/i2c-0"},
		"/dev/i2c-01": {ErrNotFound, ""},
		"bcm2835":     {ErrNotFound, ""},
		"i2c-gpio":    {ErrAmbiguous, `/dev/i2c-2 "i2c-gpio", /dev/i2c-10 "i2c-gpio"`},
	} {
		_, err := b.Bus(name)
		if !errors.Is(err, c.is) || !errors.Is(err, drivers.Unsupported) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestBoardWithoutBuses(t *testing.T) {
	b := on(t, plant(t, map[string]string{"etc/hostname": "r17"}))
	if list, err := b.Buses(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := b.Bus("/dev/i2c-1"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no I2C bus") {
		t.Error(err)
	}
}

// Where it cannot be told what the kernel drives, the bus is not taken.
func TestOwnershipNotKnown(t *testing.T) {
	b := on(t, plant(t, map[string]string{"dev/i2c-1": ""}))
	if _, err := b.Bus("/dev/i2c-1"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if list, err := b.Buses(); err != nil || len(list) != 1 || !errors.Is(list[0].Err, fs.ErrNotExist) {
		t.Errorf("%+v, %v", list, err)
	}
}

// bridge is a bus that periph offers without a device file.
type bridge struct{}

func (bridge) String() string                  { return "ft232h(A1)" }
func (bridge) Close() error                    { return nil }
func (bridge) SetSpeed(physic.Frequency) error { return nil }
func (bridge) Tx(uint16, []byte, []byte) error { return errors.New("got NAK") }
func openBridge() (i2c.BusCloser, error)       { return bridge{}, nil }
func openUnplugged() (i2c.BusCloser, error)    { return nil, errors.New("unplugged") }
func register(t *testing.T, n string, o i2creg.Opener) {
	t.Helper()
	if err := i2creg.Register(n, nil, -1, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i2creg.Unregister(n); err != nil {
			t.Error(err)
		}
	})
}

func TestBusOfPeriph(t *testing.T) {
	register(t, "ft232h-A1", openBridge)
	register(t, "ft232h-A2", openUnplugged)
	b := on(t, plant(t, nil))
	transport, err := b.Bus("ft232h-A1")
	if err != nil {
		t.Fatal(err)
	}
	if err := transport.Tx(t.Context(), 0x20, []byte{0}, nil); !errors.Is(err, drivers.NoAnswer) {
		t.Error(err)
	}
	if _, err := b.Bus("ft232h-A2"); !errors.Is(err, drivers.BusFault) || !strings.Contains(err.Error(), "unplugged") {
		t.Error(err)
	}
	list, err := b.Buses()
	if err != nil || len(list) != 2 || list[0].Path != "ft232h-A1" || list[0].Err != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestBusOfPeriphUnderADevicePathIsOurs(t *testing.T) {
	register(t, "/dev/i2c-3", openBridge)
	if list, err := on(t, plant(t, nil)).Buses(); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
