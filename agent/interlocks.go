package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/agent/interlock"
	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/config"
)

// errInterlock is what a configuration asks of a sensor that it does not tell.
var errInterlock = errors.New("the sensor does not tell what the interlock watches for")

// interlockRules makes the configured interlocks, and refuses one that its sensor can never trip.
func (a *Agent) interlockRules() ([]interlock.Rule, error) {
	var out []interlock.Rule
	for _, c := range a.conf.Interlocks {
		target, err := rack.ParseTarget(c.Target)
		if err != nil {
			return nil, fmt.Errorf("interlock %s: %w", c.Name, err)
		}
		r := interlock.Rule{
			Name: c.Name, Kind: interlock.Kind(c.Kind), Device: c.Sensor, Index: c.Input, Limit: c.Above + c.Below, Hold: c.For(),
			Fresh: a.sensorFresh(c.Sensor), Target: target, Do: deeds(c.ASIC),
		}
		if r.Kind == interlock.OnBattery && r.Index == 0 {
			r.Index = 1 // of a UPS the second contact says that its battery is low
		}
		if !a.tells(r) {
			return nil, fmt.Errorf("interlock %s: sensor %s: %s: %w", c.Name, c.Sensor, r.Kind.Quantity(), errInterlock)
		}
		out = append(out, r)
	}
	return out, nil
}

func deeds(d config.InterlockDeeds) rack.Verb {
	switch d {
	case config.InterlockCut:
		return rack.DoCut
	case config.InterlockSleep:
		return rack.DoSleep
	}
	return ""
}

// sensorFresh is how old a reading of a sensor may be: three periods and a second, as for outlets.
func (a *Agent) sensorFresh(name string) time.Duration {
	for _, s := range a.conf.Sensors {
		if s.Name == name {
			return 3*s.Period() + time.Second
		}
	}
	return 0
}

// tells whether a sensor has the quantity, and the input, that a rule watches.
func (a *Agent) tells(r interlock.Rule) bool {
	for _, d := range a.inv.Devices {
		for _, p := range d.Points {
			if p.Point.Device == r.Device && p.Point.Quantity == r.Kind.Quantity() && (r.Index == 0 || p.Point.Index == r.Index) {
				return true
			}
		}
	}
	return false
}

// watch takes readings to the interlocks, and what those demand to the loop. Pollers call it from several goroutines.
func (a *Agent) watch(batch []rack.Reading) {
	a.guards.Lock()
	defer a.guards.Unlock()
	for _, d := range a.locks.Step(time.Now(), batch) {
		a.loop.Tell(power.Demanded{Demand: d})
	}
}

// watchSilence lets the interlocks notice sensors that tell nothing.
func (a *Agent) watchSilence(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			a.watch(nil)
		}
	}
}
