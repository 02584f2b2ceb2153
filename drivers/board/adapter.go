package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"rackagent/drivers"
)

// ErrNotPlatform refuses an adapter that is not a device of its own: behind USB or PCI, where more hangs on the driver
// than the bus, or a channel of a mux.
var ErrNotPlatform = errors.New("the adapter is no platform device")

// AdapterReset takes a bus's adapter away from its kernel driver and gives it back, which starts the controller anew
// (Linux, Documentation/driver-api/driver-model: bind and unbind in sysfs). It wants rights that only root has by
// default. Nobody may have the adapter's device file open: Linux would block until it is closed (seen on Linux 6.1), and
// with it the caller, whatever its context says. See i2cbus.Reopening.
//
// It is refused while a kernel driver has a device on the bus or the bus has mux channels of its own, as they would go
// with the adapter: a kernel's expander may let its outputs go.
type AdapterReset struct {
	board *Board
	name  string
	away  *adapterPlace // not nil: unbound and not bound again
}

// AdapterReset finds the adapter of a bus, by the names that Find takes, and changes nothing.
func (b *Board) AdapterReset(name string) (*AdapterReset, error) {
	a := &AdapterReset{board: b, name: name}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, a.fail("find bus", drivers.Unsupported, err)
	}
	defer root.Close()
	if _, err := a.look(root); err != nil {
		return nil, err
	}
	return a, nil
}

// Rebind unbinds the adapter, calls between (nil: nothing), which then has the adapter's pins to itself (Clocks.Recover),
// and binds it again, whatever between returned and whether or not ctx has ended. If that fails the next call begins with
// it. A process that is killed in between leaves the board without the adapter until it is bound by hand or started anew.
// It is meant for one caller at a time, who keeps the AdapterReset: another one knows nothing of an adapter that is away.
func (a *AdapterReset) Rebind(ctx context.Context, between func(ctx context.Context) error) error {
	if ctx.Err() != nil {
		return a.fail("unbind", drivers.Cancelled, context.Cause(ctx))
	}
	root, err := os.OpenRoot(a.board.dir)
	if err != nil {
		return a.fail("unbind", drivers.BusFault, err)
	}
	defer root.Close()
	if a.away == nil {
		place, err := a.look(root)
		if err != nil {
			return err
		}
		if err := tell(root, place.driver, "unbind", place.device); err != nil {
			return a.fail("unbind", drivers.BusFault, err)
		}
		a.away = &place
	}
	var done error
	if between != nil {
		done = between(ctx)
	}
	if err := tell(root, a.away.driver, "bind", a.away.device); err != nil {
		return errors.Join(done, a.fail("bind", drivers.BusFault, err))
	}
	a.away = nil
	return done
}

// adapterPlace is where an adapter is in sysfs.
type adapterPlace struct {
	device string // the name that bind and unbind take: "fe804000.i2c"
	driver string // directory of the driver
}

// look finds the adapter now, and refuses one that more hangs on.
func (a *AdapterReset) look(root *os.Root) (adapterPlace, error) {
	found, err := a.board.Find(a.name)
	if err != nil {
		return adapterPlace{}, err
	}
	if found.ref != nil {
		return adapterPlace{}, a.fail("find bus", drivers.Unsupported, ErrNotPlatform)
	}
	for addr, driver := range found.Owned {
		return adapterPlace{}, a.fail("find bus", drivers.Foreign, fmt.Errorf("%w: kernel driver %q has 0x%02x on it", ErrInUse, driver, addr))
	}
	adapter := fmt.Sprintf("i2c-%d", found.number)
	bus, err := follow(root, "sys/bus/i2c/devices", adapter)
	if err != nil {
		return adapterPlace{}, a.fail("find bus", drivers.Unsupported, err)
	}
	device := path.Dir(bus)
	driver, err := follow(root, device, "driver")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return adapterPlace{}, a.fail("find bus", drivers.Unsupported, ErrNotPlatform)
	case err != nil:
		return adapterPlace{}, a.fail("find bus", drivers.Unsupported, err)
	case path.Dir(driver) != "sys/bus/platform/drivers":
		return adapterPlace{}, a.fail("find bus", drivers.Unsupported, fmt.Errorf("%w: its driver is %s", ErrNotPlatform, driver))
	}
	for _, dir := range [...]string{device, bus} {
		if other, err := otherBus(root, dir, adapter); err != nil || other != "" {
			return adapterPlace{}, a.fail("find bus", drivers.Foreign, errors.Join(fmt.Errorf("%w: %s goes with it", ErrInUse, other), err))
		}
	}
	return adapterPlace{device: path.Base(device), driver: driver}, nil
}

// follow reads a link of sysfs, which are all relative.
func follow(root *os.Root, dir, name string) (string, error) {
	target, err := root.Readlink(path.Join(dir, name))
	if err != nil {
		return "", err
	}
	return path.Join(dir, target), nil
}

// otherBus finds another adapter in a directory of sysfs.
func otherBus(root *os.Root, dir, adapter string) (string, error) {
	entries, err := fs.ReadDir(root.FS(), dir)
	i := slices.IndexFunc(entries, func(e fs.DirEntry) bool {
		_, is := busNumber(e.Name())
		return is && e.Name() != adapter
	})
	if i < 0 {
		return "", err
	}
	return entries[i].Name(), err
}

// tell writes a device's name to a file of its driver.
func tell(root *os.Root, driver, file, device string) error {
	f, err := root.OpenFile(path.Join(driver, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(device)
	return errors.Join(err, f.Close())
}

func (a *AdapterReset) fail(op string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: a.name, Fault: f, Err: cause}
}
