package i2cbus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// read asks an expander for its latch.
func read(c i2cbus.Conn, addr uint16) error { return c.Tx(addr, []byte{0x02}, make([]byte, 2)) }

// A part holds the data line in the middle of a read: nine clocks free it, and whoever waited goes on.
func TestNineClocksFreeTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewBus("b1", drivertest.BusOpts{BitRate: 100_000})
		sim.Attach("a", 0x20, drivertest.NewTCA9555(nil))
		sim.Attach("b", 0x21, drivertest.NewTCA9555(nil))
		clocks := 0
		b := i2cbus.New(sim, i2cbus.Opts{Recover: func(context.Context) error { clocks++; sim.Recover(); return nil }})
		defer b.Close()
		sim.Inject(drivertest.Fault{Kind: drivertest.FaultStuck})
		for _, addr := range []uint16{0x20, 0x21} {
			if err := read(b.Poll(), addr); !errors.Is(err, drivers.BusFault) {
				t.Errorf("0x%02x: %v", addr, err)
			}
		}
		if err := read(b.Act(), 0x20); err != nil || clocks != 1 {
			t.Errorf("%v after %d recoveries", err, clocks)
		}
		if v := sim.Violations(); len(v) != 0 {
			t.Error(v)
		}
	})
}

// Time-outs of one part beside others that answer are that part's: no recovery, nobody refused.
func TestOneBadPartIsNoBadBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewBus("b1", drivertest.BusOpts{})
		sim.Attach("a", 0x20, drivertest.NewTCA9555(nil))
		sim.Attach("b", 0x21, drivertest.NewTCA9555(nil))
		b := i2cbus.New(sim, i2cbus.Opts{Recover: func(context.Context) error { t.Error("recovered"); return nil }})
		defer b.Close()
		sim.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Chip: "a"})
		for range 20 {
			if err := read(b.Poll(), 0x20); !errors.Is(err, drivers.Timeout) {
				t.Error(err)
			}
			if err := read(b.Poll(), 0x21); err != nil {
				t.Error(err)
			}
		}
	})
}

// A channel of a mux with a reset pin holds the bus: the mux frees it within its own job, and the bus is not found bad.
func TestMuxThatResetsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, mux := drivertest.NewBus("b1", drivertest.BusOpts{}), drivertest.NewPCA9548()
		sim.Attach("mux", 0x70, mux)
		mux.Channel(0).Attach("a", 0x20, drivertest.NewTCA9555(nil))
		mux.Channel(1).Attach("b", 0x20, drivertest.NewTCA9555(nil))
		b := i2cbus.New(sim, i2cbus.Opts{Recover: func(context.Context) error { t.Error("recovered"); return nil }})
		defer b.Close()
		resets := 0
		dev, err := pca9548.New(b.Poll(), pca9548.Opts{Addr: 0x70, Reset: func(context.Context) error { resets++; mux.Reset(); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		bad, _ := dev.Port(0)
		good, _ := dev.Port(1)
		if err := read(good, 0x20); err != nil {
			t.Fatal(err)
		}
		mux.Hang(0, false)
		if err := read(bad, 0x20); err == nil {
			t.Error("read through a held channel")
		}
		if err := read(good, 0x20); err != nil || resets != 1 || b.Stats().Bad != 0 {
			t.Errorf("%v after %d resets, found bad %d times", err, resets, b.Stats().Bad)
		}
	})
}

// An act waits for at most the one transfer in progress, however much is polled: at 100 kHz a block of 32 bytes with its
// pointer takes 3.18 ms, and the act's own two bytes 0.29 ms.
func TestActWaitsForOneTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewBus("b1", drivertest.BusOpts{BitRate: 100_000})
		meter, err := drivertest.NewAT24C02(make([]byte, 256), nil)
		if err != nil {
			t.Fatal(err)
		}
		sim.Attach("meter", 0x50, meter)
		sim.Attach("relays", 0x20, drivertest.NewTCA9555(nil))
		b := i2cbus.New(sim, i2cbus.Opts{})
		defer b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wire := func(w, r int) time.Duration { return time.Duration(drivertest.Bits(w, r)) * 10 * time.Microsecond }
		longest := wire(1, 32)
		for range 8 {
			go func() {
				for ctx.Err() == nil {
					_ = b.Poll().Tx(0x50, []byte{0}, make([]byte, 32))
				}
			}()
		}
		worst := time.Duration(0)
		for n := range 500 {
			time.Sleep(time.Duration(n%37) * 173 * time.Microsecond) // any moment within a transfer
			began := time.Now()
			if err := b.Act().Tx(0x20, []byte{0x02, 0x00}, nil); err != nil {
				t.Fatal(err)
			}
			worst = max(worst, time.Since(began))
		}
		if limit := longest + wire(2, 0); worst > limit || worst < limit-wire(2, 0) {
			t.Errorf("an act took up to %s, one transfer and its own are %s", worst, limit)
		}
		if s := b.Stats(); s.Act.Max > longest {
			t.Errorf("an act waited %s", s.Act.Max)
		}
	})
}
