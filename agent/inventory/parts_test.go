package inventory

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// expectation is a simulated part and what must come out of it on the wire's units.
type expectation struct {
	conf config.Sensor
	chip func() drivertest.Chip
	want map[string]float64 // quantity.index
	// first are values that move on: those of the first reading, and of the first one after a brown-out.
	first map[string]float64
}

func steadyAt(v float64) drivertest.Quantity { return drivertest.Constant(v) }

func shunt(a float64) drivertest.INA226Opts {
	return drivertest.INA226Opts{Amps: steadyAt(a), Volts: steadyAt(12), ShuntOhm: 0.001}
}

func pm() drivertest.PMBusOpts { return drivertest.PMBusOpts{Addr: 0x10} }

// parts holds one line for every part the configuration may name: a part without a line fails the test.
func parts() map[string]expectation {
	load := drivertest.ConstantLoad(48, 20)
	return map[string]expectation{
		"tmp75":   {chip: func() drivertest.Chip { return drivertest.NewTMP75(steadyAt(31.25), nil) }, want: map[string]float64{"temp_c.1": 31.25}},
		"tmp105":  {chip: func() drivertest.Chip { return drivertest.NewTMP75(steadyAt(-12.5), nil) }, want: map[string]float64{"temp_c.1": -12.5}},
		"lm75":    {chip: func() drivertest.Chip { return drivertest.NewLM75(drivertest.LM75Opts{Celsius: 40.5}) }, want: map[string]float64{"temp_c.1": 40.5}},
		"mcp9808": {chip: func() drivertest.Chip { return drivertest.NewMCP9808(steadyAt(36.75), nil) }, want: map[string]float64{"temp_c.1": 36.75}},
		"tmp421":  {chip: func() drivertest.Chip { return drivertest.NewTMP421(nil, 30, 60) }, want: map[string]float64{"temp_c.1": 30, "temp_c.2": 60}},
		"tmp422":  {chip: func() drivertest.Chip { return drivertest.NewTMP422(nil, 30, 60, 61) }, want: map[string]float64{"temp_c.1": 30, "temp_c.2": 60, "temp_c.3": 61}},
		"tmp423":  {chip: func() drivertest.Chip { return drivertest.NewTMP423(nil, 30, 60, 61, 62) }, want: map[string]float64{"temp_c.4": 62}},
		"emc1412": {chip: func() drivertest.Chip { return drivertest.NewEMC1412(nil, 30, 60) }, want: map[string]float64{"temp_c.1": 30, "temp_c.2": 60}},
		"emc1413": {chip: func() drivertest.Chip { return drivertest.NewEMC1413(nil, 30, 60, 61) }, want: map[string]float64{"temp_c.3": 61}},
		"emc1414": {chip: func() drivertest.Chip { return drivertest.NewEMC1414(nil, 30, 60, 61, 62) }, want: map[string]float64{"temp_c.4": 62}},
		"sht3x":   {chip: func() drivertest.Chip { c := drivertest.NewSHT3x(7, nil); c.SetAir(25, 40); return c }, want: map[string]float64{"temp_c.1": 25, "rh_pct.1": 40, "dew_c.1": 10.5}},
		"sht4x":   {chip: func() drivertest.Chip { c := drivertest.NewSHT4x(7, nil); c.SetAir(25, 40); return c }, want: map[string]float64{"temp_c.1": 25, "rh_pct.1": 40, "dew_c.1": 10.5}},
		"bme280": {chip: func() drivertest.Chip {
			c := drivertest.NewBME280(drivertest.BME280Opts{})
			c.SetAir(25, 100_000, 40)
			return c
		}, want: map[string]float64{"temp_c.1": 25, "rh_pct.1": 40, "air_hpa.1": 1000}},
		"ina226": {conf: config.Sensor{ShuntOhm: 0.001, MaxA: 50}, chip: func() drivertest.Chip { return drivertest.NewINA226(shunt(20)) }, want: map[string]float64{"dc_u_v.1": 12, "dc_i_a.1": 20, "dc_p_w.1": 240}},
		"ina228": counts(ina228s(drivertest.NewINA228)),
		"ina237": ina228s(drivertest.NewINA237),
		"ina238": ina228s(drivertest.NewINA238),
		"ina3221": {conf: config.Sensor{Inputs: []config.Input{{Input: 2, Label: "5v", ShuntOhm: 0.01}}}, chip: func() drivertest.Chip {
			return drivertest.NewINA3221([3]drivertest.INA3221Channel{1: {Amps: steadyAt(2), Volts: steadyAt(5), ShuntOhm: 0.01}}, nil)
		}, want: map[string]float64{"dc_u_v.2": 5, "dc_i_a.2": 2, "dc_p_w.2": 10}},
		"ade7880": {conf: config.Sensor{FullScaleV: 350, FullScaleA: 80, Hertz: 50, Address: 0x38}, chip: func() drivertest.Chip {
			l := drivertest.PhaseFlow{VoltsRMS: 230, AmpsRMS: 10, Watts: 2300, VA: 2300, Hertz: 50}
			return drivertest.NewADE7880(drivertest.ADE7880Opts{Line: drivertest.SteadyPhases{Phase: [3]drivertest.PhaseFlow{l, l, l}}, FullVolts: 350, FullAmps: 80})
		}, want: map[string]float64{"ac_u_v.1": 230, "ac_i_a.2": 10, "ac_p_w.3": 2300, "ac_f_hz.1": 50}, first: map[string]float64{"ac_e_wh.1": 0, "ac_e_wh.2": 0, "ac_e_wh.3": 0}},
		"ads1115": {conf: config.Sensor{Inputs: []config.Input{
			{Input: 1, Label: "supply", Measure: "flow_lpm", BurdenOhm: 150, High: 60}, {Input: 2, Measure: "volts"}, {Input: 3, Measure: "leak", RefV: 3.3},
		}}, chip: func() drivertest.Chip {
			c := drivertest.NewADS1115(drivertest.ADS1115Opts{})
			c.SetInput(0, steadyAt(1.8)) // 12 mA
			c.SetInput(1, steadyAt(2.5))
			c.SetInput(2, steadyAt(1.65)) // the end resistor alone
			return c
		}, want: map[string]float64{"flow_lpm.1": 30, "adc_v.2": 2.5, "leak.3": 0}},
		"emc2301": fans(1),
		"emc2302": fans(2),
		"emc2303": fans(3),
		"emc2305": fans(5),
		"max31790": {chip: func() drivertest.Chip {
			c := drivertest.NewMAX31790(drivertest.MAX31790Opts{Fan: turning})
			c.Load(0x07, 0x08) // the board's set-up: tach input of fan 6 on
			return c
		}, want: map[string]float64{"fan_rpm.6": 3000}},
		"max31785": {chip: func() drivertest.Chip {
			return drivertest.NewMAX31785(drivertest.MAX31785Opts{PMBusOpts: pm(), MaxRPM: [6]float64{6000, 6000}})
		}, want: map[string]float64{"fault.1": 0}},
		"adm1272": {conf: config.Sensor{ShuntOhm: 0.0005, RangeV: 100, RangeMV: 30}, chip: func() drivertest.Chip {
			return drivertest.NewADM1272(drivertest.ADM1272Opts{PMBusOpts: pm(), RsMilliohm: 0.5, Load: load})
		}, want: map[string]float64{"dc_u_v.1": 48, "dc_i_a.1": 20, "dc_p_w.1": 960, "temp_c.1": 25, "fault.1": 0}, first: map[string]float64{"dc_e_wh.1": 0}},
		"adm1278": {conf: config.Sensor{ShuntOhm: 0.0005}, chip: func() drivertest.Chip {
			return drivertest.NewADM1278(drivertest.ADM1272Opts{PMBusOpts: pm(), RsMilliohm: 0.5, Load: drivertest.ConstantLoad(12, 30)})
		}, want: map[string]float64{"dc_u_v.1": 12, "dc_i_a.1": 30, "dc_p_w.1": 360}, first: map[string]float64{"dc_e_wh.1": 0}},
		"ltc4286": {conf: config.Sensor{ShuntOhm: 0.0003}, chip: func() drivertest.Chip {
			return drivertest.NewLTC4286(drivertest.LTC4286Opts{PMBusOpts: pm(), RsMicroohm: 300, Load: load})
		}, want: map[string]float64{"dc_u_v.1": 48, "dc_i_a.1": 20}},
		"lm5066i": {conf: config.Sensor{ShuntOhm: 0.0005, RangeMV: 50}, chip: func() drivertest.Chip {
			return drivertest.NewLM5066I(drivertest.LM5066Opts{PMBusOpts: pm(), RsMilliohm: 0.5, Load: load})
		}, want: map[string]float64{"dc_u_v.1": 48}},
		"max34451": {conf: config.Sensor{Inputs: []config.Input{{Input: 1, Label: "12v"}}}, chip: func() drivertest.Chip {
			c := drivertest.NewMAX34451(drivertest.MAX34451Opts{PMBusOpts: pm()})
			c.SetChannel(0, 12.034)
			return c
		}, want: map[string]float64{"dc_u_v.1": 12.034}},
		"psu": {conf: config.Sensor{Profile: "crps"}, chip: func() drivertest.Chip {
			return drivertest.NewCRPS(drivertest.CRPSOpts{Load: drivertest.ConstantLoad(230, 50)})
		}, want: map[string]float64{"in_u_v.1": 230, "dc_i_a.1": 50}},
	}
}

// elsewhere are parts that a test of their own covers, with the reason.
func elsewhere() map[string]string {
	return map[string]string{
		"adm1275": "the part samples nothing at power-on and is set up by its board",
		"ltc4287": "as the ltc4286", "lm5066": "as the lm5066i",
		"leak-float": "lines_test.go", "contact-line": "lines_test.go", "ups": "ups_test.go", "flow-pulse": "lines_test.go", "hwmon": "kernel_test.go",
	}
}

func ina228s(open func(drivertest.INA228Opts) *drivertest.INA228) expectation {
	return expectation{
		conf: config.Sensor{ShuntOhm: 0.0005, MaxA: 100},
		chip: func() drivertest.Chip {
			return open(drivertest.INA228Opts{Amps: steadyAt(20), Volts: steadyAt(48), Celsius: steadyAt(40), ShuntOhm: 0.0005})
		},
		want: map[string]float64{"dc_u_v.1": 48, "dc_i_a.1": 20, "dc_p_w.1": 960},
	}
}

// counts is an expectation of a part that counts energy.
func counts(e expectation) expectation {
	e.first = map[string]float64{"dc_e_wh.1": 0}
	return e
}

func turning(int, float64, time.Time) float64 { return 3000 }

func fans(n int) expectation {
	return expectation{
		chip: func() drivertest.Chip { return drivertest.NewEMC2305(drivertest.EMC2305Opts{Fans: n, Fan: turning}) },
		want: map[string]float64{fmt.Sprintf("fan_rpm.%d", n): 3000},
	}
}

func TestEveryPartGivesItsNumbers(t *testing.T) {
	table, other := parts(), elsewhere()
	for _, p := range allParts() {
		e, ok := table[p.name]
		if _, told := other[p.name]; ok == told {
			t.Errorf("%s: exactly one test must cover it", p.name)
			continue
		}
		if !ok {
			continue
		}
		for _, via := range []string{"", "mux-a.2"} {
			t.Run(p.name+via, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { readPart(t, p, e, via) })
			})
		}
	}
}

// placed puts a part on a bus, or behind a mux.
func placed(t *testing.T, p sensorPart, e expectation, via string, o drivertest.BusOpts) (poll.Device, *drivertest.Bus, func()) {
	t.Helper()
	bus := drivertest.NewBus("sim", o)
	d, done := on(t, bus, p, e, e.chip(), via)
	return d, bus, done
}

// on puts a chip on a bus and makes the device that reads it.
func on(t *testing.T, bus *drivertest.Bus, p sensorPart, e expectation, chip drivertest.Chip, via string) (poll.Device, func()) {
	t.Helper()
	c := e.conf
	c.Name, c.Part, c.PeriodS = "probe", p.name, 1
	if c.Address == 0 {
		c.Address = p.conf.Addresses[0]
	}
	if len(p.conf.Addresses) == 2 && p.conf.Addresses[0] == 0x08 { // by straps
		c.Address = 0x10
		if p.name == "psu" {
			c.Address = 0x58
		}
	}
	mux := drivertest.NewPCA9548()
	conf := &config.Config{Sensors: []config.Sensor{c}}
	if via == "" {
		bus.Attach("probe", uint16(c.Address), chip)
		conf.Sensors[0].Bus = "main"
	} else {
		conf.Muxes = []config.Mux{{Name: "mux-a", Part: "pca9548", Bus: "main", Address: 0x70}}
		conf.Sensors[0].Via = via
		bus.Attach("mux", 0x70, mux)
		mux.Channel(2).Attach("probe", uint16(c.Address), chip)
	}
	owner := i2cbus.New(bus, i2cbus.Opts{})
	inv, err := Build(Opts{Config: conf, Buses: map[string]Bus{"main": {Poll: owner.Poll(), Act: owner.Act()}}})
	if err != nil {
		t.Fatal(err)
	}
	return inv.Devices[0], func() { _ = owner.Close() }
}

// readPart polls a part as the agent does.
func readPart(t *testing.T, p sensorPart, e expectation, via string) {
	bus := drivertest.NewBus("sim", drivertest.BusOpts{BitRate: 400_000})
	chip := e.chip()
	d, done := on(t, bus, p, e, chip, via)
	defer done()
	got := polled(t, d)
	for point, want := range together(e.want, e.first) {
		r, ok := got[point]
		if !ok || r.Quality == rack.QualityBad || math.Abs(r.Value-want) > 0.02*math.Abs(want)+0.07 {
			t.Errorf("%s = %v (%s %s), want %v; points %v", point, r.Value, r.Quality, r.Reason, want, slices.Sorted(maps.Keys(got)))
		}
	}
	for _, point := range d.Points {
		if electrical := strings.Contains(string(point.Quantity), "_u_v") || strings.Contains(string(point.Quantity), "_p_w") || isEnergy(point.Point); electrical && point.Quantity != rack.InVolts && point.Quantity != rack.InWatts && point.Meaning.Current == "" {
			t.Errorf("%s does not say whether it is AC or DC", point.Point)
		}
		if (strings.HasSuffix(string(point.Quantity), "_p_w") || isEnergy(point.Point)) && point.Meaning.Power == "" {
			t.Errorf("%s does not say which power it is", point.Point)
		}
	}
	if p.name == "max31790" {
		return // its set-up is the board's, and a brown-out takes it away
	}
	chip.Reset() // a brown-out is noticed, or changes no number
	got = polled(t, d)
	for point, want := range together(e.want, e.first) {
		if r := got[point]; math.Abs(r.Value-want) > 0.02*math.Abs(want)+0.07 {
			t.Errorf("after a brown-out %s = %v, want %v", point, r.Value, want)
		}
	}
}

func together(a, b map[string]float64) map[string]float64 {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// polled identifies and reads a device until it gives values.
func polled(t *testing.T, d poll.Device) map[string]rack.Reading {
	t.Helper()
	var last error
	for range 8 {
		time.Sleep(time.Second)
		if d.Identify != nil && (last == nil || errors.Is(last, drivers.Restarted) || errors.Is(last, drivers.NotRead)) {
			if _, last = d.Identify(t.Context()); last != nil {
				continue
			}
		}
		rs, err := d.Read(t.Context())
		if last = err; err != nil {
			continue
		}
		out := make(map[string]rack.Reading)
		for _, r := range rs {
			out[fmt.Sprintf("%s.%d", r.Point.Quantity, r.Point.Index)] = r
		}
		if len(rs) != len(d.Points) {
			t.Fatalf("%d readings for %d points", len(rs), len(d.Points))
		}
		return out
	}
	t.Fatalf("no reading: %v", last)
	return nil
}
