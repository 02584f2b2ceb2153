package i2cbus

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// OwnedBy reads which addresses of a bus have a kernel driver: address to driver name. sysfs is the tree that
// Linux mounts at /sys. The addresses of the buses that this one is a mux channel of are included, as they share
// its wires. The answer holds for now: a driver can be bound later.
//
// Devices that firmware tables describe (ACPI) have names without address and cannot be seen here.
func OwnedBy(sysfs fs.FS, bus int) (map[uint16]string, error) {
	entries, err := fs.ReadDir(sysfs, devices)
	if err != nil {
		return nil, fmt.Errorf("kernel drivers on i2c-%d: %w", bus, err)
	}
	segment, err := upstream(sysfs, bus)
	if err != nil {
		return nil, fmt.Errorf("kernel drivers on i2c-%d: %w", bus, err)
	}
	owned := make(map[uint16]string)
	for _, e := range entries {
		on, addr, ok := clientName(e.Name())
		if !ok || !segment[on] {
			continue
		}
		target, err := fs.ReadLink(sysfs, path.Join(devices, e.Name(), "driver"))
		switch {
		case errors.Is(err, fs.ErrNotExist): // described by the device tree, but no driver has it
		case err != nil:
			return nil, fmt.Errorf("kernel drivers on i2c-%d: %w", bus, err)
		default:
			owned[addr] = path.Base(target)
		}
	}
	return owned, nil
}

// devices is where the kernel lists adapters and the devices on them (Documentation/i2c/i2c-sysfs).
const devices = "bus/i2c/devices"

// upstream gives a bus and those it hangs on: the channel of a mux is, in sysfs, a directory below its parent
// adapter (.../i2c-1/i2c-5).
func upstream(sysfs fs.FS, bus int) (map[int]bool, error) {
	target, err := fs.ReadLink(sysfs, path.Join(devices, fmt.Sprintf("i2c-%d", bus)))
	if err != nil {
		return nil, err
	}
	segment := map[int]bool{bus: true}
	for dir := range strings.SplitSeq(target, "/") {
		if digits, ok := strings.CutPrefix(dir, "i2c-"); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				segment[n] = true
			}
		}
	}
	return segment, nil
}

// clientName reads "1-0048": bus, address. False for adapters, 10-bit addresses (a000 and up), addresses where
// the adapter itself answers (1000 and up), and names without an address.
func clientName(name string) (bus int, addr uint16, ok bool) {
	left, right, found := strings.Cut(name, "-")
	if !found || len(right) != 4 {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(left, 10, 31)
	if err != nil {
		return 0, 0, false
	}
	a, err := strconv.ParseUint(right, 16, 16)
	if err != nil || a > 0x7f {
		return 0, 0, false
	}
	return int(n), uint16(a), true
}
