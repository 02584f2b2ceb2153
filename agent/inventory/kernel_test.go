package inventory

import (
	"errors"
	"io/fs"
	"math"
	"testing"
	"testing/fstest"

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
