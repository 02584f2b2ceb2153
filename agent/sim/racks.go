package sim

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// Feeds of the racks below, one for each supply bank.
const (
	BankFeedA = "bank-a"
	BankFeedB = "bank-b"
	BankFeedC = "bank-c"
	ShelfFeed = "shelf"
)

// at are outlets of the one board of a rack.
func at(outlets ...int) []rack.OutletID {
	var out []rack.OutletID
	for _, n := range outlets {
		out = append(out, rack.OutletID{PDU: DemoBoard, N: n})
	}
	return out
}

func phase(name string) Feed { return Feed{Name: name, Volts: 230, Hertz: 50} }

// RackAC24 is a rack with one AC24 on three phases: miners asic-1 to asic-12 on the first four outlets of each bank, a fan
// tray on outlet 5, and four servers on pairs of two banks each. gpu-1 to gpu-3 hang on the outlets that close without
// their coils, 7 and 15, 16 and 23, 8 and 24; gpu-4 on 14 and 22, which open, each at another expander.
func RackAC24(seed uint64) Config {
	c := Config{
		Seed:   seed,
		Feeds:  []Feed{phase(BankFeedA), phase(BankFeedB), phase(BankFeedC)},
		Boards: []Board{AC24(DemoBoard, DemoBus, "SIM-0024", BankFeedA, BankFeedB, BankFeedC)},
	}
	for i := range 12 {
		c.Loads = append(c.Loads, Plug{Load: NewMiner(fmt.Sprintf("asic-%d", i+1)), Outlets: at(8*(i/4) + i%4 + 1)})
	}
	c.Loads = append(c.Loads, Plug{Load: &Resistive{Name: "fan-tray", W: 180}, Outlets: at(5)})
	for i, pair := range [][]rack.OutletID{at(7, 15), at(16, 23), at(8, 24), at(14, 22)} {
		c.Loads = append(c.Loads, Plug{Load: NewServer(fmt.Sprintf("gpu-%d", i+1)), Outlets: pair})
	}
	return c
}

// RackMiners24 is a rack with one AC24 in full use: miners asic-1 to asic-24 on its outlets.
func RackMiners24(seed uint64) Config {
	c := Config{
		Seed:   seed,
		Feeds:  []Feed{phase(BankFeedA), phase(BankFeedB), phase(BankFeedC)},
		Boards: []Board{AC24(DemoBoard, DemoBus, "SIM-0024", BankFeedA, BankFeedB, BankFeedC)},
	}
	for i := range 24 {
		c.Loads = append(c.Loads, Plug{Load: NewMiner(fmt.Sprintf("asic-%d", i+1)), Outlets: at(i + 1)})
	}
	return c
}

// RackAC8Bank is a rack with one AC8Bank in full use: miners asic-1 to asic-8 of 1400 W, as old ones are.
func RackAC8Bank(seed uint64) Config {
	c := Config{
		Seed:   seed,
		Feeds:  []Feed{phase(BankFeedA), phase(BankFeedB)},
		Boards: []Board{AC8Bank(DemoBoard, DemoBus, "SIM-0008", BankFeedA, BankFeedB)},
	}
	for i := range 8 {
		m := NewMiner(fmt.Sprintf("asic-%d", i+1))
		m.NominalW, m.StandbyW = 1400, 15
		c.Loads = append(c.Loads, Plug{Load: m, Outlets: at(i + 1)})
	}
	return c
}

// RackDC6 is a rack with one DC6: hash boards asic-1 to asic-4 of 1100 W in slots 1 to 4, and the server gpu-1 of 2200 W
// with a supply in each of the slots 5 and 6.
func RackDC6(seed uint64) Config {
	c := Config{
		Seed:   seed,
		Feeds:  []Feed{{Name: ShelfFeed, Volts: 54}},
		Boards: []Board{DC6(DemoBoard, DemoBus, "SIM-0006", ShelfFeed)},
	}
	for i := range 4 {
		board := &Miner{Name: fmt.Sprintf("asic-%d", i+1), NominalW: 1100, StandbyW: 12, Boot: 2 * time.Second, Ramp: 6 * time.Second, Soft: true}
		c.Loads = append(c.Loads, Plug{Load: board, Outlets: at(i + 1)})
	}
	server := NewServer("gpu-1")
	server.NominalW, server.Soft = 2200, true
	c.Loads = append(c.Loads, Plug{Load: server, Outlets: at(5, 6)})
	return c
}
