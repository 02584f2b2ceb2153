package agent_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
)

// withMiner gives node asic-1 an interface that answers like LuxOS, and asic-2 one that hangs.
func withMiner(r *rig, t *testing.T) (*miners.Machine, func()) {
	t.Helper()
	m := miners.New(miners.Spec{NominalTHs: 100, NominalW: 3250, Boot: time.Minute})
	hung := miners.New(miners.Spec{NominalTHs: 100, NominalW: 3250, Boot: time.Minute})
	hung.Set(miners.Hangs, true)
	hosts := map[string]*miners.Host{"10.0.3.1:4028": miners.NewHost(m), "10.0.3.2:4028": miners.NewHost(hung)}
	for _, h := range hosts {
		h.HandleRPC(4028, func(q miners.Request) miners.Reply {
			switch q.Command {
			case "config":
				return miners.Reply(`{"STATUS":[{"STATUS":"S","Code":33}],"CONFIG":[{"CurtailMode":"None","Profile":"default"}]}`)
			case "summary":
				return miners.Reply(`{"STATUS":[{"STATUS":"S","Code":11}],"SUMMARY":[{"Elapsed":5,"GHS 5s":100000}]}`)
			default:
				return miners.Reply(`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`)
			}
		})
	}
	r.conf.Miners = []config.Miner{{Node: "asic-1", API: "luxos", Host: "10.0.3.1", PeriodS: 10}, {Node: "asic-2", API: "luxos", Host: "10.0.3.2", PeriodS: 10}}
	r.change = func(w *agent.World) {
		w.DialMiner = func(ctx context.Context, network, address string) (net.Conn, error) {
			return hosts[address].Dial(ctx, network, address)
		}
	}
	return m, func() {
		for _, h := range hosts {
			h.Close()
		}
	}
}

// TestMinersAreRead: what a miner says stands in telemetry and in the status, and one that hangs delays neither the start nor
// a cut.
func TestMinersAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m, closeHosts := withMiner(r, t)
		defer closeHosts()
		began := time.Now()
		r.start()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the start waited %s", took)
		}
		time.Sleep(10 * time.Second)
		st := r.agent.Status()
		if len(st.Miners) != 2 {
			t.Fatalf("%+v", st.Miners)
		}
		one, two := st.Miners[0], st.Miners[1]
		if one.Hashing == nil || !*one.Hashing || *one.THs != 100 || one.OutletW == nil || one.JTH == nil || *one.JTH != *one.OutletW/100 || one.ToldW != nil || one.Why != "" || *one.AgeS > 10 {
			t.Errorf("%+v", one)
		}
		if two.Hashing != nil || two.THs != nil || two.Why == "" || two.AgeS != nil || two.OutletW == nil {
			t.Errorf("%+v", two)
		}
		told := false
		for _, b := range sim.Of[sim.Message](r.world.Trace().Entries()) {
			told = told || strings.Contains(string(b.Payload), `"asic-1":{`) && strings.Contains(string(b.Payload), `"hash_ths":[100]`)
		}
		if !told {
			t.Error("no batch tells the hashrate")
		}
		began = time.Now()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateSucceeded, "")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the cut took %s", took)
		}
		m.Set(miners.Refuses, true)
		time.Sleep(5 * time.Minute)
		if one := r.agent.Status().Miners[0]; one.Hashing != nil || one.THs != nil || !strings.Contains(one.Why, "absent") || one.JTH != nil {
			t.Errorf("gone: %+v", one)
		}
		r.close()
	})
}
