package sim

import (
	"fmt"
	"math"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Board describes a PDU board: its outlets, the parts that switch them, the parts that measure them, sensors and an
// inventory memory.
type Board struct {
	Name         string
	Bus          string
	Serial       string
	Manufacturer string
	Product      string
	Part         string

	Outlets  []Socket // outlet N is at N-1
	Muxes    []uint16 // addresses of the switches, PCA9548, on the upstream segment
	Relays   []RelayPart
	Meters   []MeterPart
	Supplies []Supply
	Temps    []uint16 // addresses of the temperature sensors, TMP75, on the upstream segment
	FRUAddr  uint16

	// SpareOutputs makes the expanders' pins without a relay outputs too, where the banks begin under control.
	SpareOutputs bool
	Celsius      float64 // where the sensors' readings wander around
}

// Socket is one outlet with what switches and measures it.
type Socket struct {
	Bank  string // supply bank: its outlets hang on one feed
	Feed  string
	Meter int // place in Board.Meters, counted from 0; Unmetered
	Input int // of that meter: 0 is A, 1 is B

	Relays  int // place in Board.Relays, counted from 0
	Bit     int // of that part; a high level gives the coil current
	Contact ContactKind
	// Slot is an outlet whose meter, a hot-swap controller, is its switch; it has no relay.
	Slot bool
}

// Unmetered is the Meter of an outlet that has none of its own.
const Unmetered = -1

// Supply is a supply bank with one meter for all its outlets.
type Supply struct {
	Bank  string
	Meter int // place in Board.Meters, counted from 0
	Input int
}

// RelayPart is a part that drives relays. It sits on the upstream segment.
type RelayPart struct {
	Kind string // "tca9555" or "pca9554a"
	Addr uint16
}

// MeterPart is a metering part. What it sees sits before the relays.
type MeterPart struct {
	Kind    string // "ade7953", "mcp39f521" or "adm1272"
	Addr    uint16
	Mux     int // place in Board.Muxes; means nothing with Upstream
	Channel int // of that mux; Upstream

	Divider  float64 // ade7953: mains volts per volt at its pins
	ShuntOhm float64 // of every current input; a mcp39f521 comes calibrated and needs none
}

// Upstream is the Channel of a part before all switches.
const Upstream = -1

// Kinds of parts.
const (
	partTCA9555  = "tca9555"
	partPCA9554A = "pca9554a"
	partADE7953  = "ade7953"
	partMCP39F5  = "mcp39f521"
	partADM1272  = "adm1272"
)

// adeAddr is fixed in the ADE7953.
const adeAddr = 0x38

// pins is how many relays a part can drive; 0 for a part that is not known.
func (p RelayPart) pins() int {
	switch p.Kind {
	case partTCA9555:
		return 16
	case partPCA9554A:
		return 8
	default:
		return 0
	}
}

// inputs is how many currents a part measures; 0 for a part that is not known.
func (p MeterPart) inputs() int {
	switch p.Kind {
	case partADE7953:
		return 2
	case partMCP39F5, partADM1272:
		return 1
	default:
		return 0
	}
}

// outlet is the name of the outlet with index i, from 0.
func (b *Board) outlet(i int) rack.OutletID { return rack.OutletID{PDU: b.Name, N: i + 1} }

// part is what the bus calls the i-th of n equal parts: they are numbered where there are several.
func (b *Board) part(kind string, i, n int) string {
	if n == 1 {
		return b.Name + "." + kind
	}
	return b.numbered(kind, i)
}

// numbered is what the bus calls parts that always have a number; people count from 1.
func (b *Board) numbered(kind string, i int) string {
	return fmt.Sprintf("%s.%s.%d", b.Name, kind, i+1)
}

// on lists the outlets, by index, that an input of a meter sees.
func (b *Board) on(meter, input int) []int {
	var out []int
	for i, s := range b.Outlets {
		if s.Meter == meter && s.Input == input {
			out = append(out, i)
		}
	}
	for _, s := range b.Supplies {
		if s.Meter != meter || s.Input != input {
			continue
		}
		for i, o := range b.Outlets {
			if o.Bank == s.Bank {
				out = append(out, i)
			}
		}
	}
	return out
}

// feedOf is the feed that a meter sees and lives on; empty for a meter without outlets.
func (b *Board) feedOf(meter int) string {
	for input := range b.Meters[meter].inputs() {
		if on := b.on(meter, input); len(on) > 0 {
			return b.Outlets[on[0]].Feed
		}
	}
	return ""
}

// closedLatch is the latch of a relay part that closes all contacts: ones for the contacts a coil closes, and for pins
// without relay.
func (b *Board) closedLatch(part int) uint16 {
	latch := ^uint16(0)
	for _, s := range b.Outlets {
		if !s.Slot && s.Relays == part && s.Contact == NormallyClosed {
			latch &^= 1 << s.Bit
		}
	}
	return latch
}

// direction is the direction register of a relay part under control: relay pins are outputs.
func (b *Board) direction(part int) uint16 {
	if b.SpareOutputs {
		return 0
	}
	direction := ^uint16(0)
	for _, s := range b.Outlets {
		if !s.Slot && s.Relays == part {
			direction &^= 1 << s.Bit
		}
	}
	return direction
}

// image is the contents of the inventory memory with a serial number.
func (b *Board) image(serial string) ([]byte, error) {
	return drivertest.FRU{
		Manufacturer: b.Manufacturer, Product: b.Product, Serial: serial, Part: b.Part,
		Made: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
	}.Image()
}

// celsius wanders by half a degree in ten minutes: arbitrary.
func (b *Board) celsius(r *Rack, sensor int) func(time.Time) float64 {
	noise := r.seed.Stream(4000 + uint64(len(r.order)))
	if sensor > 0 {
		noise = noise.Stream(uint64(sensor))
	}
	return func(at time.Time) float64 {
		phase := float64(at.Unix()%600) / 600 * 2 * math.Pi
		return b.Celsius + 0.5*math.Sin(phase) + 0.06*noise.At(at.UnixNano()/int64(time.Second))
	}
}
