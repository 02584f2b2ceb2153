package agent_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
)

// spec is a unit of 3200 W with three modes, quicker than a real one.
func spec(n int) miners.Spec { return sim.ThreeModes(n, 3200, 30*time.Second, 20*time.Second) }

func newHerd(t *testing.T, units ...sim.Unit) *sim.Herd {
	t.Helper()
	h, err := sim.NewHerd(units, spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// join gives every life of the rig's agent the interfaces of a herd.
func (r *rig) join(h *sim.Herd) {
	for i, u := range h.Units {
		r.conf.Miners = append(r.conf.Miners, config.Miner{Node: u.Node, API: u.API, Host: h.Address(i + 1), MAC: sim.MACOf(i + 1), PeriodS: 10, FanW: 100, FanS: 20})
	}
	r.change = func(w *agent.World) {
		l := r.life
		w.DialMiner = func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.dialMiner(ctx, network, address, h.Dial)
		}
	}
}

// herdRig is a rig on the rack of eight outlets with these units.
func herdRig(t *testing.T, units ...sim.Unit) (*rig, *sim.Herd) {
	t.Helper()
	h := newHerd(t, units...)
	r := newRig(t, h.Plug)
	r.join(h)
	return r, h
}

// TestAMinerSleepsAndWakes: what the miner says and what its outlet draws both show it, and a wake gives back what was
// interrupted.
func TestAMinerSleepsAndWakes(t *testing.T) {
	for _, api := range []string{"antminer", "braiins", "luxos", "whatsminer-v2", "whatsminer-v3"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, sim.Unit{Node: "asic-1", API: api})
				defer h.Close()
				m := h.Machine("asic-1")
				h.Weaken("asic-1") // what is to come back is not what a unit comes back to by itself
				r.start()
				time.Sleep(10 * time.Second)
				relays := len(r.relayWrites())
				r.send("s1", "sleep", "node/asic-1")
				s := r.expect("s1", rack.StateSucceeded, "")
				step := s.Targets[0].Steps[0]
				if step.Do != rack.DoSleep || step.On != rack.NodeTarget("asic-1") || step.Taken == nil || step.Confirmed == nil || step.Settled == nil ||
					step.Proof == nil || *step.Proof.BeforeW < 2100 || *step.Proof.AfterW > 330 {
					t.Errorf("%+v, %+v", step, step.Proof)
				}
				if m.Look().Phase != miners.Sleeping {
					t.Errorf("%+v", m.Look())
				}
				time.Sleep(30 * time.Second)
				r.send("w1", "wake", "node/asic-1")
				r.expect("w1", rack.StateSucceeded, "")
				time.Sleep(time.Minute)
				if now := m.Look(); now.Phase != miners.Hashing || now.Target.Name != "low" {
					t.Errorf("%+v", now)
				}
				if n := len(r.relayWrites()); n != relays {
					t.Errorf("%d writes to relays", n-relays)
				}
				r.close()
			})
		})
	}
}

// TestAShutdownAndAStart: the miner sleeps, its fans run on, its outlet is cut; a start brings back what was interrupted,
// though the unit may come up otherwise by itself.
func TestAShutdownAndAStart(t *testing.T) {
	for _, api := range []string{"antminer", "braiins", "luxos", "whatsminer-v3"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, sim.Unit{Node: "asic-1", API: api})
				defer h.Close()
				m := h.Machine("asic-1")
				h.Weaken("asic-1")
				r.start()
				time.Sleep(10 * time.Second)
				r.send("d1", "shutdown", "node/asic-1")
				s := r.expect("d1", rack.StateSucceeded, "")
				steps := s.Targets[0].Steps
				if len(steps) != 2 || steps[0].Settled == nil || steps[1].Do != rack.DoCut || steps[1].Settled == nil || steps[1].Hot ||
					*steps[1].Taken-*steps[0].Settled < 20_000 || m.Look().Phase != miners.Off {
					t.Errorf("%+v, %+v", steps, m.Look())
				}
				r.send("u1", "start", "node/asic-1")
				r.expect("u1", rack.StateSucceeded, "")
				time.Sleep(time.Minute)
				if now := m.Look(); now.Phase != miners.Hashing || now.Target.Name != "low" {
					t.Errorf("%+v", now)
				}
				r.close()
			})
		})
	}
}

// TestALimitAndARelease: the miner keeps to it by its own means, its outlet shows it, and a release gives back what it did.
func TestALimitAndARelease(t *testing.T) {
	for api, args := range map[string]string{"antminer": `"mode":"3"`, "braiins": `"limit_w":2500`, "luxos": `"limit_w":2500`, "whatsminer-v2": `"limit_w":2500`, "whatsminer-v3": `"mode":"low"`} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, sim.Unit{Node: "asic-1", API: api})
				defer h.Close()
				m := h.Machine("asic-1")
				was := m.Target()
				r.start()
				time.Sleep(10 * time.Second)
				r.send("l1", "limit", "node/asic-1", `,"args":{`+args+`}`)
				s := r.expect("l1", rack.StateSucceeded, "")
				if step := s.Targets[0].Steps[0]; step.Settled == nil || *step.Proof.AfterW > 2625 {
					t.Errorf("%+v, %+v", step, step.Proof)
				}
				time.Sleep(time.Minute)
				if now := m.Look(); now.Phase != miners.Hashing || now.W > 2625 {
					t.Errorf("%+v", now)
				}
				r.send("r1", "release", "node/asic-1")
				r.expect("r1", rack.StateSucceeded, "")
				time.Sleep(time.Minute)
				if now := m.Look(); now.Phase != miners.Hashing || now.Target != was {
					t.Errorf("%+v", now)
				}
				r.close()
			})
		})
	}
}

// TestAnEndWaitsForNoMiner: the program ends within the time that its unit allows, whatever miners do; a verb that is under way
// gets most of it.
func TestAnEndWaitsForNoMiner(t *testing.T) {
	const most = 12 * time.Second // systemd/rackagent.service: TimeoutStopSec=15s
	for _, c := range []struct {
		name  string
		quirk miners.Quirk
		after time.Duration // from the command
		most  time.Duration
	}{
		{"a question hangs", miners.Hangs, time.Second, 2 * time.Second},
		{"a verb hangs", miners.Silent, 3 * time.Second, most},
	} {
		for _, api := range []string{"antminer", "braiins", "luxos", "whatsminer-v2", "whatsminer-v3"} {
			t.Run(c.name+", "+api, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r, h := herdRig(t, sim.Unit{Node: "asic-1", API: api})
					defer h.Close()
					r.start()
					time.Sleep(10 * time.Second)
					h.Machine("asic-1").Set(c.quirk, true)
					r.send("s1", "sleep", "node/asic-1")
					time.Sleep(c.after)
					began := time.Now()
					r.stop()
					if took := time.Since(began); took > c.most {
						t.Errorf("it took %s to end", took)
					}
					h.Machine("asic-1").Set(c.quirk, false)
					r.start()
					time.Sleep(time.Minute)
					if o := r.await("s1"); !o.State.Terminal() {
						t.Errorf("%+v", o)
					}
					r.close()
				})
			})
		}
	}
}
