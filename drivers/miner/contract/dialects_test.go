package contract_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	antminersim "rackagent/drivers/drivertest/miners/antminer"
	braiinssim "rackagent/drivers/drivertest/miners/braiins"
	luxossim "rackagent/drivers/drivertest/miners/luxos"
	whatsminersim "rackagent/drivers/drivertest/miners/whatsminer"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/antminer"
	"rackagent/drivers/miner/braiins"
	"rackagent/drivers/miner/contract"
	"rackagent/drivers/miner/luxos"
	"rackagent/drivers/miner/whatsminer"
)

// spec is a machine with the three modes that most firmwares know.
func spec(standby float64) miners.Spec {
	return miners.Spec{
		Model: "M56S_VH30", MAC: "02:00:5e:00:00:01", Serial: "HTM0001", NominalTHs: 120, NominalW: 3300, StandbyW: standby,
		Boot: time.Minute, Ramp: 3 * time.Minute, Fall: 2 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2200, THs: 90}, {Name: "normal", W: 3000, THs: 112}, {Name: "high", W: 3300, THs: 120}},
	}
}

func TestWhatsminerV2(t *testing.T) {
	contract.Run(t, contract.Case{
		New: func(t *testing.T, change func(*miner.Opts)) contract.Rig {
			m := miners.New(spec(13))
			h := miners.NewHost(m)
			s := whatsminersim.New(m, h, whatsminersim.Opts{V2: true, Unlocked: true})
			o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
			change(&o)
			c, err := whatsminer.NewV2(o, whatsminer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return contract.Rig{Miner: c, Machine: m, Host: h, Writes: func() int { return len(s.Writes()) }}
		},
		Mode: "low", Watts: true, Power: true, Slow: time.Minute,
	})
}

func TestWhatsminerV3(t *testing.T) {
	contract.Run(t, contract.Case{
		New: func(t *testing.T, change func(*miner.Opts)) contract.Rig {
			m := miners.New(spec(13))
			h := miners.NewHost(m)
			s := whatsminersim.New(m, h, whatsminersim.Opts{V3: true, Unlocked: true})
			o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
			change(&o)
			c, err := whatsminer.NewV3(o, whatsminer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return contract.Rig{Miner: c, Machine: m, Host: h, Writes: func() int { return len(s.Writes()) }}
		},
		Mode: "low", Watts: true, Power: true, Slow: time.Minute,
	})
}

func TestLuxOS(t *testing.T) {
	contract.Run(t, contract.Case{
		New: func(t *testing.T, change func(*miner.Opts)) contract.Rig {
			m := miners.New(spec(25))
			h := miners.NewHost(m)
			s := luxossim.New(m, h)
			o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
			change(&o)
			c, err := luxos.New(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if m.Has(miners.Hangs) { // a session whose id never came back ends by itself after a minute
					return
				}
				if left := s.Sessions(); left.Open || left.Logons != left.Logoffs+left.Expired {
					t.Errorf("sessions: %+v", left)
				}
			})
			return contract.Rig{Miner: c, Machine: m, Host: h, Writes: func() int { return len(s.Writes()) }}
		},
		Mode: "low", Watts: true, Power: true, Slow: time.Minute,
	})
}

func TestAntminer(t *testing.T) {
	contract.Run(t, contract.Case{
		New: func(t *testing.T, change func(*miner.Opts)) contract.Rig {
			m := miners.New(spec(25))
			h := miners.NewHost(m)
			s := antminersim.New(m, h, antminersim.Opts{Modes: map[int]string{0: "high", 3: "low"}})
			first := bytes.Clone(s.Config())
			o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
			change(&o)
			c, err := antminer.New(o, antminer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				mode := regexp.MustCompile(`("bitmain-work-mode":)"[0-9]"`)
				if a, b := mode.ReplaceAll(first, nil), mode.ReplaceAll(s.Config(), nil); !bytes.Equal(a, b) {
					t.Errorf("more than the mode is another one: %s, was %s", b, a)
				}
				if s.Counts().BodyTooEarly {
					t.Error("a configuration went out without credentials")
				}
			})
			return contract.Rig{Miner: c, Machine: m, Host: h, Writes: func() int { return len(s.Writes()) }}
		},
		Mode: antminer.ModeLow, Slow: time.Minute,
	})
}

func TestBraiins(t *testing.T) {
	contract.Run(t, contract.Case{
		New: func(t *testing.T, change func(*miner.Opts)) contract.Rig {
			m := miners.New(spec(25))
			h := miners.NewHost(m)
			s := braiinssim.New(m, h, braiinssim.Opts{})
			o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
			change(&o)
			c, err := braiins.New(o, braiins.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return contract.Rig{Miner: c, Machine: m, Host: h, Writes: func() int { return len(s.Writes()) }}
		},
		Watts: true, Power: true, Slow: time.Minute,
	})
}
