package rack

import (
	"fmt"
	"time"
)

// Quantity names what a reading measures; its unit is part of the name.
type Quantity string

// Quantities of a PDU. Index counts outlets from 1; those of a supply count PDU.Supplies, Control relay banks, TempC
// sensors, all from 1.
const (
	PowerW    Quantity = "p_w"      // active power of an outlet
	ApparentV Quantity = "s_va"     // apparent power of an outlet
	CurrentA  Quantity = "i_a"      // rms current of an outlet
	EnergyWh  Quantity = "e_wh"     // energy of an outlet since its epoch
	VoltageV  Quantity = "u_v"      // rms voltage as the outlet's meter sees it
	FrequHz   Quantity = "f_hz"     // line frequency as the outlet's meter sees it
	Relay     Quantity = "relay"    // 1 the latch and the contact's model say closed, 0 open
	Control   Quantity = "ctl"      // 1 the relay bank's direction says outputs, 0 it reads inputs (out of control)
	TempC     Quantity = "temp_c"   // temperature
	SupplyW   Quantity = "sup_p_w"  // active power of a supply bank, all its outlets together
	SupplyVA  Quantity = "sup_s_va" // apparent power of a supply bank
	SupplyA   Quantity = "sup_i_a"  // rms current of a supply bank
	SupplyV   Quantity = "sup_u_v"  // rms voltage of a supply bank
	SupplyHz  Quantity = "sup_f_hz" // line frequency of a supply bank
	SupplyWh  Quantity = "sup_e_wh" // energy of a supply bank since its epoch
	// Identified is 1 while the board says the serial that the configuration names.
	Identified Quantity = "ident"
)

// Quality says whether a value may be used.
type Quality string

// The qualities (S7).
const (
	QualityOK      Quality = "ok"
	QualitySuspect Quality = "suspect" // one error since; value is the last good one
	QualityStale   Quality = "stale"   // no good sample for 3 periods
	QualityAbsent  Quality = "absent"  // the device is gone
	QualityBad     Quality = "bad"     // read, but not a measurement: reason says why
)

// Point is one value a device offers.
type Point struct {
	Device   string
	Quantity Quantity
	Index    int
}

// String writes "pdu-a.p_w.3".
func (p Point) String() string { return fmt.Sprintf("%s.%s.%d", p.Device, p.Quantity, p.Index) }

// OutletPoint is the point of one quantity of one outlet.
func OutletPoint(o OutletID, q Quantity) Point { return Point{Device: o.PDU, Quantity: q, Index: o.N} }

// Reading is one value with everything that is needed to trust it or not.
// Value means nothing unless At is set; with a Quality other than ok it is the last good value.
type Reading struct {
	Point   Point
	Value   float64
	Raw     uint32    // code as the chip gave it, to see whether a meter is frozen
	At      time.Time // when the value was measured (monotonic); zero: never
	Quality Quality
	Reason  string // stable short word when Quality is not ok: a drivers.Fault, or a plausibility rule
}

// Fresh tells whether the value is good and younger than max.
func (r Reading) Fresh(now time.Time, limit time.Duration) bool {
	return r.Quality == QualityOK && !r.At.IsZero() && now.Sub(r.At) <= limit
}
