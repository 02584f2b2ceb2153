package config

import (
	"fmt"
	"time"
)

// Address is a 7-bit I2C address, written 0x48.
type Address uint16

// String writes 0x48.
func (a Address) String() string { return fmt.Sprintf("0x%02x", uint16(a)) }

// Mux is an I2C switch that the agent operates itself. One that the kernel operates is not written here: each of its
// channels is a bus.
type Mux struct {
	Name    string  `yaml:"name"`
	Part    string  `yaml:"part"`
	Bus     string  `yaml:"bus,omitempty"` // exactly one of Bus and Via
	Via     string  `yaml:"via,omitempty"` // MUX.N: behind channel N, counted from 0, of another mux
	Address Address `yaml:"address"`
}

// Sensor is one part that is read: temperatures, humidity, rails, fans, loops, supplies, lines. Which keys beyond the
// first five an entry takes depends on the part.
type Sensor struct {
	Name    string  `yaml:"name"`
	Part    string  `yaml:"part"`
	Bus     string  `yaml:"bus,omitempty"` // of parts on I2C: exactly one of Bus and Via
	Via     string  `yaml:"via,omitempty"`
	Address Address `yaml:"address,omitempty"`
	PeriodS float64 `yaml:"period_s"`

	ShuntOhm   float64 `yaml:"shunt_ohm,omitempty"`
	MaxA       float64 `yaml:"max_a,omitempty"`
	RangeV     int     `yaml:"range_v,omitempty"`
	RangeMV    int     `yaml:"range_mv,omitempty"`
	FullScaleV float64 `yaml:"full_scale_v,omitempty"`
	FullScaleA float64 `yaml:"full_scale_a,omitempty"`
	Hertz      int     `yaml:"hertz,omitempty"`
	Profile    string  `yaml:"profile,omitempty"` // of a power supply
	Chip       string  `yaml:"chip,omitempty"`    // of the kernel: the name of its hwmon device
	Device     string  `yaml:"device,omitempty"`  // of the kernel: the device behind it, such as 1-0048
	Line       string  `yaml:"line,omitempty"`    // GPIO line, by name or as /dev/gpiochip0:17
	Active     string  `yaml:"active,omitempty"`  // level that means yes: high or low
	PerPulse   float64 `yaml:"litres_per_pulse,omitempty"`
	Host       string  `yaml:"host,omitempty"` // of a server on the network, without a port
	UPS        string  `yaml:"ups,omitempty"`  // as that server calls it
	Inputs     []Input `yaml:"inputs,omitempty"`
}

// Period is PeriodS as a duration.
func (s Sensor) Period() time.Duration { return seconds(s.PeriodS) }

// Input is one input of a part that has several.
type Input struct {
	Input    int     `yaml:"input"` // counted from 1; the kernel's voltages from 0
	Label    string  `yaml:"label,omitempty"`
	ShuntOhm float64 `yaml:"shunt_ohm,omitempty"`
	// Measure says what hangs on an analogue input ("volts", "leak", or a quantity behind a 4-20 mA loop), or which of
	// the kernel's channels is meant ("temp", "volts", "amps", "watts", "rpm").
	Measure   string  `yaml:"measure,omitempty"`
	BurdenOhm float64 `yaml:"burden_ohm,omitempty"`
	Low       float64 `yaml:"low,omitempty"`  // value at 4 mA
	High      float64 `yaml:"high,omitempty"` // value at 20 mA
	RefV      float64 `yaml:"ref_v,omitempty"`
}

// Part is what an entry about a part may say. Whoever holds the drivers supplies it.
type Part struct {
	Kind      PartKind
	Addresses []Address // of parts on I2C: pairs of first and last
	Keys      []string  // that it takes beyond those of all parts of its kind
	Needs     []string  // of these, what it cannot do without
	Inputs    int       // inputs it has; 0: it takes no list of them
	InputKeys []string  // that an input takes beyond input and label
}

// PartKind says how a part is reached.
type PartKind uint8

// The kinds of parts.
const (
	PartI2C    PartKind = iota
	PartKernel          // by the kernel's hwmon
	PartLine            // a GPIO line
	PartNet             // a server on the network
)

// Catalogue answers what a configuration cannot know of itself. The zero Catalogue leaves the rules about models and
// parts out.
type Catalogue struct {
	// Model tells how many outlets a PDU model has and what its banks are called.
	Model func(model string) (outlets int, banks []string, ok bool)
	// Part tells what a sensor may be.
	Part func(part string) (Part, bool)
	// Parts names the sensors' parts, for hints.
	Parts []string
	// Muxes maps the parts that switch buses to how many channels they have.
	Muxes map[string]int
	// Miners names the interfaces that miners may be spoken to by.
	Miners []string
}
