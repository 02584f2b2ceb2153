package power

import (
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func TestPowerStates(t *testing.T) {
	silent := &drivers.Error{Op: "read", Device: "miner", Fault: drivers.Unreachable}
	for _, c := range []struct {
		name  string
		world func(r *rig, u *unit)
		want  rack.PowerState
	}{
		{"it works", func(*rig, *unit) {}, rack.PowerRunning},
		{"it is told to sleep", func(r *rig, u *unit) { u.obeys = 10 * time.Second; r.must("s1", rack.OpSleep, "node/asic-3") }, rack.PowerStopping},
		{"it sleeps", func(r *rig, _ *unit) { r.must("s1", rack.OpSleep, "node/asic-3"); r.run(3 * time.Minute) }, rack.PowerSleeping},
		{"it is told to wake", func(r *rig, u *unit) {
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.run(time.Minute)
			u.obeys = time.Minute
			r.must("w1", rack.OpWake, "node/asic-3")
		}, rack.PowerStarting},
		{"it says that it sleeps, and draws", func(r *rig, u *unit) { u.asleep, u.draws = true, 3000; r.run(3 * time.Minute) }, rack.PowerFault},
		{"it is limited", func(r *rig, _ *unit) {
			r.must("l1", rack.OpLimit, "node/asic-3", func(c *rack.Command) { c.Args.LimitW = 2000 })
			r.run(time.Minute)
		}, rack.PowerLimited},
		{"it is cut", func(r *rig, _ *unit) { r.must("c1", rack.OpCut, "node/asic-3"); r.run(time.Minute) }, rack.PowerOff},
		{"it is silent, and draws", func(r *rig, u *unit) { u.silent = silent; r.run(5 * time.Minute) }, rack.PowerRunning},
		{"it is silent, and draws little", func(r *rig, u *unit) { u.silent, u.draws = silent, 30; r.run(5 * time.Minute) }, rack.PowerUnknown},
		{"its relay is welded", func(r *rig, _ *unit) {
			r.welded[outlet(3)] = true
			r.must("c1", rack.OpCut, "node/asic-3")
			r.run(time.Minute)
		}, rack.PowerFault},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			r.says()
			r.run(time.Minute)
			c.world(r, r.units["asic-3"])
			r.run(5 * time.Second)
			if got := r.m.Snapshot(r.now).PowerState(r.layout.Nodes[2]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	r := minersRig(t)
	if got := r.m.Snapshot(r.now).PowerState(r.layout.Nodes[6]); got != rack.PowerRunning {
		t.Errorf("a server: %s", got)
	}
}
