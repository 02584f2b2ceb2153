package inventory

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
)

// sysWith is a /sys with one hwmon device of a kernel driver.
func sysWith(chip string, files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{"class/hwmon/hwmon3/name": {Data: []byte(chip + "\n")}}
	for name, content := range files {
		tree["class/hwmon/hwmon3/"+name] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	return tree
}

func TestKernelSensor(t *testing.T) {
	conf := config.Sensor{Name: "probe", Part: "hwmon", PeriodS: 1, Chip: "tmp421", Inputs: []config.Input{
		{Input: 1, Measure: "temp", Label: "local"}, {Input: 2, Measure: "temp"}, {Input: 0, Measure: "volts"}, {Input: 3, Measure: "rpm"},
	}}
	build := func(tree fs.FS) (map[string]rack.Reading, map[string]string, error) {
		inv, err := Build(Opts{Config: &config.Config{Sensors: []config.Sensor{conf}}, Sysfs: tree})
		if err != nil {
			t.Fatal(err)
		}
		d, labels := inv.Devices[0], map[string]string{}
		for _, p := range d.Points {
			labels[p.String()] = p.Meaning.Label
		}
		if _, err := d.Identify(t.Context()); err != nil {
			return nil, labels, err
		}
		rs, err := d.Read(t.Context())
		got := map[string]rack.Reading{}
		for _, r := range rs {
			got[r.Point.String()] = r
		}
		return got, labels, err
	}
	got, labels, err := build(sysWith("tmp421", map[string]string{"temp1_input": "23500", "temp2_input": "-12500", "temp2_fault": "1", "in0_input": "12034"}))
	if err != nil {
		t.Fatal(err)
	}
	for point, want := range map[string]float64{"probe.temp_c.1": 23.5, "probe.dc_u_v.1": 12.034} {
		if r := got[point]; r.Quality == rack.QualityBad || math.Abs(r.Value-want) > 1e-9 {
			t.Errorf("%s: %+v", point, r)
		}
	}
	if r := got["probe.temp_c.2"]; r.Quality != rack.QualityBad {
		t.Errorf("a faulty input: %+v", r)
	}
	if r := got["probe.fan_rpm.3"]; r.Quality != rack.QualityBad || r.Reason != drivers.Unsupported.String() {
		t.Errorf("an input that is not there: %+v", r)
	}
	if labels["probe.temp_c.1"] != "local" {
		t.Errorf("labels %v", labels)
	}
	for name, tree := range map[string]fs.FS{"another chip": sysWith("lm75", map[string]string{"temp1_input": "1"}), "no /sys": nil} {
		if _, _, err := build(tree); err == nil || errors.Is(err, drivers.None) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// kernelSampled builds the inventory of one part of the kernel's, and reads it with poll once.
func kernelSampled(t *testing.T, inputs []config.Input, files map[string]string) map[string]rack.Reading {
	t.Helper()
	conf := config.Sensor{Name: "psu", Part: "hwmon", PeriodS: 60, Chip: "pmbus", Inputs: inputs}
	inv, err := Build(Opts{Config: &config.Config{Sensors: []config.Sensor{conf}}, Sysfs: sysWith("pmbus", files)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]rack.Reading{}
	synctest.Test(t, func(t *testing.T) {
		p, err := poll.New(poll.Opts{}, inv.Devices)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, r := range p.All(time.Now()) {
			got[r.Point.String()] = r
		}
	})
	return got
}

// A supply at 230 V and 12 V, 0.56 A and 10 A, 129 W and 120 W: the numbers of its channels do not say which belong
// together, and all of them are true.
func TestKernelChannelsAreNotMultiplied(t *testing.T) {
	var all []config.Input
	for _, measure := range []string{"volts", "amps", "watts"} {
		all = append(all, config.Input{Input: 1, Measure: measure}, config.Input{Input: 2, Measure: measure}, config.Input{Input: 3, Measure: measure})
	}
	got := kernelSampled(t, all, map[string]string{
		"in1_input": "230000", "in2_input": "385000", "in3_input": "12000", "curr1_input": "560", "curr2_input": "10000", "curr3_input": "10",
		"power1_input": "129000000", "power2_input": "120000000", "power3_input": "60000000",
	})
	for point, want := range map[string]float64{
		"psu.dc_u_v.2": 230, "psu.dc_u_v.3": 385, "psu.dc_u_v.4": 12, "psu.dc_i_a.1": 0.56, "psu.dc_i_a.2": 10, "psu.dc_i_a.3": 0.01,
		"psu.dc_p_w.1": 129, "psu.dc_p_w.2": 120, "psu.dc_p_w.3": 60,
	} {
		if r := got[point]; r.Quality != rack.QualityOK || math.Abs(r.Value-want) > 1e-9 {
			t.Errorf("%s: %+v", point, r)
		}
	}
	if len(got) != len(all) {
		t.Errorf("%d points for %d inputs", len(got), len(all))
	}
}

// Channels of different kinds have the same numbers and words of their own.
func TestKernelLabels(t *testing.T) {
	conf := config.Sensor{Name: "psu", Part: "hwmon", PeriodS: 1, Chip: "pmbus", Inputs: []config.Input{
		{Input: 0, Measure: "volts", Label: "shunt"},
		{Input: 1, Measure: "volts", Label: "bus"},
		{Input: 1, Measure: "temp", Label: "inlet"},
		{Input: 1, Measure: "rpm", Label: "fan"},
		{Input: 1, Measure: "amps"},
		{Input: 1, Measure: "watts", Label: "all"},
	}}
	inv, err := Build(Opts{Config: &config.Config{Sensors: []config.Sensor{conf}}})
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range inv.Devices[0].Points {
		if want := conf.Inputs[k].Label; p.Meaning.Label != want {
			t.Errorf("%s is told as %q, the configuration says %q", p.Point, p.Meaning.Label, want)
		}
	}
}

// What is on no bus is read beside every bus, whatever a bus may be called.
func TestLinesAndKernelPartsHaveNoBus(t *testing.T) {
	for _, name := range []string{linesBus, contactsBus, kernelBus} {
		_, findings := config.Parse("c.yaml", []byte("schema: 1\nsite: s\nagent: a\nmqtt: {broker: \"mqtt://127.0.0.1:1\"}\nbuses:\n  - {name: "+name+", device: /dev/i2c-1}\n"))
		if !slices.ContainsFunc(findings, func(f config.Finding) bool { return f.Path == "buses[0].name" }) {
			t.Errorf("a bus may be called %q", name)
		}
	}
}
