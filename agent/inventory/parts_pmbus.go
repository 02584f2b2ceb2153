package inventory

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/chip/lm5066"
	"rackagent/drivers/chip/ltc4286"
	"rackagent/drivers/chip/max31785"
	"rackagent/drivers/chip/max34451"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pmbus"
	"rackagent/drivers/psu"
)

// pmbusParts are the parts that speak PMBus. All are only read here: a hot-swap part that switches an outlet belongs to
// a PDU model.
func pmbusParts() []sensorPart {
	return []sensorPart{
		{name: "adm1272", conf: config.Part{Addresses: strapped(), Keys: []string{"shunt_ohm", "range_v", "range_mv"}, Needs: []string{"shunt_ohm"}}, open: openADM1272(adm1272.ADM1272, 100)},
		{name: "adm1275", conf: i2cPart(strapped(), "shunt_ohm"), open: openADM1272(adm1272.ADM1275, 20)},
		{name: "adm1278", conf: i2cPart(strapped(), "shunt_ohm"), open: openADM1272(adm1272.ADM1278, 20)},
		{name: "ltc4286", conf: i2cPart(strapped(), "shunt_ohm"), open: openLTC4286(ltc4286.LTC4286)},
		{name: "ltc4287", conf: i2cPart(strapped(), "shunt_ohm"), open: openLTC4286(ltc4286.LTC4287)},
		{name: "lm5066", conf: config.Part{Addresses: strapped(), Keys: []string{"shunt_ohm", "range_mv"}, Needs: []string{"shunt_ohm"}}, open: openLM5066(lm5066.LM5066)},
		{name: "lm5066i", conf: config.Part{Addresses: strapped(), Keys: []string{"shunt_ohm", "range_mv"}, Needs: []string{"shunt_ohm"}}, open: openLM5066(lm5066.LM5066I)},
		{name: "max34451", conf: config.Part{Addresses: strapped(), Needs: []string{"inputs"}, Inputs: max34451.Channels}, open: openMAX34451, slow: true},
		{name: "max31785", conf: i2cPart(strapped()), open: openMAX31785, slow: true},
		{name: "psu", conf: i2cPart(strapped(), "profile"), open: openPSU, slow: true},
	}
}

// The numbers of a PMBus part. One that the part does not give has no value, with the reason.

func faultOf[T any](r *pmbus.Reading[T]) (pmbus.Reading[T], drivers.Fault) {
	if r == nil {
		return pmbus.Reading[T]{}, drivers.Unsupported
	}
	return *r, r.Fault
}

func pmVolts(q rack.Quantity, i int, r *pmbus.Voltage, m rack.Meaning, most float64) value {
	x, f := faultOf(r)
	return volts(q, i, x.Value, uint32(x.Raw), f, m, 0, most)
}

func pmAmps(q rack.Quantity, i int, r *pmbus.Current, m rack.Meaning) value {
	x, f := faultOf(r)
	return amps(q, i, x.Value, uint32(x.Raw), f, m)
}

func pmWatts(q rack.Quantity, i int, r *pmbus.Power, m rack.Meaning) value {
	x, f := faultOf(r)
	m.Power = rack.Active
	return watts(q, i, x.Value, uint32(x.Raw), f, m)
}

func pmCelsius(i int, r *pmbus.Temperature) value {
	x, f := faultOf(r)
	return celsius(rack.TempC, i, x.Value, uint32(x.Raw), f, -55, 200)
}

// troubled are the bits of STATUS_WORD that say that something is wrong, as against busy, off and not good. They stay
// until somebody clears them, which the agent never does: clearing faults makes some supplies glitch.
const troubled = ^(pmbus.StatusBusy | pmbus.StatusOff | pmbus.StatusPowerNotGood)

func pmFault(s pmbus.StatusWord) value {
	v := faultFlag(1, s&troubled != 0, drivers.None)
	v.raw = uint32(s)
	return v
}

// dcMeaning is that of a rail of direct current. No part here states one error class for all its ranges.
func dcMeaning() rack.Meaning { return rack.Meaning{Current: rack.DC} }

// hotSwapSettling is how long the averages of a hot-swap part need after it was set up, arbitrary.
const hotSwapSettling = 500 * time.Millisecond

func openADM1272(kind adm1272.Part, most float64) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := adm1272.New(bus, adm1272.Opts{Name: c.Name, Addr: uint16(c.Address), Part: kind, ShuntOhm: c.ShuntOhm, VoltageRange: c.RangeV, CurrentRange: c.RangeMV})
		if err != nil {
			return part{}, err
		}
		p := metered(d, func(m adm1272.Measurement) []value {
			return []value{
				pmVolts(rack.DCVolts, 1, m.VIN, dcMeaning(), most), pmVolts(rack.DCVolts, 2, m.VOUT, dcMeaning(), most),
				pmAmps(rack.DCAmps, 1, m.IOUT, dcMeaning()), pmWatts(rack.DCWatts, 1, m.PIN, dcMeaning()),
				pmCelsius(1, m.Temperature), pmFault(m.Status),
			}
		}, hotSwapTotals(d, kind)...).setUp(d.Configure, hotSwapSettling).named("in", "out")
		p.always = true // it is known to have lost its supply by a setting that is not its default
		return p, nil
	}
}

func openLTC4286(kind ltc4286.Part) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		d, err := ltc4286.New(bus, ltc4286.Opts{Name: c.Name, Addr: uint16(c.Address), Part: kind, ShuntOhm: c.ShuntOhm})
		if err != nil {
			return part{}, err
		}
		return of(d, func(m ltc4286.Measurement) []value {
			return []value{
				pmVolts(rack.DCVolts, 1, m.VIN, dcMeaning(), 105), pmVolts(rack.DCVolts, 2, m.VOUT, dcMeaning(), 105),
				pmAmps(rack.DCAmps, 1, m.IOUT, dcMeaning()), pmWatts(rack.DCWatts, 1, m.PIN, dcMeaning()),
				pmCelsius(1, m.Temperature), pmFault(m.Status),
			}
		}).named("in", "out"), nil
	}
}

func openLM5066(kind lm5066.Part) func(i2cbus.Conn, config.Sensor) (part, error) {
	return func(bus i2cbus.Conn, c config.Sensor) (part, error) {
		// The part does not show its CL pin: the board's range stands in the configuration.
		pin := map[int]lm5066.CL{26: lm5066.CLToVDD, 50: lm5066.CLToGND}[c.RangeMV]
		d, err := lm5066.New(bus, lm5066.Opts{Name: c.Name, Addr: uint16(c.Address), Part: kind, ShuntOhm: c.ShuntOhm, CL: pin})
		if err != nil {
			return part{}, err
		}
		return of(d, func(m lm5066.Measurement) []value {
			return []value{
				pmVolts(rack.DCVolts, 1, m.VIN, dcMeaning(), 100), pmVolts(rack.DCVolts, 2, m.VOUT, dcMeaning(), 100),
				pmAmps(rack.DCAmps, 1, m.IIN, dcMeaning()), pmWatts(rack.DCWatts, 1, m.PIN, dcMeaning()),
				pmCelsius(1, m.Temperature), pmFault(m.Status),
			}
		}).named("in", "out"), nil
	}
}

func openMAX34451(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := max34451.New(bus, max34451.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m max34451.Measurement) []value {
		var out []value
		for _, in := range c.Inputs {
			ch := m.Channels[in.Input-1]
			out = append(out, pmVolts(rack.DCVolts, in.Input, ch.Voltage, dcMeaning(), 66), pmAmps(rack.DCAmps, in.Input, ch.Current, dcMeaning()))
		}
		return append(out, pmCelsius(1, m.Internal), pmFault(m.Status))
	}).labelled(c.Inputs), nil
}

func openMAX31785(bus i2cbus.Conn, c config.Sensor) (part, error) {
	d, err := max31785.New(bus, max31785.Opts{Name: c.Name, Addr: uint16(c.Address)})
	if err != nil {
		return part{}, err
	}
	return of(d, func(m max31785.Measurement) []value {
		var out []value
		for i, f := range m.Fans {
			x, fault := faultOf(f.Speed)
			out = append(out, rpm(i+1, int(x.Value), uint32(x.Raw), fault), faultFlag(i+1, f.Status&fanFault != 0, fault))
		}
		return out
	}), nil
}

// fanFault are the bits of STATUS_FANS_1_2 that say that fan 1 fails or warns (PMBus 1.2 part II, 17.10).
const fanFault = 0xa0

func openPSU(bus i2cbus.Conn, c config.Sensor) (part, error) {
	model, err := psu.LoadModel(c.Profile)
	if err != nil {
		return part{}, err
	}
	d, err := psu.New(bus, psu.Opts{Name: c.Name, Addr: uint16(c.Address), Model: model})
	if err != nil {
		return part{}, err
	}
	n := model.Nameplate
	return of(d, func(m psu.Measurement) []value {
		in := rack.Meaning{} // the input of a server's supply may be AC or high-voltage DC
		out := []value{
			pmVolts(rack.InVolts, 1, m.VIN, in, 1.2*n.VinV), pmAmps(rack.InAmps, 1, m.IIN, in), pmWatts(rack.InWatts, 1, m.PIN, in),
			pmVolts(rack.DCVolts, 1, m.VOUT, dcMeaning(), 1.2*n.VoutV), pmAmps(rack.DCAmps, 1, m.IOUT, dcMeaning()), pmWatts(rack.DCWatts, 1, m.POUT, dcMeaning()),
		}
		for i, name := range model.Temperatures {
			t := pmCelsius(i+1, m.Temperatures[i])
			t.meaning.Label = name
			out = append(out, t)
		}
		for i, f := range m.Fans {
			x, fault := faultOf(f)
			out = append(out, rpm(i+1, int(x.Value), uint32(x.Raw), fault))
		}
		return append(out, pmFault(m.Status))
	}), nil
}
