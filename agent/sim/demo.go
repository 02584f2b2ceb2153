package sim

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// NewMiner is a miner of 3250 W that boots in 2 s and takes 8 s to full power: a real one takes minutes, too long
// to watch.
func NewMiner(name string) *Miner {
	return &Miner{Name: name, NominalW: 3250, StandbyW: 25, Boot: 2 * time.Second, Ramp: 8 * time.Second}
}

// NewServer is a GPU server of 3200 W with an even pair of supplies.
func NewServer(name string) *Server {
	return &Server{
		Name: name, NominalW: 3200, StandbyW: 30, ShareA: 0.5,
		Boot: 20 * time.Second, Ramp: 10 * time.Second, HoldUp: 10 * time.Millisecond,
	}
}

// DemoFeed, DemoBoard and DemoBus are the names in a Demo.
const (
	DemoFeed  = "feed-a"
	DemoBoard = "pdu-a"
	DemoBus   = "sim-i2c-0"
)

// Demo is a rack with one board: miners asic-1 to asic-3 on outlets 1 to 3, a fan tray of 180 W on outlet 4, nothing
// on 5 and 6, and the server gpu-1 on 7 and 8.
func Demo(seed uint64) Config {
	on := func(l Load, outlets ...int) Plug {
		p := Plug{Load: l}
		for _, n := range outlets {
			p.Outlets = append(p.Outlets, rack.OutletID{PDU: DemoBoard, N: n})
		}
		return p
	}
	return Config{
		Seed:   seed,
		Feeds:  []Feed{{Name: DemoFeed, Volts: 230, Hertz: 50}},
		Boards: []Board{AC8(DemoBoard, DemoBus, "SIM-0001", DemoFeed)},
		Loads: []Plug{
			on(NewMiner("asic-1"), 1),
			on(NewMiner("asic-2"), 2),
			on(NewMiner("asic-3"), 3),
			on(&Resistive{Name: "fan-tray", W: 180}, 4),
			on(NewServer("gpu-1"), 7, 8),
		},
	}
}

// SecondBoard and SecondBus are the names beside those of a Demo in a Showcase.
const (
	SecondBoard = "pdu-b"
	SecondBus   = "sim-i2c-1"
)

// Showcase is the rack of the demo: MinersAndServer, and an AC24 with the miners asic-7 to asic-24 on its outlets 1 to 18.
func Showcase(seed uint64) Config {
	c := MinersAndServer(seed)
	c.Feeds = append(c.Feeds, phase(BankFeedA), phase(BankFeedB), phase(BankFeedC))
	c.Boards = append(c.Boards, AC24(SecondBoard, SecondBus, "SIM-0024", BankFeedA, BankFeedB, BankFeedC))
	for n := 1; n <= 18; n++ {
		c.Loads = append(c.Loads, Plug{Load: NewMiner(fmt.Sprintf("asic-%d", n+6)), Outlets: []rack.OutletID{{PDU: SecondBoard, N: n}}})
	}
	return c
}

// MinersAndServer is a rack with one board in full use: miners asic-1 to asic-6 on outlets 1 to 6, the server gpu-1 on the
// redundant pair 7 and 8.
func MinersAndServer(seed uint64) Config {
	c := Config{
		Seed:   seed,
		Feeds:  []Feed{{Name: DemoFeed, Volts: 230, Hertz: 50}},
		Boards: []Board{AC8(DemoBoard, DemoBus, "SIM-0001", DemoFeed)},
	}
	at := func(n int) rack.OutletID { return rack.OutletID{PDU: DemoBoard, N: n} }
	for n := 1; n <= 6; n++ {
		c.Loads = append(c.Loads, Plug{Load: NewMiner(fmt.Sprintf("asic-%d", n)), Outlets: []rack.OutletID{at(n)}})
	}
	c.Loads = append(c.Loads, Plug{Load: NewServer("gpu-1"), Outlets: []rack.OutletID{at(7), at(8)}})
	return c
}
