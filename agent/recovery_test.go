package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/i2cbus"
)

// A part that holds the bus is clocked free where the configuration allows it, and a cut gets through again.
func TestAStuckBusIsRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := fault(t, "stuck="+sim.DemoBus)
		r := newRig(t)
		r.conf.Buses[0].SCLLine, r.conf.Buses[0].SDALine = "SCL", "SDA"
		tried := 0
		r.change = func(w *agent.World) {
			w.Recover = func(_ config.Bus, t i2cbus.Transport) func(context.Context) error {
				if t == nil {
					return nil
				}
				return func(context.Context) error {
					if tried++; tried == 1 {
						return errors.New("SCL is low")
					}
					return r.world.Heal(stuck)
				}
			}
		}
		r.start()
		r.inject("stuck=" + sim.DemoBus)
		time.Sleep(10 * time.Second)
		if tried != 2 {
			t.Errorf("recovery was tried %d times", tried)
		}
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(10 * time.Second)
		r.expect("c1", rack.StateSucceeded, "")
		r.close()
	})
}

// Without means the bus is fenced: a cut is refused before anything is sent, and the watchdog does not end the agent.
func TestAStuckBusWithoutMeansIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.inject("stuck=" + sim.DemoBus)
		time.Sleep(90 * time.Second)
		if s := r.agent.Status(); !s.Alive || s.Buses[0].BadS == nil || *s.Buses[0].BadS < 60 {
			t.Errorf("alive %t, buses %+v", s.Alive, s.Buses)
		}
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(10 * time.Second)
		if s := r.await("c1"); s.State == rack.StateSucceeded || s.State == rack.StateConfirmed {
			t.Errorf("ended %s", s.State)
		}
		if err := r.world.Heal(fault(t, "stuck="+sim.DemoBus)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		r.send("c2", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(10 * time.Second)
		r.expect("c2", rack.StateSucceeded, "")
		if s := r.agent.Status(); s.Buses[0].BadS != nil {
			t.Errorf("still bad: %+v", s.Buses)
		}
		r.close()
	})
}

func fault(t *testing.T, spec string) sim.Fault {
	t.Helper()
	f, err := sim.ParseFault(spec)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
