package inventory

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/whatsminer"
)

// luxReplies are those of a unit that hashes, after the shapes of the LuxOS API documentation.
func luxReplies() map[string]string {
	return map[string]string{
		"config":  `{"STATUS":[{"STATUS":"S","Code":33}],"CONFIG":[{"CurtailMode":"None","Profile":"290MHz","MACAddr":"02:00:5E:10:00:01","Model":"Antminer S19k Pro"}]}`,
		"summary": `{"STATUS":[{"STATUS":"S","Code":11}],"SUMMARY":[{"Elapsed":36120,"GHS 5s":59756.1,"GHS av":59790.5}]}`,
		"power":   `{"STATUS":[{"STATUS":"S","Code":311}],"POWER":[{"Watts":1051,"PSU":false}]}`,
		"devs":    `{"STATUS":[{"STATUS":"S","Code":9}],"DEVS":[{"ASC":0,"Nominal MHS":60000000}]}`,
		"temps":   `{"STATUS":[{"STATUS":"S","Code":201}],"TEMPS":[{"ID":0,"TopLeft":41.5,"BottomRight":52.25}]}`,
	}
}

// minerRig reads one miner, configured as conf has it, through a poller.
func minerRig(t *testing.T, m *miners.Machine, conf config.Miner, replies map[string]string) (*poll.Poller, func()) {
	t.Helper()
	h := miners.NewHost(m)
	h.HandleRPC(4028, func(r miners.Request) miners.Reply {
		if reply, ok := replies[r.Command]; ok {
			return miners.Reply(reply)
		}
		return miners.Reply(`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`)
	})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.HasPrefix(address, conf.Host+":") {
			t.Errorf("dialled %s", address)
		}
		return h.Dial(ctx, network, address)
	}
	u, err := newMinerUnit(Opts{DialMiner: dial}, conf)
	if err != nil {
		t.Fatal(err)
	}
	p, err := poll.New(poll.Opts{}, []poll.Device{u.device()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return p, func() {
		cancel()
		<-ended
		h.Close()
	}
}

func lux(mac string) config.Miner {
	return config.Miner{Node: "asic-1", API: "luxos", Host: "10.0.3.17", MAC: mac, PeriodS: 10}
}

func machine() *miners.Machine {
	return miners.New(miners.Spec{NominalTHs: 60, NominalW: 1051, Boot: time.Minute})
}

// TestAMinerIsRead: its numbers stand under its node's name, what it does not tell is no number, and one that is gone is absent.
func TestAMinerIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine()
		p, end := minerRig(t, m, lux("02:00:5e:10:00:01"), luxReplies())
		defer end()
		time.Sleep(time.Second)
		at := func(q rack.Quantity, i int) rack.Reading {
			r, ok := p.Latest(rack.Point{Device: "asic-1", Quantity: q, Index: i})
			if !ok {
				t.Fatalf("no point %s.%d", q, i)
			}
			return r
		}
		for q, want := range map[rack.Quantity]float64{rack.HashTHs: 59.7561, rack.HashMeanTHs: 59.7905, rack.HashPlanTHs: 60, rack.ToldW: 1051, rack.Hashing: 1, rack.AsleepFlag: 0} {
			if r := at(q, 1); r.Quality != rack.QualityOK || r.Value < want-1e-6 || r.Value > want+1e-6 {
				t.Errorf("%s: %+v, want %g", q, r, want)
			}
		}
		if r := at(rack.TempC, 2); r.Quality != rack.QualityOK || r.Value != 52.25 {
			t.Errorf("the board: %+v", r)
		}
		for _, r := range []rack.Reading{at(rack.LimitW, 1), at(rack.TempC, 1)} {
			if r.Quality != rack.QualityBad || r.Reason != notTold {
				t.Errorf("not told: %+v", r)
			}
		}
		m.Set(miners.Refuses, true)
		time.Sleep(5 * time.Minute)
		if r := at(rack.HashTHs, 1); r.Quality != rack.QualityAbsent {
			t.Errorf("gone: %+v", r)
		}
		m.Set(miners.Refuses, false)
		time.Sleep(5 * time.Minute)
		if r := at(rack.HashTHs, 1); r.Quality != rack.QualityOK {
			t.Errorf("back: %+v", r)
		}
	})
}

// TestWhatsminersAreRead by either version of their interface, awake and asleep.
func TestWhatsminersAreRead(t *testing.T) {
	for api, ports := range map[string]whatsminer.Opts{"whatsminer-v2": {V2: true}, "whatsminer-v3": {V3: true}} {
		synctest.Test(t, func(t *testing.T) {
			m := miners.New(miners.Spec{
				Model: "M56S_VH30", MAC: "02:00:5e:10:00:01", NominalTHs: 120, NominalW: 3300, StandbyW: 13, Boot: time.Minute, Ramp: time.Minute, Fall: time.Second,
				Profiles: []miners.Profile{{Name: "normal", W: 3300, THs: 120}},
			})
			h := miners.NewHost(m)
			defer h.Close()
			whatsminer.New(m, h, ports)
			conf := lux("02:00:5e:10:00:01")
			conf.API = api
			u, err := newMinerUnit(Opts{DialMiner: h.Dial}, conf)
			if err != nil {
				t.Fatal(err)
			}
			d := u.device()
			read := func() map[rack.Quantity]float64 {
				t.Helper()
				got, err := d.Read(t.Context())
				if err != nil || len(got) != len(d.Points) {
					t.Fatalf("%s: %v, %v", api, got, err)
				}
				out := map[rack.Quantity]float64{}
				for _, r := range got {
					if r.Quality == "" {
						out[r.Point.Quantity] = r.Value
					}
				}
				return out
			}
			if got := read(); got[rack.HashTHs] != 120 || got[rack.ToldW] != 3300 || got[rack.Hashing] != 1 || got[rack.AsleepFlag] != 0 {
				t.Errorf("%s: %v", api, got)
			}
			m.Sleep()
			time.Sleep(time.Minute)
			if got := read(); got[rack.Hashing] != 0 || got[rack.AsleepFlag] != 1 || got[rack.HashTHs] != 0 || got[rack.ToldW] != 13 || got[rack.HashMeanTHs] < 100 {
				t.Errorf("%s, asleep: %v", api, got)
			}
		})
	}
}

// TestAnotherMinerAtTheAddress is not the node.
func TestAnotherMinerAtTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, end := minerRig(t, machine(), lux("02:00:5e:10:00:99"), luxReplies())
		defer end()
		time.Sleep(time.Minute)
		r, _ := p.Latest(rack.Point{Device: "asic-1", Quantity: rack.HashTHs, Index: 1})
		if r.Quality != rack.QualityAbsent || r.Reason != drivers.WrongDevice.String() || !r.At.IsZero() {
			t.Errorf("%+v", r)
		}
	})
}

// TestAMinerThatHangs holds nobody up for longer than its own time.
func TestAMinerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine()
		m.Set(miners.Hangs, true)
		_, end := minerRig(t, m, lux(""), luxReplies())
		time.Sleep(time.Minute)
		began := time.Now()
		end()
		if took := time.Since(began); took > minerTimeout {
			t.Errorf("it took %s to end", took)
		}
	})
}

// TestMinersWithoutANetwork are absent, and the rest of the rack is read.
func TestMinersWithoutANetwork(t *testing.T) {
	d, err := newMinerUnit(Opts{}, lux(""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.device().Read(t.Context()); !errors.Is(err, drivers.Unreachable) {
		t.Errorf("%v", err)
	}
	if _, err := newMinerUnit(Opts{}, config.Miner{Node: "asic-1", API: "telnet", Host: "a"}); err == nil {
		t.Error("an interface that there is not")
	}
}

// TestConnectionsAreBounded: who finds no room waits for it, within its own time.
func TestConnectionsAreBounded(t *testing.T) {
	open := 0
	dial := atMost(2, func(context.Context, string, string) (net.Conn, error) {
		open++
		a, _ := net.Pipe()
		return a, nil
	})
	get := func(ctx context.Context) net.Conn {
		t.Helper()
		c, err := dial(ctx, "tcp", "a:1")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, _ := get(t.Context()), get(t.Context())
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(short, "tcp", "a:1"); err == nil || open != 2 {
		t.Errorf("a third one: %v, %d open", err, open)
	}
	_, _ = one.Close(), one.Close()
	get(t.Context())
	if _, err := dial(short, "tcp", "a:1"); err == nil || open != 3 {
		t.Errorf("closed twice, it gave two places back: %v, %d", err, open)
	}
}
