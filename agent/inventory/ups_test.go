package inventory

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/drivertest/ups"
)

// TestUPS: what the UPS says stands in its points; what it does not say has no value, and is no zero.
func TestUPS(t *testing.T) {
	for name, c := range map[string]struct {
		world func(*ups.Server)
		want  [4]float64 // below zero: none
		fault drivers.Fault
	}{
		"on mains":         {func(*ups.Server) {}, [4]float64{0, 0, 100, 1200}, drivers.None},
		"on battery":       {func(s *ups.Server) { s.Set("ups.status", "OB DISCHRG LB") }, [4]float64{1, 1, 100, 1200}, drivers.None},
		"off":              {func(s *ups.Server) { s.Set("ups.status", "OFF") }, [4]float64{-1, 0, 100, 1200}, drivers.None},
		"no numbers":       {func(s *ups.Server) { s.Set("battery.charge", ""); s.Set("battery.runtime", "") }, [4]float64{0, 0, -1, -1}, drivers.None},
		"it has lost it":   {func(s *ups.Server) { s.Fail("DATA-STALE") }, [4]float64{}, drivers.Unreachable},
		"it does not know": {func(s *ups.Server) { s.Name = "other" }, [4]float64{}, drivers.Unsupported},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := ups.New("rack")
			c.world(server)
			inv := new(Inventory)
			d, err := inv.sensor(Opts{Config: new(config.Config), DialSensor: func(context.Context, string, string) (net.Conn, error) {
				a, b := net.Pipe()
				go server.Serve(b)
				return a, nil
			}}, nil, config.Sensor{Name: "ups", Part: "ups", Host: "192.0.2.1", UPS: "rack", PeriodS: 2})
			if err != nil {
				t.Fatal(err)
			}
			rs, err := d.Read(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatalf("%s: %v", name, err)
			}
			for k, r := range rs {
				if told := r.Quality == "" || r.Quality == rack.QualityOK; told != (c.want[k] >= 0) || told && r.Value != c.want[k] {
					t.Errorf("%s: %+v, want %g", name, r, c.want[k])
				}
			}
			if d.Bus == linesBus || d.Bus == contactsBus || len(d.Points) != 4 {
				t.Errorf("%+v", d)
			}
		})
	}
	inv := new(Inventory)
	d, err := inv.sensor(Opts{Config: new(config.Config)}, nil, config.Sensor{Name: "ups", Part: "ups", Host: "h", UPS: "rack", PeriodS: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); drivers.FaultOf(err) != drivers.Unreachable {
		t.Errorf("without a network: %v", err)
	}
}
