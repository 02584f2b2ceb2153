package scan

import (
	"reflect"
	"testing"
	"testing/synctest"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/drivertest/miners/braiins"
	"rackagent/drivers/drivertest/miners/luxos"
	"rackagent/drivers/drivertest/miners/whatsminer"
)

// at7 is the address of the machine of most tests.
const at7 = "192.0.2.7"

// TestSimulatedMiners: every firmware that there is a simulator of is found for what it is, and nothing is written to it.
func TestSimulatedMiners(t *testing.T) {
	none := func() (int, int) { return 0, 0 }
	for name, c := range map[string]struct {
		spec  miners.Spec
		serve func(*miners.Machine, *miners.Host) (writes func() (writes, logins int))
		want  Found
	}{
		"LuxOS": {antminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := luxos.New(m, h)
			return func() (int, int) { return len(s.Writes()), s.Sessions().Logons }
		}, Found{
			API: APILuxOS, Kind: "LuxOS", Vendor: "Bitmain", Model: "Antminer S19 Pro", Firmware: luxos.Firmware, MAC: "02:00:5e:10:00:01",
			Sure: Identified, Ports: []int{4028}, Why: []string{"4028 names luxminer"}, Missing: []string{"node"},
		}},
		"Antminer": {antminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := antminer.New(m, h, antminer.Opts{Serves6060: true})
			return func() (int, int) { c := s.Counts(); return len(s.Writes()) + c.Reboots, c.Authorised + c.Wrong }
		}, Found{
			API: APIAntminer, Kind: "Antminer stock firmware", Vendor: "Bitmain", Model: "Antminer S19 Pro", Firmware: "Tue Dec 6 16:12:30 CST 2022",
			Sure: Identified, Ports: []int{4028, 80}, Why: []string{"4028 names antminer", `HTTP asks for a log-in, realm "antMiner Configuration"`},
			Missing: []string{"node", "mac, which it does not tell without a log-in", "user and password_file, unless they are the factory's"},
		}},
		"Antminer whose 4028 is dead": {antminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			antminer.New(m, h, antminer.Opts{Quirks: antminer.Quirks{Dead4028: true}})
			return none
		}, Found{
			API: APIAntminer, Kind: "Antminer stock firmware", Vendor: "Bitmain", Sure: LooksLike, Ports: []int{80},
			Why:     []string{`HTTP asks for a log-in, realm "antMiner Configuration"`},
			Missing: []string{"node", "mac, which it does not tell without a log-in", "user and password_file, unless they are the factory's"},
		}},
		"Whatsminer v2": {whatsminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := whatsminer.New(m, h, whatsminer.Opts{V2: true})
			return func() (int, int) { return len(s.Writes()), len(s.Tokens()) }
		}, Found{
			API: APIWhatsminerV2, Kind: "Whatsminer", Vendor: "MicroBT", Model: "M56S_VH30", Firmware: "20230803.11.REL", MAC: "02:00:5e:10:00:02",
			Hostname: "WhatsMiner", Sure: Identified, Ports: []int{4028}, Why: []string{"4028 answers get_version, API 2.0.5"},
			Missing: []string{"node", "password_file, unless it is the factory's; the unit takes writes only after its owner has enabled them"},
		}},
		"Whatsminer v2, wrapped": {whatsminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			whatsminer.New(m, h, whatsminer.Opts{V2: true, Wrapped: true})
			return none
		}, Found{
			API: APIWhatsminerV2, Kind: "Whatsminer", Vendor: "MicroBT", Model: "M56S_VH30", Firmware: "20230803.11.REL", MAC: "02:00:5e:10:00:02",
			Hostname: "WhatsMiner", Sure: Identified, Ports: []int{4028}, Why: []string{"4028 answers get_version, API 2.0.5"},
			Missing: []string{"node", "password_file, unless it is the factory's; the unit takes writes only after its owner has enabled them"},
		}},
		"Whatsminer v3": {whatsminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := whatsminer.New(m, h, whatsminer.Opts{V3: true, Unlocked: true})
			return func() (int, int) { return len(s.Writes()), len(s.Tokens()) }
		}, Found{
			API: APIWhatsminerV3, Kind: "Whatsminer", Vendor: "MicroBT", Model: "M56S_VH30", Firmware: "20230803.11.REL", MAC: "02:00:5e:10:00:02",
			Hostname: "WhatsMiner", Sure: Identified, Ports: []int{4433}, Why: []string{"4433 answers get.device.info, API 3.0.2"},
			Missing: []string{"node", "user and password_file, unless they are the factory's"},
		}},
		"Whatsminer with both": {whatsminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := whatsminer.New(m, h, whatsminer.Opts{V2: true, V3: true})
			return func() (int, int) { return len(s.Writes()), len(s.Tokens()) }
		}, Found{
			API: APIWhatsminerV3, Alternatives: []string{APIWhatsminerV2}, Kind: "Whatsminer", Vendor: "MicroBT", Model: "M56S_VH30", Firmware: "20230803.11.REL",
			MAC: "02:00:5e:10:00:02", Hostname: "WhatsMiner", Sure: Identified, Ports: []int{4028, 4433},
			Why:     []string{"4433 answers get.device.info, API 3.0.2", "4028 answers get_version"},
			Missing: []string{"node", "user and password_file, unless they are the factory's", "the unit takes writes only after its owner has enabled them (apiswitch is 0)"},
		}},
		"Braiins OS": {antminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			s := braiins.New(m, h, braiins.Opts{})
			return func() (int, int) {
				c := s.Counts()
				return len(s.Writes()) + c.Reboots, c.Logins + c.Wrong + c.Unauthorised
			}
		}, Found{
			API: APIBraiins, Kind: "Braiins OS", Vendor: "Bitmain", Model: "Antminer S19 Pro", Firmware: "boser-openwrt 0.1.0-0a1b2c3d", Sure: Identified,
			Ports: []int{4028, 80}, Why: []string{"4028 names boser"},
			Missing: []string{"node", "mac, which it does not tell without a log-in", "user and password_file, unless they are the factory's"},
		}},
		"Braiins OS by its web alone": {antminerSpec(), func(m *miners.Machine, h *miners.Host) func() (int, int) {
			braiins.New(m, h, braiins.Opts{Quirks: braiins.Quirks{Dead4028: true}})
			return none
		}, Found{
			API: APIBraiins, Kind: "Braiins OS", Sure: Identified, Ports: []int{80}, Why: []string{"its page names Braiins OS", "REST API 1.10"},
			Missing: []string{"node", "mac, which it does not tell without a log-in", "user and password_file, unless they are the factory's"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, q := range []miners.Quirk{"", miners.Dribbles, miners.StaysOn, miners.TextNumbers} {
				synctest.Test(t, func(t *testing.T) {
					m := miners.New(c.spec)
					h := miners.NewHost(m)
					defer h.Close()
					writes := c.serve(m, h)
					m.Set(q, true)
					n := newNetwork(t)
					n.hosts[at7] = h.Dial
					got, err := Look(t.Context(), Opts{Dial: n.Dial}, at7)
					want := c.want
					want.Host = at7
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("%q: %v\ngot  %+v\nwant %+v", q, err, got, want)
					}
					if w, logins := writes(); w != 0 || logins != 0 {
						t.Errorf("%d writes, %d log-ins", w, logins)
					}
					synctest.Wait()
					if h.Open() != 0 || n.mostP > 1 {
						t.Errorf("%d connections are left, %d were at once at one port", h.Open(), n.mostP)
					}
				})
			}
		})
	}
}
