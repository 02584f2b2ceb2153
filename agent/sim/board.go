package sim

import (
	"fmt"
	"math"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Board describes a metered, switched PDU board: a relay for each outlet on one I/O expander, a metering chip for
// each pair of outlets behind its own channel of a switch, a temperature sensor and an inventory memory.
type Board struct {
	Name         string
	Bus          string
	Serial       string
	Manufacturer string
	Product      string
	Part         string
	Feeds        []string      // of each outlet; one entry stands for all
	Contacts     []ContactKind // of each outlet; their number is the number of outlets, even, at most 16

	MuxAddr, BankAddr, TempAddr, FRUAddr uint16

	// Divider and ShuntOhm set the scale of the meters, with the gain their driver chooses.
	Divider, ShuntOhm float64
	// SpareOutputs makes the expander's pins without a relay outputs too, where the bank begins under control.
	SpareOutputs bool
	Celsius      float64 // where the sensor's reading wanders around
}

// meterAddr is fixed in the ADE7953.
const meterAddr = 0x38

// AC8 is a board of eight outlets for 230 V and 16 A: outlets 1 to 6 open without current in their coils, outlets 7
// and 8 are closed. The meters see the mains through a divider by 991, before the relays, and currents in 1 mΩ.
func AC8(name, bus, serial, feed string) Board {
	return Board{
		Name: name, Bus: bus, Serial: serial, Manufacturer: "Rackagent", Product: "AC8", Part: "AC8-230-16",
		Feeds: []string{feed},
		Contacts: []ContactKind{
			NormallyOpen, NormallyOpen, NormallyOpen, NormallyOpen, NormallyOpen, NormallyOpen, NormallyClosed, NormallyClosed,
		},
		MuxAddr: 0x70, BankAddr: 0x20, TempAddr: 0x48, FRUAddr: 0x50,
		Divider: 991, ShuntOhm: 0.001,
		Celsius: 31,
	}
}

// meterNoise is the largest error of a meter's code: arbitrary, about 0.06 W and 2 mV in an AC8.
const meterNoise = 40

// Devices are the chips of a built board.
type Devices struct {
	Mux    *drivertest.PCA9548
	Bank   *drivertest.TCA9555
	Meters []*drivertest.ADE7953 // meter i sees outlets 2i+1 and 2i+2
	Temp   *drivertest.TMP75
	FRU    *drivertest.AT24
}

func (b *Board) check() error {
	n := len(b.Contacts)
	switch {
	case !rack.ValidName(b.Name):
		return fmt.Errorf("board %q: not a name", b.Name)
	case n == 0 || n > 16 || n%2 != 0:
		return fmt.Errorf("board %q: %d outlets, want an even number up to 16", b.Name, n)
	case len(b.Feeds) != 1 && len(b.Feeds) != n:
		return fmt.Errorf("board %q: %d feeds for %d outlets", b.Name, len(b.Feeds), n)
	}
	for i := 0; i < n; i += 2 {
		if b.feedOf(i) != b.feedOf(i+1) {
			return fmt.Errorf("board %q: outlets %d and %d share a meter and must share a feed", b.Name, i+1, i+2)
		}
	}
	return nil
}

// feedOf is the feed of the outlet with index i, from 0.
func (b *Board) feedOf(i int) string {
	if len(b.Feeds) == 1 {
		return b.Feeds[0]
	}
	return b.Feeds[i]
}

func (b *Board) outlet(i int) rack.OutletID { return rack.OutletID{PDU: b.Name, N: i + 1} }

// closedLatch is the latch that closes all contacts: ones for the contacts a coil closes, and for pins without relay.
func (b *Board) closedLatch() uint16 {
	latch := uint16(0xFFFF)
	for i, kind := range b.Contacts {
		if kind == NormallyClosed {
			latch &^= 1 << i
		}
	}
	return latch
}

// direction is the direction register of a bank under control: relay pins are outputs.
func (b *Board) direction() uint16 {
	if b.SpareOutputs {
		return 0
	}
	return ^uint16(0) << len(b.Contacts)
}

// image is the contents of the inventory memory with a serial number.
func (b *Board) image(serial string) ([]byte, error) {
	return drivertest.FRU{
		Manufacturer: b.Manufacturer, Product: b.Product, Serial: serial, Part: b.Part,
		Made: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
	}.Image()
}

// build makes the outlets in the rack and the chips on the bus.
func (b *Board) build(r *Rack, bus *drivertest.Bus) (*Devices, error) {
	for i, kind := range b.Contacts {
		if err := r.addOutlet(b.outlet(i), b.feedOf(i), kind); err != nil {
			return nil, err
		}
	}
	image, err := b.image(b.Serial)
	if err != nil {
		return nil, err
	}
	fru, err := drivertest.NewAT24C02(image, r.now)
	if err != nil {
		return nil, err
	}
	d := &Devices{
		Mux:  drivertest.NewPCA9548(),
		Bank: drivertest.NewTCA9555(func(p drivertest.Pins) { r.coils(b.Name, p) }),
		Temp: drivertest.NewTMP75(b.celsius(r), r.now),
		FRU:  fru,
	}
	bus.Attach(b.Name+".mux", b.MuxAddr, d.Mux)
	bus.Attach(b.Name+".bank", b.BankAddr, d.Bank)
	bus.Attach(b.Name+".temp.1", b.TempAddr, d.Temp)
	bus.Attach(b.Name+".fru", b.FRUAddr, d.FRU)
	for i := range len(b.Contacts) / 2 {
		m := b.meter(r, i)
		d.Meters = append(d.Meters, m)
		d.Mux.Channel(i).Attach(meterName(b.Name, i), meterAddr, m)
	}
	return d, nil
}

// meterName is what the bus calls a meter; people count from 1.
func meterName(board string, i int) string { return fmt.Sprintf("%s.meter.%d", board, i+1) }

func (b *Board) meter(r *Rack, i int) *drivertest.ADE7953 {
	return drivertest.NewADE7953(drivertest.ADE7953Opts{
		Line:       meter{r, [2]*outlet{r.outlets[b.outlet(2*i)], r.outlets[b.outlet(2*i+1)]}},
		Divider:    b.Divider,
		ShuntOhm:   [2]float64{b.ShuntOhm, b.ShuntOhm},
		NoiseCodes: meterNoise,
		Seed:       r.seed.Stream(3000 + uint64(len(r.order)*16+i)),
		Now:        r.now,
	})
}

// celsius wanders by half a degree in ten minutes: arbitrary.
func (b *Board) celsius(r *Rack) func(time.Time) float64 {
	noise := r.seed.Stream(4000 + uint64(len(r.order)))
	return func(at time.Time) float64 {
		phase := float64(at.Unix()%600) / 600 * 2 * math.Pi
		return b.Celsius + 0.5*math.Sin(phase) + 0.06*noise.At(at.UnixNano()/int64(time.Second))
	}
}
