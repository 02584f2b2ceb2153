package cgminer

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// on runs a test on a unit with these replies, in virtual time.
func on(t *testing.T, replies map[string]string, f func(t *testing.T, m *Miner, machine *miners.Machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		machine := miners.New(miners.Spec{NominalTHs: 100, NominalW: 3250, Boot: time.Minute})
		h := miners.NewHost(machine)
		defer h.Close()
		h.HandleRPC(rpc.Port, func(q miners.Request) miners.Reply {
			if r, ok := replies[q.Command]; ok {
				return miners.Reply(r)
			}
			return miners.Reply(`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}],"id":1}`)
		})
		m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial})
		if err != nil {
			t.Fatal(err)
		}
		f(t, m, machine)
	})
}

const summary = `{"STATUS":[{"STATUS":"S","When":1755700000,"Code":11,"Msg":"Summary","Description":"cgminer 1.0.0"}],
 "SUMMARY":[{"Elapsed":36120,"GHS 5s":108211.40,"GHS av":109930.12,"GHS 30m":109874.05,"Accepted":2901}],"id":1}`

// stock are the reports of an S19 with its chains numbered from 1, the statistics in two pieces glued together.
func stock() map[string]string {
	return map[string]string{
		"summary": summary,
		"version": `{"STATUS":[{"STATUS":"S","Code":22}],"VERSION":[{"BMMiner":"1.0.0","API":"3.1","CompileTime":"Tue Dec  6 16:12:30 CST 2022","Type":"Antminer S19 Pro"}],"id":1}`,
		"stats": `{"STATUS":[{"STATUS":"S","Code":70}],"STATS":[{"BMMiner":"1.0.0","Type":"Antminer S19 Pro"}{"Elapsed":36120,"GHS 5s":108211.40,"rate_unit":"GH",
"fan_num":2,"fan1":5910,"fan2":5870,"fan3":0,"temp_pcb1":"70-44-62-63","temp_chip1":"75-49-67-68","temp_pic1":"60-34-52-53","chain_rate1":"36480.75","chain_acn1":114,
"chain_rate2":"","chain_acn2":0,"total_rateideal":110000.0,"chain_power":"3250 W"}],"id":1}`,
		"pools": `{"STATUS":[{"STATUS":"S","Code":7}],"POOLS":[{"URL":"stratum+tcp://pool.example:3333","User":"acct.r1","Status":"Alive"},{"URL":"stratum+tcp://b.example:3333","Status":"Dead"}],"id":1}`,
	}
}

func TestStatusOfStock(t *testing.T) {
	on(t, stock(), func(t *testing.T, m *Miner, _ *miners.Machine) {
		s, err := m.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.State != miner.Mining || math.Abs(s.Hashrate.THs-108.2114) > 1e-9 || s.Hashrate.Window != 5*time.Second || math.Abs(s.Average.THs-109.93012) > 1e-9 || *s.Nominal != 110 || *s.Uptime != 36120*time.Second {
			t.Errorf("%+v, %+v, %+v", s, s.Hashrate, s.Average)
		}
		if s.Model != "Antminer S19 Pro" || s.Firmware != "Tue Dec 6 16:12:30 CST 2022" || s.API != "3.1" || s.MAC != "" || s.Serial != "" {
			t.Errorf("%q %q %q %q", s.Model, s.Firmware, s.API, s.MAC)
		}
		if s.Power == nil || s.Power.W != 3250 || s.Power.Source != miner.Estimated || s.LimitW != nil {
			t.Errorf("power %+v", s.Power)
		}
		if len(s.Boards) != 1 || *s.Boards[0].THs != 36.48075 || *s.Boards[0].Chips != 114 || *s.Boards[0].ChipMaxC != 75 || *s.Boards[0].BoardC != 70 || len(s.Fans) != 2 {
			t.Errorf("%+v, fans %v", s.Boards, s.Fans)
		}
		if len(s.Pools) != 2 || !*s.Pools[0].Alive || *s.Pools[1].Alive {
			t.Errorf("%+v", s.Pools)
		}
		if text, _ := json.Marshal(s); string(text) == "" || s.At.IsZero() {
			t.Errorf("%s", text)
		}
	})
}

// TestStatusOfLittle: what a report does not tell is absent, and never 0; what does not hash now is not mining.
func TestStatusOfLittle(t *testing.T) {
	for name, c := range map[string]struct {
		replies map[string]string
		state   miner.State
		boards  int
	}{
		"a summary alone": {map[string]string{"summary": summary}, miner.Mining, 0},
		"an average that stays high": {map[string]string{
			"summary": `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"Elapsed":36120,"MHS 5s":0.0,"MHS av":44500000.0}]}`,
		}, miner.Unknown, 0},
		"an average alone": {map[string]string{"summary": `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"GHS av":"109930.12"}]}`}, miner.Unknown, 0},
		"devices of a program without boards in its statistics": {map[string]string{
			"summary": `{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"MHS 5s":"13500000","MHS av":"13400000"}]}`,
			"devs":    `{"STATUS":[{"STATUS":"S","Code":9}],"DEVS":[{"ASC":0,"Enabled":"Y","Temperature":61.0,"MHS 5s":6750000},{"ASC":1,"Enabled":"N","Temperature":0}]}`,
		}, miner.Mining, 2},
	} {
		on(t, c.replies, func(t *testing.T, m *Miner, _ *miners.Machine) {
			s, err := m.Status(t.Context())
			if err != nil || s.State != c.state || len(s.Boards) != c.boards || s.Power != nil || s.Nominal != nil || s.Pools != nil {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
			if c.boards == 2 && (*s.Boards[0].THs != 6.75 || *s.Boards[0].BoardC != 61 || s.Boards[1].THs != nil || s.Boards[1].BoardC != nil || *s.Boards[1].Enabled) {
				t.Errorf("%s: %+v", name, s.Boards)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for quirk, want := range map[miners.Quirk]drivers.Fault{
		miners.Refuses: drivers.Unreachable, miners.Hangs: drivers.Timeout, miners.HangsUp: drivers.Corrupt, miners.CutsOff: drivers.Corrupt,
	} {
		on(t, stock(), func(t *testing.T, m *Miner, machine *miners.Machine) {
			machine.Set(quirk, true)
			if s, err := m.Status(t.Context()); !errors.Is(err, want) {
				t.Errorf("%s: %+v, %v, want %s", quirk, s, err, want)
			}
		})
	}
	for reply, want := range map[string]drivers.Fault{
		`{"STATUS":[{"STATUS":"S"}]}`:                           drivers.Corrupt,
		`{"STATUS":[{"STATUS":"E","Code":45,"Msg":"denied"}]}`:  drivers.Locked,
		"Socket connect failed: Connection refused\n":           drivers.Unreachable,
		`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid"}]}`: drivers.Unsupported,
		"<html>": drivers.Corrupt,
	} {
		on(t, map[string]string{"summary": reply}, func(t *testing.T, m *Miner, _ *miners.Machine) {
			if s, err := m.Status(t.Context()); drivers.FaultOf(err) != want {
				t.Errorf("%s: %+v, %v, want %s", reply, s, err, want)
			}
		})
	}
}

// TestVerbsAreRefused, and nothing is sent for them.
func TestVerbsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := miners.NewHost(miners.New(miners.Spec{NominalTHs: 100, NominalW: 3250}))
		defer h.Close()
		m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial})
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := m.Sleep(t.Context(), miner.Urgency{Emergency: true})
		_, err2 := m.Wake(t.Context(), miner.Setting{Dialect: Dialect})
		_, err3 := m.Limit(t.Context(), miner.Limit{W: 2000}, miner.Urgency{})
		_, err4 := m.Release(t.Context(), miner.Setting{Dialect: Dialect})
		_, err5 := m.Setting(t.Context())
		for _, err := range []error{err1, err2, err3, err4, err5} {
			if drivers.FaultOf(err) != drivers.Unsupported {
				t.Errorf("%v", err)
			}
		}
		if c, err := m.Capabilities(t.Context()); err != nil || c.Sleep || c.Watts != nil || c.Modes != nil || h.Tries() != 0 {
			t.Errorf("%+v, %v, %d connections", c, err, h.Tries())
		}
	})
	if _, err := New(miner.Opts{}); !errors.Is(err, ErrOpts) {
		t.Errorf("%v", err)
	}
}

// TestAgainstTheReaderOfAnAntminer: a simulated stock unit, written by another hand, through its port 4028 alone.
func TestAgainstTheReaderOfAnAntminer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := miners.New(miners.Spec{
			Model: "Antminer S19 Pro", MAC: "02:00:5e:00:00:01", NominalTHs: 110, NominalW: 3250, StandbyW: 25, Boot: time.Minute, Ramp: time.Minute, Fall: time.Second,
			Profiles: []miners.Profile{{Name: "normal", W: 3250, THs: 110}},
		})
		h := miners.NewHost(machine)
		defer h.Close()
		s := antminer.New(machine, h, antminer.Opts{})
		m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial})
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Status(t.Context())
		if err != nil || got.State != miner.Mining || math.Abs(got.Hashrate.THs-110) > 0.11 || len(got.Boards) != 3 || got.Power != nil {
			t.Errorf("%+v, %v", got, err)
		}
		s.SetMode(1)
		time.Sleep(10 * time.Minute)
		if got, err = m.Status(t.Context()); err != nil || got.State != miner.Unknown || got.Hashrate != nil && got.Hashrate.THs > 0 {
			t.Errorf("asleep: %+v, %v", got, err)
		}
		if n := len(s.Writes()); n != 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// FuzzStatus: nothing is invented, and all of it is for JSON.
func FuzzStatus(f *testing.F) {
	s := stock()
	f.Add([]byte(s["summary"]), []byte(s["stats"]), []byte(s["version"]), []byte(s["pools"]))
	f.Add([]byte(`{"SUMMARY":[{"MHS 5s":"1e308","Elapsed":-1}]}`), []byte(`{"STATS":[{"chain_acn1":1,"temp_chip1":"--1"}]}`), []byte(`{}`), []byte(`{"POOLS":[{}]}`))
	f.Fuzz(func(t *testing.T, summary, stats, version, pools []byte) {
		got := map[string]rpc.Object{}
		for name, raw := range map[string][]byte{"summary": summary, "stats": stats, "version": version, "pools": pools} {
			if o, err := rpc.Decode(raw); err == nil {
				got[name] = o
			}
		}
		st := statusOf(got)
		if _, err := json.Marshal(st); err != nil {
			t.Errorf("%+v: %v", st, err)
		}
		if st.State == miner.Asleep || st.State == miner.Mining && (st.Hashrate == nil || st.Hashrate.THs <= 0) || st.Power != nil && st.Power.W <= 0 {
			t.Errorf("%+v", st)
		}
	})
}
