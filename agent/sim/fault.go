package sim

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// FaultKind names something that can be made to go wrong in a world.
type FaultKind string

// The faults.
const (
	FaultWelded    FaultKind = "welded"    // outlet: its contact does not open any more
	FaultStuckOpen FaultKind = "stuckopen" // outlet: its contact opens and does not close any more
	FaultCrossed   FaultKind = "crossed"   // two outlets: each one's relay switches the other
	FaultNack      FaultKind = "nack"      // device: its address is not acknowledged
	FaultFrozen    FaultKind = "frozen"    // meter: its codes do not move
	FaultZero      FaultKind = "zero"      // meter: it sees nothing
	FaultRestart   FaultKind = "restart"   // meter: it falls to its reset values, once; a slot's output is on then
	FaultBrownout  FaultKind = "brownout"  // board or one expander: expanders fall to their power-on values, once
	FaultForget    FaultKind = "forget"    // board or one switch: switches forget their channels, once
	FaultSerial    FaultKind = "serial"    // board and serial number: another board's inventory memory
	FaultHang      FaultKind = "hang"      // bus: transfers do not return
	FaultStuck     FaultKind = "stuck"     // bus: a line is held low
	FaultFeedLost  FaultKind = "feedlost"  // feed: no voltage
)

// Fault is one fault with what it strikes. Exactly the fields its kind needs are set, so equal faults are equal
// values.
type Fault struct {
	Kind   FaultKind
	Outlet rack.OutletID // welded, stuckopen, crossed
	Other  rack.OutletID // crossed
	Name   string        // device, board, bus or feed of the others; a part is called as on the bus: pdu-a.bank.2
	Serial string        // serial
}

// shape says what stands behind the equals sign.
type shape string

const (
	shapeOutlet shape = "PDU.N"
	shapePair   shape = "PDU.N:PDU.N"
	shapeDevice shape = "PDU.DEVICE"
	shapeMeter  shape = "PDU.meter.N"
	shapeBanks  shape = "PDU or PDU.bank.N"
	shapeMuxes  shape = "PDU or PDU.mux.N"
	shapeSerial shape = "PDU:SERIAL"
	shapeBus    shape = "BUS"
	shapeFeed   shape = "FEED"
)

// kind is all there is to know about a FaultKind.
type kind struct {
	shape shape
	apply func(*World, Fault) (*drivertest.Injection, error)
	heal  func(*World, Fault) // nil: it is over as soon as it has happened
}

var kinds = map[FaultKind]kind{
	FaultWelded: {
		shapeOutlet,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.weld(f.Outlet, true); return nil, nil },
		func(w *World, f Fault) { w.weld(f.Outlet, false) },
	},
	FaultStuckOpen: {
		shapeOutlet,
		func(w *World, f Fault) (*drivertest.Injection, error) {
			w.breakOff(f.Outlet, true)
			return nil, nil
		},
		func(w *World, f Fault) { w.breakOff(f.Outlet, false) },
	},
	FaultCrossed: {
		shapePair,
		func(w *World, f Fault) (*drivertest.Injection, error) {
			w.rack.cross(f.Outlet, f.Other)
			return nil, nil
		},
		func(w *World, f Fault) { w.rack.cross(f.Outlet, f.Other) },
	},
	FaultNack: {
		shapeDevice,
		func(w *World, f Fault) (*drivertest.Injection, error) {
			return w.onBus(w.where[f.Name], drivertest.Fault{Kind: drivertest.FaultNackAddress, Chip: f.Name})
		},
		(*World).release,
	},
	FaultFrozen: {
		shapeMeter,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.meter(f.Name).Freeze(true); return nil, nil },
		func(w *World, f Fault) { w.meter(f.Name).Freeze(false) },
	},
	FaultZero: {
		shapeMeter,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.meter(f.Name).SetScale(0); return nil, nil },
		func(w *World, f Fault) { w.meter(f.Name).SetScale(1) },
	},
	FaultRestart: {
		shapeMeter,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.meter(f.Name).Reset(); return nil, nil },
		nil,
	},
	FaultBrownout: {
		shapeBanks,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.reset(f.Name, expanders); return nil, nil },
		nil,
	},
	FaultForget: {
		shapeMuxes,
		func(w *World, f Fault) (*drivertest.Injection, error) { w.reset(f.Name, switches); return nil, nil },
		nil,
	},
	FaultSerial: {
		shapeSerial,
		func(w *World, f Fault) (*drivertest.Injection, error) { return nil, w.renumber(f.Name, f.Serial) },
		func(w *World, f Fault) { _ = w.renumber(f.Name, w.boards[f.Name].Serial) }, // it fitted when the board was built
	},
	FaultHang: {
		shapeBus,
		func(w *World, f Fault) (*drivertest.Injection, error) {
			return w.onBus(f.Name, drivertest.Fault{Kind: drivertest.FaultHangHard})
		},
		(*World).release,
	},
	FaultStuck: {
		shapeBus,
		func(w *World, f Fault) (*drivertest.Injection, error) {
			return w.onBus(f.Name, drivertest.Fault{Kind: drivertest.FaultStuck})
		},
		(*World).release,
	},
	FaultFeedLost: {
		shapeFeed,
		func(w *World, f Fault) (*drivertest.Injection, error) { return nil, w.SetFeed(f.Name, false) },
		func(w *World, f Fault) { _ = w.SetFeed(f.Name, true) }, // it was there when the fault was injected
	},
}

// kindNames lists the kinds with what stands behind them.
func kindNames() string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, string(k)+"="+string(kinds[k].shape))
	}
	return strings.Join(out, ", ")
}

// String writes the fault as ParseFault reads it.
func (f Fault) String() string {
	switch kinds[f.Kind].shape {
	case shapeOutlet:
		return fmt.Sprintf("%s=%s", f.Kind, f.Outlet)
	case shapePair:
		return fmt.Sprintf("%s=%s:%s", f.Kind, f.Outlet, f.Other)
	case shapeSerial:
		return fmt.Sprintf("%s=%s:%s", f.Kind, f.Name, f.Serial)
	default:
		return fmt.Sprintf("%s=%s", f.Kind, f.Name)
	}
}

var (
	deviceForm = regexp.MustCompile(`^[a-z0-9-]{1,23}(\.[a-z]+)(\.[1-9][0-9]?)?$`)
	bankForm   = regexp.MustCompile(`^[a-z0-9-]{1,23}(\.bank(\.[1-9][0-9]?)?)?$`)
	muxForm    = regexp.MustCompile(`^[a-z0-9-]{1,23}(\.mux(\.[1-9][0-9]?)?)?$`)
	meterForm  = regexp.MustCompile(`^[a-z0-9-]{1,23}\.meter\.[1-9][0-9]?$`)
	busForm    = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,64}$`)
	serialForm = regexp.MustCompile(`^[A-Za-z0-9._/-]{2,32}$`)
)

// ParseFault reads KIND=WHAT, as a command line gives it. Whether what it names exists is found by World.Inject.
func ParseFault(s string) (Fault, error) {
	name, what, ok := strings.Cut(s, "=")
	k, known := kinds[FaultKind(name)]
	if !ok || !known {
		return Fault{}, fmt.Errorf("fault %q: want one of %s", s, kindNames())
	}
	f := Fault{Kind: FaultKind(name)}
	if err := f.fill(k.shape, what); err != nil {
		return Fault{}, fmt.Errorf("fault %q: want %s=%s: %w", s, name, k.shape, err)
	}
	return f, nil
}

// fill sets the fields that the shape needs.
func (f *Fault) fill(sh shape, what string) (err error) {
	switch sh {
	case shapeOutlet:
		f.Outlet, err = rack.ParseOutletID(what)
		return err
	case shapePair:
		a, b, _ := strings.Cut(what, ":")
		if f.Outlet, err = rack.ParseOutletID(a); err != nil {
			return err
		}
		if f.Other, err = rack.ParseOutletID(b); err != nil {
			return err
		}
		if f.Outlet == f.Other {
			return fmt.Errorf("%s cannot be crossed with itself", f.Outlet)
		}
		return nil
	case shapeSerial:
		f.Name, f.Serial, _ = strings.Cut(what, ":")
		if !serialForm.MatchString(f.Serial) {
			return fmt.Errorf("%q is not a serial number of 2 to 32 letters, digits and . _ / -", f.Serial)
		}
		return named(rack.ValidName, f.Name)
	case shapeDevice:
		f.Name = what
		return named(deviceForm.MatchString, what)
	case shapeMeter:
		f.Name = what
		return named(meterForm.MatchString, what)
	case shapeBanks:
		f.Name = what
		return named(bankForm.MatchString, what)
	case shapeMuxes:
		f.Name = what
		return named(muxForm.MatchString, what)
	case shapeBus:
		f.Name = what
		return named(busForm.MatchString, what)
	default: // a feed
		f.Name = what
		return named(rack.ValidName, what)
	}
}

func named(valid func(string) bool, name string) error {
	if !valid(name) {
		return fmt.Errorf("%q is not such a name", name)
	}
	return nil
}
