package agent_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/drivertest/miners/luxos"
	"rackagent/drivers/drivertest/miners/whatsminer"
)

// herd is what stands on the miners' network of a rack: simulated units that draw what their firmware lets them.
type herd struct {
	loads    map[string]*sim.ASIC
	machines map[string]*miners.Machine
	hosts    map[string]*miners.Host // by address, without a port
	writes   map[string]func() int   // how many requests that could change something a unit has had
	low      map[string]func()       // keeps a unit to its weakest mode, as its owner would
	conf     []config.Miner
}

// unit is a node with an interface.
type unit struct{ node, api string }

// spec is a unit of 3200 W with three modes, quicker than a real one.
func spec(n int) miners.Spec {
	return miners.Spec{
		Model: "M56S_VH30", MAC: fmt.Sprintf("02:00:5e:00:00:%02x", n), Serial: fmt.Sprintf("HTM%04d", n),
		NominalTHs: 120, NominalW: 3200, StandbyW: 20, Boot: 30 * time.Second, Ramp: 20 * time.Second, Fall: 2 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2200, THs: 90}, {Name: "normal", W: 3000, THs: 112}, {Name: "high", W: 3200, THs: 120}},
	}
}

func newHerd(units ...unit) *herd {
	h := &herd{loads: map[string]*sim.ASIC{}, machines: map[string]*miners.Machine{}, hosts: map[string]*miners.Host{}, writes: map[string]func() int{}, low: map[string]func(){}}
	for i, u := range units {
		m := miners.New(spec(i + 1))
		host, address := miners.NewHost(m), fmt.Sprintf("10.0.3.%d", i+1)
		load := &sim.ASIC{Name: u.node, Machine: m}
		h.low[u.node] = func() { m.Keep(m.Spec().Profiles[0]) }
		switch u.api {
		case "luxos":
			s := luxos.New(m, host)
			load.Power = s.Mains
			h.writes[u.node] = func() int { return len(s.Writes()) }
		case "antminer":
			s := antminer.New(m, host, antminer.Opts{Modes: map[int]string{0: "high", 2: "normal", 3: "low"}})
			h.low[u.node] = func() { s.SetMode(3) }
			load.Power = func(on bool) { m.Mains(on, s.Asleep()) }
			h.writes[u.node] = func() int { return len(s.Writes()) }
		case "whatsminer-v2", "whatsminer-v3":
			s := whatsminer.New(m, host, whatsminer.Opts{V2: u.api == "whatsminer-v2", V3: u.api == "whatsminer-v3", Unlocked: true})
			h.writes[u.node] = func() int { return len(s.Writes()) }
		default:
			panic(u.api)
		}
		h.loads[u.node], h.machines[u.node], h.hosts[address] = load, m, host
		h.conf = append(h.conf, config.Miner{Node: u.node, API: u.api, Host: address, MAC: m.Spec().MAC, PeriodS: 10, FanW: 100, FanS: 20})
	}
	return h
}

// plug puts the units where the rack has plain miners of the same names.
func (h *herd) plug(c *sim.Config) {
	for i, p := range c.Loads {
		if l, ok := h.loads[p.Load.Plate().Name]; ok {
			c.Loads[i].Load = l
		}
	}
}

func (h *herd) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return h.hosts[name].Dial(ctx, network, address)
}

// byNode lists the hosts under their nodes' names.
func (h *herd) byNode() map[string]*miners.Host {
	out := map[string]*miners.Host{}
	for _, c := range h.conf {
		out[c.Node] = h.hosts[c.Host]
	}
	return out
}

func (h *herd) close() {
	for _, host := range h.hosts {
		host.Close()
	}
}

// herdRig is a rig on the rack of eight outlets with these units.
func herdRig(t *testing.T, units ...unit) (*rig, *herd) {
	t.Helper()
	h := newHerd(units...)
	r := newRig(t, h.plug)
	h.join(r)
	return r, h
}

// TestAMinerSleepsAndWakes: what the miner says and what its outlet draws both show it, and a wake gives back what was
// interrupted.
func TestAMinerSleepsAndWakes(t *testing.T) {
	for _, api := range []string{"antminer", "luxos", "whatsminer-v2", "whatsminer-v3"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, unit{"asic-1", api})
				defer h.close()
				m := h.machines["asic-1"]
				h.low["asic-1"]() // what is to come back is not what a unit comes back to by itself
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
	for _, api := range []string{"antminer", "luxos", "whatsminer-v3"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, unit{"asic-1", api})
				defer h.close()
				m := h.machines["asic-1"]
				h.low["asic-1"]()
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
	for api, args := range map[string]string{"antminer": `"mode":"3"`, "luxos": `"limit_w":2500`, "whatsminer-v2": `"limit_w":2500`, "whatsminer-v3": `"mode":"low"`} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, h := herdRig(t, unit{"asic-1", api})
				defer h.close()
				m := h.machines["asic-1"]
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
