package sim

// socket is an outlet with a relay and a meter input of its own.
func socket(bank, feed string, meter, input, relays, bit int, contact ContactKind) Socket {
	return Socket{Bank: bank, Feed: feed, Meter: meter, Input: input, Relays: relays, Bit: bit, Contact: contact}
}

// adeBehind is an ADE7953 that sees the mains through a divider by 991, before the relays, and currents in 1 mΩ.
func adeBehind(mux, channel int) MeterPart {
	return MeterPart{Kind: partADE7953, Addr: adeAddr, Mux: mux, Channel: channel, Divider: 991, ShuntOhm: 0.001}
}

// AC8 is a board of eight outlets for 230 V and 16 A: outlets 1 to 6 open without current in their coils, outlets 7
// and 8 are closed. Each pair has a metering chip behind its own channel of a switch.
func AC8(name, bus, serial, feed string) Board {
	b := Board{
		Name: name, Bus: bus, Serial: serial, Manufacturer: "Rackagent", Product: "AC8", Part: "AC8-230-16",
		Muxes: []uint16{0x70}, Relays: []RelayPart{{partTCA9555, 0x20}}, Temps: []uint16{0x48}, FRUAddr: 0x50,
		Celsius: 31,
	}
	for i := range 8 {
		contact := NormallyOpen
		if i >= 6 {
			contact = NormallyClosed
		}
		b.Outlets = append(b.Outlets, socket("a", feed, i/2, i%2, 0, i, contact))
	}
	for i := range 4 {
		b.Meters = append(b.Meters, adeBehind(0, i))
	}
	return b
}

// AC24 is a board of 24 outlets for 230 V and 16 A on three supply banks of eight, a, b and c, each with a feed of its
// own. The last two of each bank are closed without current in their coils. Two expanders drive the relays, 16 and 8;
// twelve metering chips hang behind two switches.
func AC24(name, bus, serial, feedA, feedB, feedC string) Board {
	b := Board{
		Name: name, Bus: bus, Serial: serial, Manufacturer: "Rackagent", Product: "AC24", Part: "AC24-230-16",
		Muxes: []uint16{0x70, 0x71}, Relays: []RelayPart{{partTCA9555, 0x20}, {partTCA9555, 0x21}},
		Temps: []uint16{0x48, 0x49}, FRUAddr: 0x50,
		Celsius: 33,
	}
	for k, feed := range []string{feedA, feedB, feedC} {
		for i := range 8 {
			n, contact := 8*k+i, NormallyOpen
			if i >= 6 {
				contact = NormallyClosed
			}
			b.Outlets = append(b.Outlets, socket([]string{"a", "b", "c"}[k], feed, n/2, n%2, n/16, n%16, contact))
		}
	}
	for i := range 12 {
		b.Meters = append(b.Meters, adeBehind(i/8, i%8))
	}
	return b
}

// AC8Bank is a board of eight outlets for 230 V and 10 A on two supply banks of four, a and b. All open without current
// in their coils. Each bank has one metering chip, no outlet has one of its own.
func AC8Bank(name, bus, serial, feedA, feedB string) Board {
	b := Board{
		Name: name, Bus: bus, Serial: serial, Manufacturer: "Rackagent", Product: "AC8B", Part: "AC8B-230-10",
		Relays:   []RelayPart{{partPCA9554A, 0x38}},
		Meters:   []MeterPart{{Kind: partMCP39F5, Addr: 0x74, Channel: Upstream}, {Kind: partMCP39F5, Addr: 0x75, Channel: Upstream}},
		Supplies: []Supply{{Bank: "a", Meter: 0}, {Bank: "b", Meter: 1}},
		Temps:    []uint16{0x48}, FRUAddr: 0x50,
		Celsius: 29,
	}
	for i := range 8 {
		bank, feed := "a", feedA
		if i >= 4 {
			bank, feed = "b", feedB
		}
		b.Outlets = append(b.Outlets, socket(bank, feed, Unmetered, 0, 0, i, NormallyOpen))
	}
	return b
}

// DC6 is a shelf of six slots for 54 V and 50 A. Each slot has a hot-swap controller behind its own channel of a switch,
// which measures it over 0.5 mΩ and switches it. The controllers live on the feed, and start with their output on.
func DC6(name, bus, serial, feed string) Board {
	b := Board{
		Name: name, Bus: bus, Serial: serial, Manufacturer: "Rackagent", Product: "DC6", Part: "DC6-54-50",
		Muxes: []uint16{0x70}, Temps: []uint16{0x48}, FRUAddr: 0x50,
		Celsius: 35,
	}
	for i := range 6 {
		b.Outlets = append(b.Outlets, Socket{Bank: "a", Feed: feed, Meter: i, Slot: true})
		b.Meters = append(b.Meters, MeterPart{Kind: partADM1272, Addr: 0x10, Channel: i, ShuntOhm: 0.0005})
	}
	return b
}
