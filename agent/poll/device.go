package poll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// Point is one value that a device delivers, with the rules by which it is judged.
type Point struct {
	rack.Point
	Range  Range  // zero: that of the quantity (DefaultRange)
	Frozen Frozen // zero: a standing code means nothing
	// MaxStep is how far the value can move in a second; 0: not judged. It suits what has inertia, such as temperatures;
	// a load steps as it likes.
	MaxStep float64

	Meaning rack.Meaning
	// Alone says that others of the same position need not be of the same load: it is not compared with them.
	Alone bool
}

// Device is whatever is read as a whole: one metering chip, one relay bank, one sensor. All functions are
// called from the goroutine of its bus only, never two at once on one bus. They must return soon after their
// context ends; until they do, this bus stands still and the others go on.
type Device struct {
	Name    string // unique; "pdu-a/meter-1"
	Bus     string
	Period  time.Duration
	Timeout time.Duration // of one call; 0: DefaultTimeout
	Points  []Point

	// Identify asks the part what it is and sets it up. It runs before the first Read, and again after an
	// absence or a restart of the part. nil: the part cannot be identified.
	Identify func(ctx context.Context) (drivers.Ident, error)
	// Expect tells whether that is the part that the configuration names; an error counts as WrongDevice.
	// nil: any part will do.
	Expect func(drivers.Ident) error
	// Read gives exactly one reading for each point, or an error and nothing. At is not looked at: poll
	// stamps all readings with the moment before Read was called. That is never later than the beginning of
	// the measurement, so a sample whose At is after a write was begun after that write. Quality may be left
	// empty for ok; one that the driver sets (with its reason) is never improved.
	Read func(ctx context.Context) ([]rack.Reading, error)
}

// DefaultTimeout is longer than the 1 s that i2c-core gives an adapter whose driver sets nothing else (Linux,
// drivers/i2c/i2c-core-base.c), so that the adapter's own ETIMEDOUT arrives first and with its errno.
const DefaultTimeout = 1500 * time.Millisecond

// Errors of New. They name the device.
var (
	ErrDevice    = errors.New("incomplete device")
	ErrDuplicate = errors.New("named twice")
)

func (d *Device) check() error {
	switch {
	case d.Name == "" || d.Bus == "":
		return fmt.Errorf("device %q on bus %q: %w: no name or no bus", d.Name, d.Bus, ErrDevice)
	case d.Period <= 0:
		return fmt.Errorf("device %s: %w: period %s", d.Name, ErrDevice, d.Period)
	case d.Timeout < 0:
		return fmt.Errorf("device %s: %w: timeout %s", d.Name, ErrDevice, d.Timeout)
	case d.Read == nil || len(d.Points) == 0:
		return fmt.Errorf("device %s: %w: nothing to read", d.Name, ErrDevice)
	case d.Expect != nil && d.Identify == nil:
		return fmt.Errorf("device %s: %w: an identity is expected of a part that has none", d.Name, ErrDevice)
	}
	for _, p := range d.Points {
		if p.MaxStep < 0 {
			return fmt.Errorf("device %s: %w: %s: at most %v per second", d.Name, ErrDevice, p.Point, p.MaxStep)
		}
		if p.Range.Min > p.Range.Max {
			return fmt.Errorf("device %s: %w: %s: range %v to %v", d.Name, ErrDevice, p.Point, p.Range.Min, p.Range.Max)
		}
	}
	return nil
}

// whole puts a device's answer into the order of its points. An answer that lacks a point, or has one too
// many, is no answer: half a device would pass old values off as new ones.
func (d *Device) whole(got []rack.Reading) ([]rack.Reading, error) {
	if len(got) != len(d.Points) {
		return nil, d.corrupt(fmt.Errorf("%d readings for %d points", len(got), len(d.Points)))
	}
	byPoint := make(map[rack.Point]rack.Reading, len(got))
	for _, r := range got {
		byPoint[r.Point] = r
	}
	out := make([]rack.Reading, len(d.Points))
	for i, p := range d.Points {
		r, ok := byPoint[p.Point]
		if !ok {
			return nil, d.corrupt(fmt.Errorf("no reading for %s", p.Point))
		}
		out[i] = r
	}
	return out, nil
}

func (d *Device) corrupt(why error) error {
	return &drivers.Error{Op: "read", Device: d.Name, Fault: drivers.Corrupt, Err: why}
}
