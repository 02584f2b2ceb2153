package inventory

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/luxos"
	"rackagent/drivers/miner"
)

// BenchmarkSleepOf200 measures how long it takes until 200 miners of which each needs 20 ms for a reply have taken a sleep and
// say so, beside a program that makes the same requests to all of them at once and keeps no record. Both in turn in one run.
func BenchmarkSleepOf200(b *testing.B) { newCrowd(b, 200, 0).race() }

// BenchmarkSleepOf200With10Hung is the same with ten more that take connections and say nothing; the time is that of the 200.
func BenchmarkSleepOf200With10Hung(b *testing.B) { newCrowd(b, 200, 10).race() }

// service is how long a miner takes for each reply.
const service = 20 * time.Millisecond

// crowd is a rack of miners whose outlets have no meter: what is measured is what is said to them.
type crowd struct {
	b        *testing.B
	alive    int
	machines []*miners.Machine
	units    []*minerUnit
	loop     *power.Loop

	ended chan rack.Outcome
}

// slowly answers late.
type slowly struct {
	net.Conn
	once sync.Once
}

func (s *slowly) Read(p []byte) (int, error) {
	s.once.Do(func() { time.Sleep(service) })
	return s.Conn.Read(p)
}

// memory is a journal without a disk.
type memory struct{}

func (memory) Submit(_ []rack.Record, done func(error)) { go done(nil) }

func newCrowd(b *testing.B, alive, hung int) *crowd {
	b.Helper()
	c := &crowd{b: b, alive: alive, ended: make(chan rack.Outcome, 1)}
	l := rack.Layout{Feeds: []rack.Feed{{Name: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 1e6, Continuous: 1}}}
	all := map[string]power.Miner{}
	for i := range alive + hung {
		m := miners.New(miners.Spec{
			Model: "M56S_VH30", MAC: fmt.Sprintf("02:00:5e:00:%02x:%02x", i/256, i%256), NominalTHs: 120, NominalW: 3200, StandbyW: 20, Fall: time.Millisecond,
			Profiles: []miners.Profile{{Name: "high", W: 3200, THs: 120}},
		})
		host := miners.NewHost(m)
		b.Cleanup(host.Close)
		luxos.New(m, host)
		m.Set(miners.Hangs, i >= alive)
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := host.Dial(ctx, network, address)
			return &slowly{Conn: conn}, err
		}
		name, pdu := fmt.Sprintf("asic-%d", i), fmt.Sprintf("pdu-%d", i/24)
		u, err := newMinerUnit(Opts{DialMiner: dial}, config.Miner{Node: name, API: "luxos", Host: "10.0.0.1", PeriodS: 10})
		if err != nil {
			b.Fatal(err)
		}
		if i%24 == 0 {
			l.PDUs = append(l.PDUs, rack.PDU{Name: pdu, Bus: pdu, Period: time.Second})
		}
		p := &l.PDUs[len(l.PDUs)-1]
		o := rack.Outlet{ID: rack.OutletID{PDU: pdu, N: i%24 + 1}, Feed: "row", RatingA: 32, Continuous: 1}
		p.Outlets = append(p.Outlets, o)
		l.Nodes = append(l.Nodes, rack.Node{Name: name, Class: rack.ClassASIC, Outlets: []rack.OutletID{o.ID}, MaxW: 3300, Wiring: rack.WiringDeclared, API: &u.api})
		c.machines, c.units = append(c.machines, m), append(c.units, u)
		all[name] = u
	}
	c.loop = power.NewLoop(power.Opts{
		Layout: l.Indexed(), Miners: all, Relays: map[string]power.Relays{}, Journal: memory{}, Report: c.report,
		Sample: func(string) {}, Ask: func(string) {}, Event: func(rack.Event) {}, Alarm: func(rack.Alarm) {}, Learnt: func() {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.loop.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	return c
}

func (c *crowd) report(o rack.Outcome) {
	if o.State.Terminal() {
		c.ended <- o
	}
}

// wake puts everything back to the beginning.
func (c *crowd) wake() {
	for _, m := range c.machines {
		m.Wake()
	}
}

// agent tells one command to the loop and gives the time until the last of the living has confirmed it.
func (c *crowd) agent(round int) time.Duration {
	began := time.Now()
	cmd := rack.Command{ID: fmt.Sprintf("c%d", round), Op: rack.OpSleep, Target: rack.Target{Kind: rack.TargetRack}, StartBy: began.Add(time.Minute), Received: began}
	plan, refusal := c.loop.Plan(began, cmd)
	if refusal != nil {
		c.b.Fatal(refusal)
	}
	c.loop.Start(cmd, plan)
	last, alive := int64(0), 0
	for _, t := range (<-c.ended).Targets {
		if t.State == rack.StateConfirmed {
			alive++
			last = max(last, *t.Steps[0].Confirmed)
		}
	}
	if alive != c.alive {
		c.b.Fatalf("%d of %d have confirmed", alive, c.alive)
	}
	return time.UnixMilli(last).Sub(began)
}

// bare makes the same requests, all miners at once.
func (c *crowd) bare() time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for _, u := range c.units[:c.alive] {
		all.Go(func() {
			ctx := context.Background()
			_, err1 := u.miner.Status(ctx)
			_, err2 := u.miner.Setting(ctx)
			_, err3 := u.miner.Sleep(ctx, miner.Urgency{})
			s, err4 := u.miner.Status(ctx)
			if err1 != nil || err2 != nil || err3 != nil || err4 != nil || s.State != miner.Asleep {
				c.b.Error(err1, err2, err3, err4, s.State)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func (c *crowd) race() {
	var ours, bare []float64
	for round := 0; c.b.Loop(); round++ {
		ours = append(ours, c.agent(round).Seconds()*1000)
		c.wake()
		bare = append(bare, c.bare().Seconds()*1000)
		c.wake()
	}
	for name, ms := range map[string][]float64{"agent": ours, "bare": bare} {
		slices.Sort(ms)
		c.b.ReportMetric(ms[len(ms)/2], name+"-p50-ms")
		c.b.ReportMetric(ms[len(ms)-1], name+"-max-ms")
	}
	c.b.ReportMetric(0, "ns/op")
}
