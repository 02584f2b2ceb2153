package config

import "slices"

// Preset holds the value of every key that may be left out.
type Preset struct {
	Config                // keys outside the lists
	Feed   Feed           // keys of an entry of feeds
	Mux    Mux            // keys of an entry of muxes
	Sensor Sensor         // keys of an entry of sensors
	Node   map[Class]Node // keys of an entry of nodes, by its class
	Role   Role           // keys of an entry of commands.roles
	Miner  Miner          // keys of an entry of miners
}

// Defaults returns every default there is, but one that depends on another key: mqtt.client_id is the
// agent's name.
func Defaults() Preset {
	return Preset{
		Config: Config{
			StateDir:  "/var/lib/rackagent", // systemd's StateDirectory=rackagent
			MQTT:      MQTT{SpreadS: 0},
			Commands:  Commands{Unsigned: false},
			Local:     Local{Socket: "/run/rackagent.sock", Group: "rackops"},
			HTTP:      HTTP{Listen: "127.0.0.1:9871"},               // port: arbitrary
			Telemetry: Telemetry{PeriodS: 5, ChangeS: 1},            // domain.md A.3
			Backlog:   Backlog{BudgetMiB: 256},                      // 9 days of 256 values every 5 s at full rate
			Poll:      Poll{OutletPeriodS: 1, IdentityPeriodS: 300}, // arbitrary
			// Makers of switched PDUs stagger by 100 ms, for an inrush of 20 to 40 ms; the rest is margin, arbitrary.
			Power: Power{StaggerMS: 250},
		},
		Feed: Feed{
			Continuous: 0.8, // NEC 210.20(A), 215.3: continuous load on an ordinary breaker
		},
		Role:   Role{AddsPerS: 1}, // reference: mqtt 7.4
		Mux:    Mux{Part: "pca9548"},
		Sensor: Sensor{PeriodS: 5}, // arbitrary
		// A sweep of one takes some reports, and its firmware one client at a time; fans run on for two minutes. All arbitrary.
		Miner: Miner{PeriodS: 10, FanW: 100, FanS: 120},
		Node: map[Class]Node{
			// 30 s lets an ASIC's supply discharge and clear a latched over-current flag; 60 s is arbitrary.
			ClassASIC: {Wiring: WiringUnproven, MinOffS: 30, OnPowerReturn: ReturnHold},
			ClassGPU:  {Wiring: WiringUnproven, MinOffS: 60, OnPowerReturn: ReturnHold},
		},
	}
}

// complete fills in what decoding could not, because it stands in a list or depends on another key. has
// tells whether a key is written in the file, so that a written zero is judged and not replaced.
func (c *Config) complete(preset Preset, has func(path string) bool) {
	if !has("mqtt.client_id") {
		c.MQTT.ClientID = c.Agent
	}
	c.completeRoles(preset, has)
	for i := range c.Feeds {
		if !has(index("feeds", i) + ".continuous") {
			c.Feeds[i].Continuous = preset.Feed.Continuous
		}
	}
	for i := range c.Muxes {
		if !has(index("muxes", i) + ".part") {
			c.Muxes[i].Part = preset.Mux.Part
		}
	}
	for i := range c.Sensors {
		if !has(index("sensors", i) + ".period_s") {
			c.Sensors[i].PeriodS = preset.Sensor.PeriodS
		}
	}
	for i := range c.Miners {
		path := index("miners", i)
		if !has(path + ".period_s") {
			c.Miners[i].PeriodS = preset.Miner.PeriodS
		}
		if !has(path + ".fan_w") {
			c.Miners[i].FanW = preset.Miner.FanW
		}
		if !has(path + ".fan_s") {
			c.Miners[i].FanS = preset.Miner.FanS
		}
		if !has(path+".user") && !has(path+".password_file") {
			c.completeLogin(&c.Miners[i])
		}
	}
	for i := range c.Nodes {
		n, path := &c.Nodes[i], index("nodes", i)
		d, known := preset.Node[n.Class]
		if !known {
			d = preset.Node[ClassGPU] // the longer times, until Check has refused the class
		}
		if !has(path + ".wiring") {
			n.Wiring = d.Wiring
		}
		if !has(path + ".min_off_s") {
			n.MinOffS = d.MinOffS
		}
		if !has(path + ".on_power_return") {
			n.OnPowerReturn = d.OnPowerReturn
		}
	}
}

// completeLogin gives a miner without a login of its own that of its group. Two groups with one are refused by Check.
func (c *Config) completeLogin(m *Miner) {
	for _, g := range c.Groups {
		if g.logsIn() && slices.Contains(g.Nodes, m.Node) {
			m.User, m.PasswordFile = g.MinerUser, g.MinerPasswordFile
			return
		}
	}
}
