package agent_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// heardOn is a transport that writes down which addresses are sent to.
type heardOn struct {
	i2cbus.Transport
	mu   sync.Mutex
	seen map[uint16]int
}

func (h *heardOn) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	h.mu.Lock()
	h.seen[addr]++
	h.mu.Unlock()
	return h.Transport.Tx(ctx, addr, w, r)
}

func (h *heardOn) since() map[uint16]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.seen
	h.seen = map[uint16]int{}
	return seen
}

// empty is a bus on which nothing answers.
type empty struct{}

func (empty) Tx(context.Context, uint16, []byte, []byte) error { return drivers.NoAnswer }
func (empty) Close() error                                     { return nil }
func (empty) String() string                                   { return "/dev/i2c-5" }

// Relays on a bus and on a channel of a kernel's mux on it have one address: a cut of one would be a cut of the other.
// Neither gets anything, from the start or from when the channel is seen; the rest of both buses goes on.
func TestBusAndItsChannelShareNoRelays(t *testing.T) {
	for name, late := range map[string]bool{"there at the start": false, "a mux that comes later": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.conf.Buses = append(slices.Clone(r.conf.Buses), config.Bus{Name: "ch0", Device: "/dev/i2c-5"})
				r.conf.Sensors = []config.Sensor{{Name: "fans", Part: "max31790", Bus: "ch0", Address: 0x20, PeriodS: 1}, {Name: "inlet", Part: "lm75", Bus: "ch0", Address: 0x4b, PeriodS: 1}}
				trunk, channel := &heardOn{seen: map[uint16]int{}}, &heardOn{Transport: empty{}, seen: map[uint16]int{}}
				began := time.Now()
				absent := func() bool { return late && time.Since(began) < 25*time.Second }
				r.change = func(w *agent.World) {
					open := w.Bus
					w.Bus = func(ctx context.Context, b config.Bus) (i2cbus.Transport, error) {
						if b.Name != "ch0" {
							t, err := open(ctx, b)
							trunk.Transport = t
							return trunk, err
						}
						if absent() {
							return nil, drivers.Unsupported
						}
						return channel, nil
					}
					w.Owned = func(b config.Bus) (agent.Wires, error) {
						switch {
						case b.Name != "ch0":
							return agent.Wires{Adapter: "/dev/i2c-1"}, nil
						case absent():
							return agent.Wires{}, nil
						default:
							return agent.Wires{Adapter: "/dev/i2c-5", Above: []string{"/dev/i2c-1"}}, nil
						}
					}
				}
				r.start()
				if late {
					r.send("before", "outlet.cut", "outlet/pdu-a.2")
					r.expect("before", rack.StateSucceeded, "")
					time.Sleep(time.Until(began.Add(40 * time.Second)))
					trunk.since()
				}
				r.send("c1", "outlet.cut", "outlet/pdu-a.3")
				time.Sleep(10 * time.Second)
				if s := r.await("c1"); s.State == rack.StateSucceeded || s.State == rack.StateConfirmed {
					t.Errorf("ended %s", s.State)
				}
				if seen := trunk.since(); seen[0x20] > 0 || seen[0x38] == 0 {
					t.Errorf("sent on the bus: %v", slices.Collect(maps.Keys(seen)))
				}
				if seen := channel.since(); seen[0x20] > 0 || seen[0x4b] == 0 {
					t.Errorf("sent on the channel: %v", slices.Collect(maps.Keys(seen)))
				}
				r.close()
			})
		})
	}
}

// A kernel driver holds the address of the relays: nothing is sent there, not even a read, and a cut moves nothing.
func TestWhatAKernelDriverOwnsIsLeftAlone(t *testing.T) {
	for name, late := range map[string]bool{"a bus that is there at the start": false, "one that comes later": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				wire, opened := &heardOn{seen: map[uint16]int{}}, 0
				r.change = func(w *agent.World) {
					open := w.Bus
					w.Bus = func(ctx context.Context, b config.Bus) (i2cbus.Transport, error) {
						if opened++; late && opened == 1 {
							return nil, drivers.Unsupported
						}
						t, err := open(ctx, b)
						wire.Transport = t
						return wire, err
					}
					w.Owned = func(config.Bus) (agent.Wires, error) {
						if wire.Transport == nil {
							return agent.Wires{}, nil
						}
						return agent.Wires{Owned: map[uint16]string{0x20: "pca953x"}}, nil
					}
				}
				r.start()
				time.Sleep(time.Minute)
				r.send("c1", "outlet.cut", "outlet/pdu-a.3")
				time.Sleep(10 * time.Second)
				if s := r.await("c1"); s.State == rack.StateSucceeded || s.State == rack.StateConfirmed {
					t.Errorf("ended %s", s.State)
				}
				if seen := wire.since(); seen[0x20] > 0 || seen[0x38] == 0 {
					t.Errorf("sent: %v", slices.Collect(maps.Keys(seen)))
				}
				r.close()
			})
		})
	}
}

// What frees a bus remembers what it has begun, such as an adapter that is away, so it is asked for once.
func TestBusRecoveryIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := fault(t, "stuck="+sim.DemoBus)
		r := newRig(t)
		r.conf.Buses[0].AdapterReset = true
		asked := 0
		r.change = func(w *agent.World) {
			w.Recover = func(config.Bus, i2cbus.Transport) func(context.Context) error {
				asked++
				tried := 0
				return func(context.Context) error {
					if tried++; tried < 3 {
						return errors.New("bind: it failed")
					}
					return r.world.Heal(stuck)
				}
			}
		}
		r.start()
		r.inject("stuck=" + sim.DemoBus)
		time.Sleep(time.Minute)
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(10 * time.Second)
		r.expect("c1", rack.StateSucceeded, "")
		r.close()
	})
}
