package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/hwmon"
)

// kernelBus is the name under which poll reads what kernel drivers measure: their files share no wires with our buses as
// far as we can tell, and one slow part must not hold up a bus. No bus of the configuration can have it, as names have
// no capitals.
const kernelBus = "Linux"

// mostKernel is the highest number of a channel that is looked for, arbitrary.
const mostKernel = 64

func kernelParts() []sensorPart {
	return []sensorPart{{name: "hwmon", conf: config.Part{
		Kind: config.PartKernel, Needs: []string{"chip", "inputs"}, Inputs: mostKernel, InputKeys: []string{"measure"},
	}}}
}

// openKernel makes a part of a device that a kernel driver owns. Which of its channels are read stands in the
// configuration, so that the points are known while the device is not there.
func openKernel(o Opts, c config.Sensor) (part, error) {
	sysfs := o.Sysfs
	if sysfs == nil {
		sysfs = nowhere{}
	}
	d, err := hwmon.New(sysfs, hwmon.Opts{Name: c.Name, Chip: c.Chip, Device: c.Device})
	if err != nil {
		return part{}, err
	}
	values := func(found []hwmon.Channel) []value {
		var out []value
		for _, in := range c.Inputs {
			out = append(out, kernelValue(in, found))
		}
		return out
	}
	return part{
		shape: values(nil), identify: d.Identify,
		read: func(ctx context.Context) ([]value, error) {
			found, err := d.Sense(ctx)
			if err != nil {
				return nil, err
			}
			return values(found), nil
		},
	}, nil
}

// kernelKinds maps the configuration's words to the kernel's channels and to what they are on the wire. The parts that
// have such drivers measure direct current.
func kernelKinds() map[string]struct {
	kind    hwmon.Kind
	q       rack.Quantity
	meaning rack.Meaning
	rng     poll.Range
} {
	type row = struct {
		kind    hwmon.Kind
		q       rack.Quantity
		meaning rack.Meaning
		rng     poll.Range
	}
	return map[string]row{
		"temp":  {hwmon.TempC, rack.TempC, rack.Meaning{}, poll.Range{Min: -64, Max: 200}},
		"volts": {hwmon.Volts, rack.DCVolts, rack.Meaning{Current: rack.DC}, poll.Range{Min: -100, Max: 1000}},
		"amps":  {hwmon.Amps, rack.DCAmps, rack.Meaning{Current: rack.DC}, poll.Range{}},
		"watts": {hwmon.Watts, rack.DCWatts, rack.Meaning{Current: rack.DC, Power: rack.Active}, poll.Range{}},
		"rpm":   {hwmon.RPM, rack.FanRPM, rack.Meaning{}, poll.Range{Min: 0, Max: 40_000}},
	}
}

func kernelValue(in config.Input, found []hwmon.Channel) value {
	k := kernelKinds()[in.Measure]
	// The kernel counts each kind on its own (Documentation/hwmon/sysfs-interface): of a supply in2 may be what its output
	// gives and curr2, power2 what another does, so in2 * curr2 is no judge of power2.
	v := value{q: k.q, i: kernelPosition(in), fault: drivers.Unsupported, meaning: k.meaning, rng: k.rng, alone: true}
	v.meaning.Label = in.Label
	for _, ch := range found {
		if ch.Kind == k.kind && ch.N == in.Input {
			v.v, v.raw, v.fault = ch.Value, uint32(ch.Raw), ch.Fault
		}
	}
	return v
}

// kernelPosition is the place of a channel among those of its quantity. They count from 1, the kernel's voltages from 0.
func kernelPosition(in config.Input) int {
	if in.Measure == "volts" {
		return in.Input + 1
	}
	return in.Input
}

// nowhere is a tree without files, for a machine that has none.
type nowhere struct{}

func (nowhere) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: there is no /sys here", errors.ErrUnsupported)}
}
