package inventory

import (
	"fmt"
	"slices"

	"periph.io/x/conn/v3/physic"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/air"
	"rackagent/drivers/chip/ade7880"
	"rackagent/drivers/chip/ads1115"
	"rackagent/drivers/chip/bme280"
	"rackagent/drivers/chip/emc1413"
	"rackagent/drivers/chip/emc2305"
	"rackagent/drivers/chip/ina226"
	"rackagent/drivers/chip/ina228"
	"rackagent/drivers/chip/ina3221"
	"rackagent/drivers/chip/lm75"
	"rackagent/drivers/chip/max31790"
	"rackagent/drivers/chip/mcp9808"
	"rackagent/drivers/chip/sht3x"
	"rackagent/drivers/chip/sht4x"
	"rackagent/drivers/chip/tmp421"
	"rackagent/drivers/chip/tmp75"
	"rackagent/drivers/i2cbus"
)

// sensorPart is a kind of part that the configuration may name: what an entry about it may say, and how its driver is
// made. This table names every driver of a sensor; a new one is a new row.
type sensorPart struct {
	name string
	conf config.Part
	open func(bus i2cbus.Conn, c config.Sensor) (part, error)
	slow bool // its Sense waits between transfers and must leave the bus to others meanwhile
}

// between is a run of addresses.
func between(first, last config.Address) []config.Address { return []config.Address{first, last} }

// strapped are the addresses of parts that resistors place anywhere.
func strapped() []config.Address { return between(0x08, 0x77) }

func i2cPart(addresses []config.Address, keys ...string) config.Part {
	return config.Part{Addresses: addresses, Keys: keys, Needs: keys}
}

func sensorParts() []sensorPart {
	return []sensorPart{
		{name: "tmp75", conf: i2cPart(between(0x48, 0x4f)), open: openTMP75},
		{name: "tmp105", conf: i2cPart(between(0x48, 0x4f)), open: openTMP75},
		{name: "lm75", conf: i2cPart(between(0x48, 0x4f)), open: openLM75},
		{name: "mcp9808", conf: i2cPart(between(0x18, 0x1f)), open: openMCP9808},
		{name: "tmp421", conf: i2cPart(tmp421Addresses()), open: openTMP421(1)},
		{name: "tmp422", conf: i2cPart(tmp421Addresses()), open: openTMP421(2)},
		{name: "tmp423", conf: i2cPart(tmp421Addresses()), open: openTMP421(3)},
		{name: "emc1412", conf: i2cPart(strapped()), open: openEMC1413(1)},
		{name: "emc1413", conf: i2cPart(strapped()), open: openEMC1413(2)},
		{name: "emc1414", conf: i2cPart(strapped()), open: openEMC1413(3)},
		{name: "sht3x", conf: i2cPart(between(0x44, 0x45)), open: openSHT3x, slow: true},
		{name: "sht4x", conf: i2cPart(between(0x44, 0x46)), open: openSHT4x, slow: true},
		{name: "ina226", conf: i2cPart(between(0x40, 0x4f), "shunt_ohm", "max_a"), open: openINA226},
		{name: "ina228", conf: i2cPart(between(0x40, 0x4f), "shunt_ohm", "max_a"), open: openINA228(ina228.INA228, 0.05)},
		{name: "ina237", conf: i2cPart(between(0x40, 0x4f), "shunt_ohm", "max_a"), open: openINA228(ina228.INA237, 0.3)},
		{name: "ina238", conf: i2cPart(between(0x40, 0x4f), "shunt_ohm", "max_a"), open: openINA228(ina228.INA238, 0.1)},
		{name: "ina3221", conf: config.Part{Addresses: between(0x40, 0x43), Needs: []string{"inputs"}, Inputs: ina3221.Channels, InputKeys: []string{"shunt_ohm"}}, open: openINA3221},
		{name: "ads1115", conf: config.Part{Addresses: between(0x48, 0x4b), Needs: []string{"inputs"}, Inputs: 4, InputKeys: []string{"measure"}}, open: openADS1115, slow: true},
		{name: "emc2301", conf: i2cPart(fanAddresses()), open: openEMC2305(emc2305.EMC2301, 1)},
		{name: "emc2302", conf: i2cPart(fanAddresses()), open: openEMC2305(emc2305.EMC2302, 2)},
		{name: "emc2303", conf: i2cPart(fanAddresses()), open: openEMC2305(emc2305.EMC2303, 3)},
		{name: "emc2305", conf: i2cPart(fanAddresses()), open: openEMC2305(emc2305.EMC2305, 5)},
		{name: "bme280", conf: i2cPart(between(0x76, 0x77)), open: openBME280, slow: true},
		{name: "ade7880", conf: i2cPart(between(ade7880.Address, ade7880.Address), "full_scale_v", "full_scale_a", "hertz"), open: openADE7880},
		{name: "max31790", conf: i2cPart(between(0x20, 0x2f)), open: openMAX31790},
	}
}

func tmp421Addresses() []config.Address {
	return []config.Address{0x1c, 0x1f, 0x2a, 0x2a, 0x4c, 0x4f}
}

func fanAddresses() []config.Address { return []config.Address{0x2c, 0x2f, 0x4c, 0x4d} }

func allParts() []sensorPart {
	return slices.Concat(sensorParts(), pmbusParts(), lineParts(), kernelParts(), netParts())
}

func findPart(name string) (sensorPart, bool) {
	all := allParts()
	i := slices.IndexFunc(all, func(p sensorPart) bool { return p.name == name })
	if i < 0 {
		return sensorPart{}, false
	}
	return all[i], true
}

// Error classes are the makers' figures for the range the part is used in; see the drivers for the sources.

func openTMP75(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := tmp75.New(bus, tmp75.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m tmp75.Measurement) []value {
		return []value{celsius(rack.TempC, 1, m.Temperature, uint32(m.Raw), drivers.None, -40, 125)}
	}).setUp(d.Configure, tmp75.Conversion), nil
}

func openLM75(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := lm75.New(bus, lm75.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m lm75.Measurement) []value {
		return []value{celsius(rack.TempC, 1, m.Temperature, uint32(m.Raw), drivers.None, -55, 125)}
	}), nil
}

func openMCP9808(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := mcp9808.New(bus, mcp9808.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m mcp9808.Measurement) []value {
		return []value{celsius(rack.TempC, 1, m.Temperature, uint32(m.Raw), drivers.None, -40, 125)}
	}), nil
}

func openTMP421(remotes int) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := tmp421.New(bus, tmp421.Opts{Name: c.Name, Addr: uint16(c.Address), Remotes: remotes})
		if err != nil {
			return part{}, err
		}
		return of(d, func(m tmp421.Measurement) []value {
			out := []value{celsius(rack.TempC, 1, m.Local.Temperature, uint32(m.Local.Raw), m.Local.Fault, -55, 127)}
			for i := range remotes {
				var r tmp421.Channel
				if i < len(m.Remote) {
					r = m.Remote[i]
				}
				out = append(out, celsius(rack.TempC, i+2, r.Temperature, uint32(r.Raw), r.Fault, -55, 150))
			}
			return out
		}).setUp(d.Configure, tmp421.Conversion), nil
	}
}

func openEMC1413(remotes int) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := emc1413.New(bus, emc1413.Opts{Name: c.Name, Addr: uint16(c.Address), Remotes: remotes})
		if err != nil {
			return part{}, err
		}
		return of(d, func(m emc1413.Measurement) []value {
			out := []value{celsius(rack.TempC, 1, m.Local.Temperature, uint32(m.Local.Raw), m.Local.Fault, -64, 191)}
			for i := range remotes {
				var r emc1413.Channel
				if i < len(m.Remote) {
					r = m.Remote[i]
				}
				out = append(out, celsius(rack.TempC, i+2, r.Temperature, uint32(r.Raw), r.Fault, -64, 191))
			}
			return out
		}), nil
	}
}

func openSHT3x(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := sht3x.New(bus, sht3x.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m sht3x.Measurement) []value {
		return airValues(m.Temperature, m.Humidity, uint32(m.RawTemperature), uint32(m.RawHumidity))
	}), nil
}

func openSHT4x(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := sht4x.New(bus, sht4x.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m sht4x.Measurement) []value {
		return airValues(m.Temperature, m.Humidity, uint32(m.RawTemperature), uint32(m.RawHumidity))
	}), nil
}

// airValues are temperature, humidity and dew point of one place.
func airValues(t physic.Temperature, rh physic.RelativeHumidity, rawT, rawRH uint32) []value {
	dew, ok := air.DewPoint(t, rh)
	f := drivers.None
	if !ok {
		f = drivers.Implausible
	}
	return []value{celsius(rack.TempC, 1, t, rawT, drivers.None, -45, 130), humidity(1, rh, rawRH), celsius(rack.DewC, 1, dew, rawRH, f, -80, 100)}
}

// rail is what a monitor of one rail of direct current gives.
func rail(i int, u physic.ElectricPotential, a physic.ElectricCurrent, p physic.Power, rawU, rawA uint32, f, fI drivers.Fault, classPct, mostV float64) []value {
	m := rack.Meaning{Current: rack.DC, ClassPct: classPct}
	mp := m
	mp.Power = rack.Active
	if f != drivers.None {
		fI = f
	}
	return []value{volts(rack.DCVolts, i, u, rawU, f, m, 0, mostV), amps(rack.DCAmps, i, a, rawA, fI, m), watts(rack.DCWatts, i, p, rawA, fI, mp)}
}

func openINA226(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := ina226.New(bus, ina226.Opts{Name: c.Name, Addr: uint16(c.Address), ShuntOhm: c.ShuntOhm, MaxA: c.MaxA})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m ina226.Measurement) []value {
		return rail(1, m.Voltage, m.Current, m.Power, uint32(m.Raw.Bus), uint32(m.Raw.Shunt), drivers.None, m.CurrentFault, 0.1, 36)
	}).setUp(d.Configure, ina226.Conversion), nil
}

func openINA228(kind ina228.Part, classPct float64) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := ina228.New(bus, ina228.Opts{Name: c.Name, Part: kind, Addr: uint16(c.Address), ShuntOhm: c.ShuntOhm, MaxA: c.MaxA})
		if err != nil {
			return part{}, err
		}
		return metered(d, func(m ina228.Measurement) []value {
			out := rail(1, m.Voltage, m.Current, m.Power, m.Raw.VBUS, m.Raw.VSHUNT, drivers.None, m.CurrentFault, classPct, 85)
			return append(out, celsius(rack.TempC, 1, m.Temperature, uint32(m.Raw.DIETEMP), drivers.None, -40, 150))
		}, railTotals(d, kind, c)...).setUp(d.Configure, ina228.Conversion), nil
	}
}

func openINA3221(bus i2cbus.Conn, c config.Sensor) (part, error) {
	o := ina3221.Opts{Name: c.Name, Addr: uint16(c.Address)}
	for _, in := range c.Inputs {
		if in.Input < 1 || in.Input > ina3221.Channels {
			return part{}, fmt.Errorf("an ina3221 has no input %d", in.Input)
		}
		o.ShuntOhm[in.Input-1] = in.ShuntOhm
	}
	d, err := ina3221.New(bus, o)
	if err != nil {
		return part{}, err
	}
	return of(d, func(m ina3221.Measurement) []value {
		var out []value
		for _, in := range c.Inputs {
			ch := m.Channels[in.Input-1]
			out = append(out, rail(in.Input, ch.Voltage, ch.Current, ch.Power, uint32(ch.Raw.Bus), uint32(ch.Raw.Shunt), ch.Fault, ch.CurrentFault, 0.25, 26)...)
		}
		return out
	}).setUp(d.Configure, ina3221.Conversion).labelled(c.Inputs), nil
}

func openEMC2305(kind emc2305.Part, fans int) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := emc2305.New(bus, emc2305.Opts{Name: c.Name, Addr: uint16(c.Address), Part: kind})
		if err != nil {
			return part{}, err
		}
		return of(d, func(m emc2305.Measurement) []value {
			var out []value
			for i := range fans {
				f := emc2305.Fan{N: i + 1}
				if i < len(m.Fans) {
					f = m.Fans[i]
				}
				out = append(out, rpm(f.N, f.RPM, uint32(f.Raw), f.Fault), faultFlag(f.N, f.Stalled || f.SpinUpFailed || f.DriveFailed, f.Fault))
			}
			return out
		}), nil
	}
}

func openMAX31790(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := max31790.New(bus, max31790.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m max31790.Measurement) []value {
		var out []value
		for i := range max31790.Channels {
			f := max31790.Fan{N: i + 1}
			if i < len(m.Fans) {
				f = m.Fans[i]
			}
			out = append(out, rpm(f.N, f.RPM, uint32(f.Raw), f.Fault), faultFlag(f.N, f.Failed, drivers.None))
		}
		return out
	}), nil
}

func openBME280(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := bme280.New(bus, bme280.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m bme280.Measurement) []value {
		hpa := value{
			q: rack.AirHPa, i: 1, v: float64(m.Pressure) / float64(physic.Pascal) / 100, raw: m.RawPressure,
			rng: poll.Range{Min: 300, Max: 1100}, // BST-BME280-DS002, operating range
		}
		return append(airValues(m.Temperature, m.Humidity, m.RawTemperature, uint32(m.RawHumidity)), hpa)
	}).setUp(d.Configure, 0), nil
}

// openADE7880 is the meter of a rack's three-phase inlet. Its error class is that of its active energy, 0.1 % (data sheet).
func openADE7880(bus i2cbus.Conn, c config.Sensor) (part, error) {
	phase := ade7880.Phase{
		FullScaleV: physic.ElectricPotential(c.FullScaleV * float64(physic.Volt)),
		FullScaleI: physic.ElectricCurrent(c.FullScaleA * float64(physic.Ampere)),
	}
	d, err := ade7880.New(bus, ade7880.Opts{Name: c.Name, A: phase, B: phase, C: phase, Gain: 1, Hertz: c.Hertz})
	if err != nil {
		return part{}, err
	}
	return metered(d, func(m ade7880.Measurement) []value {
		var out []value
		for i, l := range []ade7880.Line{m.A, m.B, m.C} {
			out = append(out, phaseValues(i+1, l)...)
		}
		return out
	}, phaseTotals(phase)...).setUp(d.Configure, ade7880.Settling).labelled([]config.Input{{Input: 1, Label: "l1"}, {Input: 2, Label: "l2"}, {Input: 3, Label: "l3"}}), nil
}

func phaseValues(i int, l ade7880.Line) []value {
	m := rack.Meaning{Current: rack.AC, ClassPct: 0.1}
	active, apparent := m, m
	active.Power, apparent.Power = rack.Active, rack.Apparent
	hz := value{q: rack.ACHz, i: i, v: float64(l.Frequency) / float64(physic.Hertz), meaning: rack.Meaning{Current: rack.AC}}
	if l.Frequency == 0 {
		hz.fault = drivers.Implausible // too little voltage to see it cross zero
	}
	return []value{
		volts(rack.ACVolts, i, l.Voltage, 0, drivers.None, m, 0, 300), amps(rack.ACAmps, i, l.Current, 0, drivers.None, m),
		watts(rack.ACWatts, i, l.Power, 0, drivers.None, active), watts(rack.ACVA, i, l.Apparent, 0, drivers.None, apparent), hz,
	}
}

// faultFlag is a fault that the part reports of itself.
func faultFlag(i int, up bool, f drivers.Fault) value {
	v := value{q: rack.FaultFlag, i: i, fault: f}
	if up {
		v.v, v.raw = 1, 1
	}
	v.rng.Max = 1
	return v
}

// analogue is how one input of a converter is read.
type analogue struct {
	conf config.Input
	loop ads1115.Loop
	rope ads1115.Rope
}

// analogueRange is the converter's range for everything that hangs on it: 20 mA through 150 ohm are 3 V, and no rope is
// supplied with more than 3.3 V or the range would not hold it.
const analogueRange = ads1115.FSR4096

func openADS1115(bus i2cbus.Conn, c config.Sensor) (part, error) {
	o := ads1115.Opts{Name: c.Name, Addr: uint16(c.Address)}
	var inputs []analogue
	for _, in := range c.Inputs {
		a, err := newAnalogue(in)
		if err != nil {
			return part{}, fmt.Errorf("input %d: %w", in.Input, err)
		}
		inputs = append(inputs, a)
		o.Channels = append(o.Channels, ads1115.Channel{Input: ads1115.AIN0 + ads1115.Input(in.Input-1), Range: analogueRange, Rate: ads1115.SPS128})
	}
	d, err := ads1115.New(bus, o)
	if err != nil {
		return part{}, err
	}
	return of(d, func(m ads1115.Measurement) []value {
		var out []value
		for i, a := range inputs {
			s := ads1115.Sample{Fault: drivers.NotRead}
			if i < len(m.Channels) {
				s = m.Channels[i]
			}
			out = append(out, a.value(s))
		}
		return out
	}).labelled(c.Inputs), nil
}

func newAnalogue(in config.Input) (a analogue, err error) {
	a.conf = in
	switch in.Measure {
	case "volts":
	case "leak":
		a.rope, err = ads1115.NewRope(ads1115.EqualResistors())
	default:
		a.loop, err = ads1115.NewLoop(ads1115.LoopOpts{
			Shunt: physic.ElectricResistance(in.BurdenOhm * float64(physic.Ohm)), Range: analogueRange, Lo: in.Low, Hi: in.High,
		})
	}
	return a, err
}

// value turns a sample into what hangs on the input. A loop or a rope that is broken has no value: it is neither no flow
// nor dry.
func (a analogue) value(s ads1115.Sample) value {
	v := value{i: a.conf.Input, raw: uint32(uint16(s.Raw))}
	switch a.conf.Measure {
	case "volts":
		return volts(rack.InputV, a.conf.Input, s.Voltage, v.raw, s.Fault, rack.Meaning{Current: rack.DC}, -5, 5)
	case "leak":
		r := a.rope.Read(s, physic.ElectricPotential(a.conf.RefV*float64(physic.Volt)))
		v.q, v.fault, v.rng.Max = rack.Leak, r.Fault, 1
		if r.Wet() {
			v.v = 1
		}
		if r.State == ads1115.RopeShort { // wet and a fault at once: the alarm goes first
			v.fault = drivers.None
		}
		return v
	default:
		r := a.loop.Read(s)
		v.q, v.fault = rack.Quantity(a.conf.Measure), r.Fault
		v.v, _ = r.Value()
		v.rng.Min, v.rng.Max = a.conf.Low, a.conf.High
		return v
	}
}
