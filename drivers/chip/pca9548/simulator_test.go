package pca9548_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// attach puts an expander on a segment whose latch holds its own number, so that it is seen who answered.
func attach(t *testing.T, s *drivertest.Segment, name string, number byte) {
	t.Helper()
	e := drivertest.NewPCA9554(nil)
	e.Load(number, 0)
	s.Attach(name, 0x27, e)
}

// who asks for that number.
func who(c i2cbus.Conn) (byte, error) {
	var r [1]byte
	err := c.Tx(0x27, []byte{0x01}, r[:])
	return r[0], err
}

func isFenced(err error) bool {
	_, ok := errors.AsType[*pca9548.FencedError](err)
	return ok
}

// rack is a switch with four channels on the trunk and a second one behind its last channel, and a third one, of eight
// channels, beside the first.
type rack struct {
	bus                  *drivertest.Bus
	trunk                *i2cbus.Bus
	outer, inner, beside *drivertest.Mux
	channel              func(mux string, n int) *pca9548.Port
	muxes                map[string]*pca9548.Dev
	resets               int
}

func newRack(t *testing.T) *rack {
	t.Helper()
	r := &rack{
		bus:   drivertest.NewBus("bus", drivertest.BusOpts{}),
		outer: drivertest.NewPCA9545(), inner: drivertest.NewPCA9546(), beside: drivertest.NewPCA9548(),
	}
	r.bus.Attach("outer", 0x70, r.outer)
	r.bus.Attach("beside", 0x71, r.beside)
	r.outer.Channel(3).Attach("inner", 0x72, r.inner)
	for n := range 4 {
		attach(t, r.inner.Channel(n), "expander", byte(0x20+n))
		if n < 3 {
			attach(t, r.outer.Channel(n), "expander", byte(0x10+n))
		}
	}
	for n := range 8 {
		attach(t, r.beside.Channel(n), "expander", byte(0x30+n))
	}
	r.trunk = i2cbus.New(r.bus, i2cbus.Opts{})
	t.Cleanup(func() { _ = r.trunk.Close() })
	var s pca9548.Segment
	reset := func(context.Context) error { r.resets++; r.beside.Reset(); return nil }
	r.muxes = map[string]*pca9548.Dev{}
	add := func(up i2cbus.Conn, o pca9548.Opts) {
		d, err := pca9548.New(up, o)
		if err != nil {
			t.Fatal(err)
		}
		r.muxes[o.Name] = d
	}
	r.channel = func(mux string, n int) *pca9548.Port {
		p, err := r.muxes[mux].Port(n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	add(r.trunk.Poll(), pca9548.Opts{Name: "outer", Addr: 0x70, Part: pca9548.PCA9545, Segment: &s})
	add(r.trunk.Poll(), pca9548.Opts{Name: "beside", Addr: 0x71, Segment: &s, Reset: reset})
	add(r.channel("outer", 3), pca9548.Opts{Name: "inner", Addr: 0x72, Part: pca9548.PCA9546})
	return r
}

func (r *rack) off() bool { return r.outer.Control()|r.inner.Control()|r.beside.Control() == 0 }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		// What an earlier process left connected.
		if err := r.bus.Tx(t.Context(), 0x71, []byte{0x05}, nil); err != nil {
			t.Fatal(err)
		}
		r.outer.Interrupt(1, true)
		for _, c := range []struct {
			mux  string
			n    int
			want byte
		}{
			{"outer", 0, 0x10},
			{"outer", 2, 0x12},
			{"inner", 0, 0x20},
			{"inner", 3, 0x23},
			{"beside", 7, 0x37},
			{"outer", 0, 0x10},
		} {
			if got, err := who(r.channel(c.mux, c.n)); err != nil || got != c.want || !r.off() {
				t.Errorf("%s channel %d: %02x, %v, all off: %t", c.mux, c.n, got, err, r.off())
			}
		}
		if v := r.bus.Violations(); v != nil {
			t.Error(v)
		}
	})
}

// The switch loses its supply between the select and the end of the job, at each transfer in turn: nobody else
// answers at any time, and no wrong number is taken for the right one.
func TestBrownOutInTheMiddleOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for at := range 12 {
			r := newRack(t)
			i := r.bus.Inject(drivertest.Fault{Kind: drivertest.FaultDo, First: uint64(at + 1), Times: 1, Do: func() { r.outer.Reset(); r.inner.Reset() }})
			got, err := who(r.channel("inner", 1))
			if err == nil && got != 0x21 || !r.off() {
				t.Errorf("at %d: %02x, %v, all off: %t", at, got, err, r.off())
			}
			i.Clear()
			if got, err := who(r.channel("inner", 1)); err != nil || got != 0x21 {
				t.Errorf("at %d, the next job: %02x, %v", at, got, err)
			}
		}
	})
}

func TestHangingChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		r.beside.Hang(2, false)
		bad, good := r.channel("beside", 2), r.channel("beside", 3)
		for i, wait := range []time.Duration{time.Second, 2 * time.Second} {
			if _, err := who(bad); !errors.Is(err, drivers.BusFault) || r.resets != i+1 || !r.off() {
				t.Fatalf("%v after %d resets", err, r.resets)
			}
			f, ok := errors.AsType[*pca9548.FencedError](r.muxes["beside"].Fenced(2))
			if !ok || time.Until(f.Until) != wait {
				t.Errorf("%v", r.muxes["beside"].Fenced(2))
			}
			before := r.trunk.Stats()
			if _, err := who(bad); !errors.Is(err, drivers.BusFault) {
				t.Errorf("refused: %v", err)
			}
			if after := r.trunk.Stats(); after.Transfers != before.Transfers {
				t.Errorf("%d transfers for a refused job", after.Transfers-before.Transfers)
			}
			for _, other := range []*pca9548.Port{good, r.channel("outer", 1), r.channel("inner", 2)} {
				if _, err := who(other); err != nil {
					t.Errorf("%s: %v", other, err)
				}
			}
			time.Sleep(wait)
		}
		r.beside.Heal()
		if got, err := who(bad); err != nil || got != 0x32 || r.muxes["beside"].Fenced(2) != nil {
			t.Errorf("healed: %02x, %v", got, err)
		}
	})
}

// A stuck bit shows in the control byte, and no job runs beside its channel. A stuck switch that reads as written
// cannot be found: the data of both parts are then one, which only their own plausibility can tell.
func TestStuckBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		r.beside.StickBit(4, true)
		for _, p := range []*pca9548.Port{r.channel("beside", 1), r.channel("outer", 1), r.channel("inner", 1)} {
			if got, err := who(p); !errors.Is(err, drivers.Mismatch) {
				t.Errorf("%s: %02x, %v", p, got, err)
			}
		}
		r.beside.Heal()
		for _, p := range []*pca9548.Port{r.channel("beside", 1), r.channel("outer", 1)} {
			if _, err := who(p); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	})
}

// A transfer that does not return takes the bus from the job. The channel is fenced, the reset pin is left alone
// because another job may have the bus by then, and the next job proves the switch first.
func TestHungTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		p := r.channel("beside", 2)
		if _, err := who(p); err != nil {
			t.Fatal(err)
		}
		hang := r.bus.Inject(drivertest.Fault{Kind: drivertest.FaultHangHard, Addr: 0x27})
		err := p.Do(t.Context(), func(tx i2c.Bus) error { return tx.Tx(0x27, []byte{0x01}, make([]byte, 1)) })
		if !errors.Is(err, drivers.Hung) || r.resets != 0 || r.muxes["beside"].Fenced(2) == nil {
			t.Errorf("%v, %d resets, %v", err, r.resets, r.muxes["beside"].Fenced(2))
		}
		hang.Clear()
		synctest.Wait()
		if got, err := who(r.channel("beside", 3)); err != nil || got != 0x33 {
			t.Errorf("the others: %02x, %v", got, err)
		}
		time.Sleep(time.Second)
		if got, err := who(p); err != nil || got != 0x32 {
			t.Errorf("%02x, %v", got, err)
		}
	})
}

// A job that leaves the bus idle loses it while its channel is connected. The next one, which runs before the first
// has returned, must not meet that channel.
func TestRevokedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		slow, next := r.channel("beside", 2), r.channel("outer", 1)
		if _, err := who(slow); err != nil { // nothing is in doubt any more
			t.Fatal(err)
		}
		if _, err := who(next); err != nil {
			t.Fatal(err)
		}
		lost := make(chan error)
		go func() {
			lost <- slow.Do(t.Context(), func(tx i2c.Bus) error {
				time.Sleep(time.Minute)
				return tx.Tx(0x27, []byte{0x01}, make([]byte, 1))
			})
		}()
		synctest.Wait()
		if r.beside.Control() != 0x04 {
			t.Fatalf("control byte %02x", r.beside.Control())
		}
		err := next.Do(t.Context(), func(tx i2c.Bus) error {
			if r.beside.Control() != 0 || r.outer.Control() != 0x02 {
				t.Errorf("control bytes %02x and %02x", r.beside.Control(), r.outer.Control())
			}
			return nil
		})
		if err != nil || !r.off() {
			t.Errorf("%v, all off: %t", err, r.off())
		}
		if err := <-lost; !errors.Is(err, drivers.Cancelled) || r.resets != 0 || r.muxes["beside"].Fenced(2) != nil {
			t.Errorf("%v, %d resets, %v", err, r.resets, r.muxes["beside"].Fenced(2))
		}
		if got, err := who(next); err != nil || got != 0x11 || !r.off() {
			t.Errorf("%02x, %v, all off: %t", got, err, r.off())
		}
	})
}

// A job on the other handle overtakes those that wait, and shares what is known of the switch.
func TestPortOnAnotherHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t)
		relay, err := r.muxes["beside"].PortOn(r.trunk.Act(), 3)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		done := make(chan error, 3)
		start := func(name string, p *pca9548.Port, hold time.Duration) {
			go func() {
				done <- p.Do(t.Context(), func(i2c.Bus) error {
					order = append(order, name)
					time.Sleep(hold)
					return nil
				})
			}()
			synctest.Wait()
		}
		start("first", r.channel("beside", 1), time.Second)
		start("meter", r.channel("beside", 2), 0)
		start("relay", relay, 0)
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(order, []string{"first", "relay", "meter"}) || !r.off() {
			t.Errorf("%q, all off: %t", order, r.off())
		}
		r.beside.Hang(3, false)
		if _, err := who(r.channel("beside", 3)); err == nil {
			t.Error("no error on a held bus")
		}
		if _, err := who(relay); !isFenced(err) {
			t.Errorf("%v", err)
		}
		if _, err := r.muxes["beside"].PortOn(nil, 3); err == nil {
			t.Error("no bus was taken")
		}
	})
}

// bitBanged is a bus whose adapter drives two GPIO lines and does not look at the data line: while that is held low every
// byte is acknowledged and reads as 00.
type bitBanged struct {
	*drivertest.Bus
	low bool
}

func (b *bitBanged) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	if b.low {
		clear(r)
		return nil
	}
	return b.Bus.Tx(ctx, addr, w, r)
}

// Two PDUs, each with its relays behind a switch of its own, at one address. A part of the first one takes the data line
// during a job and lets go of it when the next one has begun. A cut of the second PDU must not reach the first.
func TestCutAfterAHeldLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &bitBanged{Bus: drivertest.NewBus("bus", drivertest.BusOpts{})}
		trunk := i2cbus.New(bus, i2cbus.Opts{})
		defer trunk.Close()
		var s pca9548.Segment
		var relays [2]*drivertest.Expander8
		var port [2]*pca9548.Port
		for i := range relays {
			m := drivertest.NewPCA9548()
			name := []string{"first", "second"}[i]
			bus.Attach(name, uint16(0x70+i), m)
			relays[i] = drivertest.NewPCA9554(nil)
			relays[i].Load(0xf0, 0)
			m.Channel(2+i).Attach("relays", 0x27, relays[i])
			d, err := pca9548.New(trunk.Act(), pca9548.Opts{Name: name, Addr: uint16(0x70 + i), Segment: &s})
			if err != nil {
				t.Fatal(err)
			}
			if port[i], err = d.Port(2 + i); err != nil {
				t.Fatal(err)
			}
			if got, err := who(port[i]); err != nil || got != 0xf0 {
				t.Fatalf("%s: %02x, %v", name, got, err)
			}
		}
		err := port[0].Do(t.Context(), func(tx i2c.Bus) error {
			bus.low = true
			return tx.Tx(0x27, []byte{0x01}, make([]byte, 1))
		})
		if err == nil {
			t.Error("a value was read on a held line")
		}
		bus.low = false
		err = port[1].Do(t.Context(), func(tx i2c.Bus) error { return tx.Tx(0x27, []byte{0x01, 0xe0}, nil) })
		first, _ := who(port[0])
		second, _ := who(port[1])
		if err != nil || first != 0xf0 || second != 0xe0 {
			t.Errorf("%v, latches %02x and %02x", err, first, second)
		}
	})
}

// The channel held the bus seven times and is well again. A poll waits for the end of the minute, an act tries a second
// after the last time, also through a switch behind the channel.
func TestActOnAFencedChannel(t *testing.T) {
	for _, mux := range []string{"outer", "inner"} {
		t.Run(mux, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRack(t)
				act := func(up i2cbus.Conn, mux string, n int) *pca9548.Port {
					p, err := r.muxes[mux].PortOn(up, n)
					if err != nil {
						t.Fatal(err)
					}
					return p
				}
				n, poll, relay := 3, r.channel("inner", 1), act(act(r.trunk.Act(), "outer", 3), "inner", 1)
				if mux == "outer" {
					n, poll, relay = 2, r.channel("outer", 2), act(r.trunk.Act(), "outer", 2)
				}
				if !relay.Acts() || poll.Acts() {
					t.Fatalf("the relay acts: %t, the meter: %t", relay.Acts(), poll.Acts())
				}
				hold := func(p *pca9548.Port) {
					r.outer.Hang(n, false)
					if _, err := who(p); err == nil || isFenced(err) {
						t.Fatalf("on a held bus: %v", err)
					}
					r.outer.Heal()
					r.outer.Reset()
				}
				for range 7 {
					time.Sleep(time.Minute)
					hold(poll)
				}
				refused := func(p *pca9548.Port, left time.Duration) {
					t.Helper()
					before := r.trunk.Stats().Transfers
					_, err := who(p)
					if f, ok := errors.AsType[*pca9548.FencedError](err); !ok || time.Until(f.Until) != left || r.trunk.Stats().Transfers != before {
						t.Errorf("%s: %v", p, err)
					}
				}
				refused(relay, time.Second)
				time.Sleep(time.Second)
				hold(relay) // not well yet: again a second, and a minute for who polls
				refused(relay, time.Second)
				refused(poll, time.Minute)
				time.Sleep(time.Second - 1)
				refused(relay, 1)
				time.Sleep(time.Nanosecond)
				refused(poll, 59*time.Second)
				if _, err := who(relay); err != nil || r.muxes["outer"].Fenced(n) != nil {
					t.Errorf("%v, then %v", err, r.muxes["outer"].Fenced(n))
				}
				if _, err := who(poll); err != nil {
					t.Errorf("the meter after it: %v", err)
				}
			})
		})
	}
}
