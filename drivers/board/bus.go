package board

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/i2c/i2creg"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// Causes of errors about names.
var (
	// ErrNoName refuses an empty name; it would mean whichever comes first.
	ErrNoName = errors.New("the name is empty")
	// ErrNumber refuses a number as a name.
	ErrNumber = errors.New("a number alone is no name: numbers can move between boots")
	// ErrNotFound says that the board has nothing of that name.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous says that the board has several of that name.
	ErrAmbiguous = errors.New("more than one has this name")
)

// Adapter is one I2C bus of the board.
type Adapter struct {
	Path string // device file; for a bus of periph's that has none, its name there
	Name string // the adapter's own name ("bcm2835 (i2c@7e804000)"); empty: not known
	// Owned maps the addresses that kernel drivers have to the drivers' names.
	Owned map[uint16]string
	// Above lists the device files of the adapters that this one is a channel of, through muxes that the kernel operates.
	// What answers there answers here as well.
	Above []string
	// Funcs is what the adapter can do; only Buses fills it.
	Funcs i2cbus.Funcs
	// Err is why Owned, Above or Funcs is not known; only Buses fills it.
	Err error

	number int // of /dev/i2c-N
	ref    *i2creg.Ref
}

// Buses lists the board's buses for people. It opens each adapter to ask what it can do, and sends nothing on a
// bus.
func (b *Board) Buses() ([]Adapter, error) {
	list, err := b.adapters()
	if err != nil {
		return nil, err
	}
	for i := range list {
		a := &list[i]
		if a.ref != nil {
			continue
		}
		unowned := b.learn(a)
		var unable error
		a.Funcs, unable = b.functions(a.Path)
		a.Err = errors.Join(unowned, unable)
	}
	return list, nil
}

// Find resolves the name of a bus: an adapter's own name, or a device path. It says which addresses kernel drivers
// own on it, for i2cbus.Opts.Refuse, and what it is a channel of; where that cannot be told, it fails.
func (b *Board) Find(name string) (Adapter, error) {
	a, err := b.resolve(name)
	if err == nil && a.ref == nil {
		err = b.learn(&a)
	}
	if err != nil {
		return Adapter{}, &drivers.Error{Op: "find bus", Device: strconv.Quote(name), Fault: drivers.Unsupported, Err: err}
	}
	return a, nil
}

// Bus opens the bus that Find finds. Who calls it owns the bus and closes it.
func (b *Board) Bus(name string) (i2cbus.Transport, error) {
	a, err := b.Find(name)
	if err != nil {
		return nil, err
	}
	if a.ref == nil {
		return b.open(a.Path, a.Name)
	}
	bus, err := a.ref.Open()
	if err != nil {
		return nil, &drivers.Error{Op: "open", Device: a.Path, Fault: drivers.BusFault, Err: err}
	}
	return i2cbus.Periph(bus), nil
}

// learn reads from sysfs who else is on an adapter's wires.
func (b *Board) learn(a *Adapter) error {
	sysfs, err := fs.Sub(b.root, "sys")
	if err != nil {
		return err
	}
	if a.Owned, err = i2cbus.OwnedBy(sysfs, a.number); err != nil {
		return err
	}
	a.Above, err = above(sysfs, a.number)
	return err
}

// above follows an adapter up: a channel of a mux is a directory below that of the adapter that the mux hangs on
// (Linux drivers/i2c/i2c-mux.c, i2c_mux_add_adapter), and so on for a mux behind a mux. The nearest comes last.
func above(sysfs fs.FS, number int) ([]string, error) {
	own := fmt.Sprintf("i2c-%d", number)
	target, err := fs.ReadLink(sysfs, path.Join("bus/i2c/devices", own))
	if err != nil {
		return nil, fmt.Errorf("adapters above %s: %w", own, err)
	}
	var list []string
	for dir := range strings.SplitSeq(target, "/") {
		if _, ok := busNumber(dir); ok && dir != own {
			list = append(list, "/dev/"+dir)
		}
	}
	return list, nil
}

func (b *Board) resolve(name string) (Adapter, error) {
	if err := checkName(name); err != nil {
		return Adapter{}, err
	}
	list, err := b.adapters()
	if err != nil {
		return Adapter{}, err
	}
	var found []Adapter
	for _, a := range list {
		if a.Path == name || a.Name == name {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Adapter{}, fmt.Errorf("%w; the board has %s", ErrNotFound, describe(list))
	default:
		return Adapter{}, fmt.Errorf("%w, take the path instead: %s", ErrAmbiguous, describe(found))
	}
}

func checkName(name string) error {
	if name == "" {
		return ErrNoName
	}
	if _, err := strconv.Atoi(name); err == nil {
		return ErrNumber
	}
	return nil
}

func describe(list []Adapter) string {
	if len(list) == 0 {
		return "no I2C bus"
	}
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.Path
		if a.Name != "" {
			words[i] = fmt.Sprintf("%s %q", a.Path, a.Name)
		}
	}
	return strings.Join(words, ", ")
}

// adapters lists /dev/i2c-N by number, then the buses that only periph knows by name. It lists anew each time,
// because adapters behind USB and channels of muxes come and go.
func (b *Board) adapters() ([]Adapter, error) {
	entries, err := fs.ReadDir(b.root, "dev")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list buses: %w", err)
	}
	var list []Adapter
	for _, e := range entries {
		if n, ok := busNumber(e.Name()); ok {
			list = append(list, Adapter{Path: "/dev/" + e.Name(), Name: b.adapterName(e.Name()), number: n})
		}
	}
	slices.SortFunc(list, func(x, y Adapter) int { return x.number - y.number })
	for _, ref := range i2creg.All() {
		if !strings.HasPrefix(ref.Name, "/dev/i2c-") {
			list = append(list, Adapter{Path: ref.Name, ref: ref})
		}
	}
	return list, nil
}

// busNumber reads the name of a device file, "i2c-1", as the kernel writes it.
func busNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "i2c-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != digits {
		return 0, false
	}
	return int(n), true
}

// adapterName asks sysfs. The first place is a class that newer kernels have no more.
func (b *Board) adapterName(bus string) string {
	for _, dir := range [...]string{"sys/class/i2c-adapter", "sys/bus/i2c/devices"} {
		if text, err := fs.ReadFile(b.root, path.Join(dir, bus, "name")); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}
