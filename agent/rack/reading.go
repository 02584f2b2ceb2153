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
	// Of sensors; Index counts the inputs of one part from 1.
	HumidityPct Quantity = "rh_pct"       // relative humidity
	DewC        Quantity = "dew_c"        // dew point of the air there
	AirHPa      Quantity = "air_hpa"      // pressure of the air
	DCVolts     Quantity = "dc_u_v"       // direct voltage of a rail
	DCAmps      Quantity = "dc_i_a"       // direct current of a rail; negative: it flows back
	DCWatts     Quantity = "dc_p_w"       // power of a rail
	DCWh        Quantity = "dc_e_wh"      // energy of a rail since its epoch
	ACVolts     Quantity = "ac_u_v"       // rms voltage of a phase
	ACAmps      Quantity = "ac_i_a"       // rms current of a phase, or of the neutral conductor
	ACWatts     Quantity = "ac_p_w"       // active power of a phase
	ACVA        Quantity = "ac_s_va"      // apparent power of a phase
	ACHz        Quantity = "ac_f_hz"      // line frequency
	ACWh        Quantity = "ac_e_wh"      // active energy of a phase since its epoch
	InVolts     Quantity = "in_u_v"       // voltage at the input of a power supply, which may be AC or DC
	InAmps      Quantity = "in_i_a"       // current at the input of a power supply
	InWatts     Quantity = "in_p_w"       // power at the input of a power supply
	FanRPM      Quantity = "fan_rpm"      // speed of a fan; 0: it stands
	FlowLPM     Quantity = "flow_lpm"     // flow of a liquid
	PressureBar Quantity = "pressure_bar" // pressure of a liquid
	LevelPct    Quantity = "level_pct"    // how full something is
	RuntimeS    Quantity = "run_s"        // how many seconds a battery lasts at its load
	InputV      Quantity = "adc_v"        // voltage at an analogue input
	Leak        Quantity = "leak"         // 1 water, 0 dry; a sensor that cannot tell has no value
	Contact     Quantity = "contact"      // 1 a contact says what it is there for: pressed, on battery
	FaultFlag   Quantity = "fault"        // 1 the part reports a fault of its own
	// Of miners, as their firmware says it; none of it is a proof. Index is 1, but for temperatures: the hottest chip, the
	// hottest place on a board.
	HashTHs     Quantity = "hash_ths"      // TH/s of now, over the shortest window there is
	HashMeanTHs Quantity = "hash_mean_ths" // TH/s since the mining process began: stays high through a sleep
	HashPlanTHs Quantity = "hash_plan_ths" // TH/s that it means to reach as it is set
	ToldW       Quantity = "told_w"        // W that it says that it draws, measured or estimated
	LimitW      Quantity = "limit_w"       // W that it is told to keep to
	Hashing     Quantity = "hashing"       // 1 it hashes
	AsleepFlag  Quantity = "asleep"        // 1 it is told to sleep
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

// Meaning says what a number of a point is, beyond its unit. The zero Meaning says nothing.
type Meaning struct {
	Current  Current // of electrical quantities
	Power    Power   // of powers and energies
	ClassPct float64 // error class of the part as its maker states it, in percent; 0: not known
	Label    string  // what hangs there, in the configuration's words
}

// Current is the kind of current.
type Current string

// The kinds of current.
const (
	AC Current = "ac"
	DC Current = "dc"
)

// Power is the kind of power.
type Power string

// The kinds of power: active is what does work (true power), apparent is volts times amperes.
const (
	Active   Power = "active"
	Apparent Power = "apparent"
)

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
