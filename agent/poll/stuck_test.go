package poll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// A bus with an owner, three expanders on it and a data line that somebody holds; the recovery works at the third attempt.
// The devices grow stale because of the bus, and none of them is held to be gone, or a spoiler.
func TestStuckBusUnderItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewBus("b1", drivertest.BusOpts{BitRate: 100_000})
		clocks := 0
		owner := i2cbus.New(sim, i2cbus.Opts{Recover: func(context.Context) error {
			if clocks++; clocks < 3 {
				return errors.New("SDA is held low after nine clocks")
			}
			sim.Recover()
			return nil
		}})
		defer owner.Close()
		var devices []Device
		for n := range 3 {
			addr := uint16(0x20 + n)
			sim.Attach(fmt.Sprint(n), addr, drivertest.NewTCA9555(nil))
			p := watts(fmt.Sprintf("d%d", n))
			devices = append(devices, Device{
				Name: p.Device, Bus: "b1", Period: time.Second, Points: []Point{{Point: p}},
				Identify: func(context.Context) (drivers.Ident, error) {
					return drivers.Ident{}, owner.Poll().Tx(addr, []byte{2}, make([]byte, 2))
				},
				Read: func(context.Context) ([]rack.Reading, error) {
					return []rack.Reading{{Point: p}}, owner.Poll().Tx(addr, []byte{0}, make([]byte, 2))
				},
			})
		}
		p, h := polling(t, devices...)
		pass(100 * time.Millisecond)
		began := time.Now()
		sim.Inject(drivertest.Fault{Kind: drivertest.FaultStuck})
		pass(3500 * time.Millisecond)
		for _, d := range devices { // whoever made the trial knows what it met
			r, _ := p.Latest(watts(d.Name))
			if r.Quality != rack.QualityStale || (r.Reason != "fenced" && r.Reason != "bus_fault") {
				t.Errorf("%s: %s %q", d.Name, r.Quality, r.Reason)
			}
		}
		pass(3 * time.Second)
		for _, d := range devices {
			quality(t, p, d.Name, rack.QualityOK, "")
		}
		for _, s := range p.Stats() {
			if s.Identifications != 1 || s.Errors[drivers.BusFenced] == 0 {
				t.Errorf("%+v", s)
			}
		}
		for _, text := range h.texts() {
			if strings.Contains(text, "absent") || strings.Contains(text, "quarantined") {
				t.Error(text)
			}
		}
		if s := owner.Stats(); s.Recoveries != 3 || s.Recovered != 1 || s.Fenced == 0 || s.Fenced > time.Since(began) {
			t.Errorf("%+v", s)
		}
	})
}
