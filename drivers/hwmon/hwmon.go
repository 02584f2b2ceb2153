// Package hwmon reads what a kernel driver measures: the attributes that Linux offers below /sys/class/hwmon
// (Documentation/hwmon/sysfs-interface). A part whose address a kernel driver owns is read this way and not over its bus,
// since two masters of one part make each other's readings wrong: a PMBus part would answer for another PAGE.
//
// Volts, amperes, watts, joules, degrees and revolutions are read; limits, alarms and fan drives are not, and nothing is
// ever written. Numbers of hwmon devices move between boots and when a driver is bound anew, so a part is found by its
// chip's name and its device (lm75 on "1-0048"), and looked at again before each round of reading.
//
// A read of an attribute asks the part, over the kernel's own handle of the bus, and takes as long as that takes; no
// context ends it.
package hwmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"rackagent/drivers"
)

// class is where the kernel lists its hwmon devices, below /sys.
const class = "class/hwmon"

// ErrNoChannels says that a device offers nothing that is read here.
var ErrNoChannels = errors.New("the device offers no readings")

// Opts says which part.
type Opts struct {
	Name   string // for error texts
	Chip   string // what the device's attribute "name" says: the kernel driver's word for the part
	Device string // name of the device below it, such as "1-0048" for address 0x48 of i2c-1; empty: there is one such chip
}

// Dev is one hwmon device.
type Dev struct {
	sysfs fs.FS
	o     Opts
	name  string

	mu       sync.Mutex // guards what follows
	dir      string     // where it was last found
	channels []Channel  // nil: not discovered
}

// Kind is what a channel measures, and the unit of its value.
type Kind string

// The kinds.
const (
	Volts  Kind = "volts"
	Amps   Kind = "amps"
	Watts  Kind = "watts"
	Joules Kind = "joules"
	TempC  Kind = "temp" // degrees Celsius
	RPM    Kind = "rpm"
)

// Channel is one reading.
type Channel struct {
	Kind  Kind
	N     int    // as in the attribute's name: voltages count from 0, the others from 1
	Label string // as the kernel driver names it; may be empty

	Value float64       // in the unit of Kind; means nothing beside a Fault
	Raw   int64         // as the attribute reads
	Fault drivers.Fault // why there is no value; None: there is
}

// New checks the options and reads nothing. sysfs is the tree that Linux mounts at /sys.
func New(sysfs fs.FS, o Opts) (*Dev, error) {
	d := &Dev{sysfs: sysfs, o: o, name: fmt.Sprintf("hwmon %q", o.Name)}
	switch {
	case sysfs == nil:
		return nil, fmt.Errorf("%s: no /sys", d.name)
	case o.Chip == "" || strings.Contains(o.Chip, "/"):
		return nil, fmt.Errorf("%s: chip %q is no name", d.name, o.Chip)
	case strings.Contains(o.Device, "/"):
		return nil, fmt.Errorf("%s: device %q is no name", d.name, o.Device)
	}
	return d, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

// Identify finds the device and its channels. drivers.NoAnswer: it is not there; drivers.Unsupported: there are several,
// or it offers nothing.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Discover(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Part: d.o.Chip}, nil
}

// Discover gives the channels that Sense will give, in that order and without values. They are found once.
func (d *Dev) Discover(ctx context.Context) ([]Channel, error) {
	if ctx.Err() != nil {
		return nil, d.fail("identify", "", drivers.Cancelled, context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.discover(); err != nil {
		return nil, err
	}
	return slices.Clone(d.channels), nil
}

// discover finds the device and, the first time, its channels. mu must be held.
func (d *Dev) discover() error {
	if err := d.find(); err != nil || d.channels != nil {
		return err
	}
	entries, err := fs.ReadDir(d.sysfs, d.dir)
	if err != nil {
		return d.fail("identify", "", faultOf(err), err)
	}
	var found []Channel
	for _, e := range entries {
		kind, n, ok := attribute(e.Name())
		if !ok {
			continue
		}
		c := Channel{Kind: kind, N: n, Fault: drivers.NotRead}
		if label, err := d.read(file(kind, n, "label")); err == nil { // most have none
			c.Label = printable(label)
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return d.fail("identify", "", drivers.Unsupported, ErrNoChannels)
	}
	slices.SortFunc(found, order)
	d.channels = found[:min(len(found), mostChannels)]
	return nil
}

// Sense reads every channel once. Channels fail on their own; it is an error if none could be read.
func (d *Dev) Sense(ctx context.Context) ([]Channel, error) {
	if ctx.Err() != nil {
		return nil, d.fail("read", "", drivers.Cancelled, context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.discover(); err != nil {
		return nil, err
	}
	out := slices.Clone(d.channels)
	var first error
	good := 0
	for i := range out {
		c := &out[i]
		if ctx.Err() != nil {
			return nil, d.fail("read", "", drivers.Cancelled, context.Cause(ctx))
		}
		err := d.sense(c)
		if err == nil {
			good++
			continue
		}
		if c.Fault = drivers.FaultOf(err); first == nil {
			first = err
		}
		if c.Fault == drivers.Timeout { // the next one would cost the bus as much again
			for k := range out[i:] {
				out[i+k].Fault = drivers.Timeout
			}
			break
		}
	}
	if good == 0 {
		return nil, first
	}
	return out, nil
}

// sense reads one channel.
func (d *Dev) sense(c *Channel) error {
	name := file(c.Kind, c.N, "input")
	text, err := d.read(file(c.Kind, c.N, "fault"))
	switch {
	case errors.Is(err, fs.ErrNotExist): // the part does not say
	case err != nil:
		return d.fail("read", file(c.Kind, c.N, "fault"), faultOf(err), err)
	case strings.TrimSpace(text) != "0":
		return d.fail("read", name, drivers.Implausible, errors.New("the part reports a fault of this channel's sensor"))
	}
	text, err = d.read(name)
	if err != nil {
		return d.fail("read", name, faultOf(err), err)
	}
	var fault drivers.Fault
	if c.Value, c.Raw, fault = Parse(c.Kind, text); fault != drivers.None {
		return d.fail("read", name, fault, fmt.Errorf("reads %q", text))
	}
	c.Fault = drivers.None
	return nil
}

// find makes dir the device's directory now.
func (d *Dev) find() error {
	if d.dir != "" && d.is(d.dir) {
		return nil
	}
	d.dir = ""
	entries, err := fs.ReadDir(d.sysfs, class)
	if err != nil {
		return d.fail("find", "", faultOf(err), err)
	}
	var same, fits []string // of the chip; and of the device as well
	var others []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "hwmon") {
			continue
		}
		dir := path.Join(class, e.Name())
		switch {
		case d.is(dir):
			fits = append(fits, dir)
			fallthrough
		case d.chip(dir) == d.o.Chip:
			same = append(same, d.describe(dir))
		default:
			others = append(others, d.describe(dir)+" "+d.chip(dir))
		}
	}
	switch {
	case len(fits) == 1:
		d.dir = fits[0]
		return nil
	case len(fits) > 1:
		return d.fail("find", "", drivers.Unsupported, fmt.Errorf("several devices are %s, name one: %s", d.o.Chip, strings.Join(same, ", ")))
	case len(same) > 0:
		return d.fail("find", "", drivers.NoAnswer, fmt.Errorf("%s on %s not found; there are %s", d.o.Chip, d.o.Device, strings.Join(same, ", ")))
	default:
		return d.fail("find", "", drivers.NoAnswer, fmt.Errorf("%s not found; other devices: %s", d.o.Chip, strings.Join(others, ", ")))
	}
}

// is tells whether the part is at a directory.
func (d *Dev) is(dir string) bool {
	return d.chip(dir) == d.o.Chip && (d.o.Device == "" || d.device(dir) == d.o.Device)
}

// chip is what the device at a directory calls itself; empty: nothing.
func (d *Dev) chip(dir string) string {
	text, err := d.text(path.Join(dir, "name"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// device is the device that one at a directory belongs to; empty: it has none, as those of no bus.
func (d *Dev) device(dir string) string {
	target, err := fs.ReadLink(d.sysfs, path.Join(dir, "device"))
	if err != nil {
		return ""
	}
	return path.Base(target)
}

func (d *Dev) describe(dir string) string {
	on := d.device(dir)
	if on == "" {
		on = "no device"
	}
	return fmt.Sprintf("%s (%s)", path.Base(dir), on)
}

// read reads an attribute of the device.
func (d *Dev) read(name string) (string, error) { return d.text(path.Join(d.dir, name)) }

// text reads a file, up to what any attribute has.
func (d *Dev) text(name string) (string, error) {
	f, err := d.sysfs.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longest))
	return string(b), err
}

func (d *Dev) fail(op, attribute string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: d.name, Reg: attribute, Fault: f, Err: cause}
}

var _ fmt.Stringer = (*Dev)(nil)
