package inventory

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

var soakHours = flag.Int("soak", 10, "virtual hours of the soak test")

// ramp is a temperature that never stands still: a reading tells when it was taken. It turns over once a day.
func ramp(phase float64) drivertest.Quantity {
	return func(at time.Time) float64 {
		return 40 + 30*math.Sin(phase+2*math.Pi*float64(at.Unix()%86_400)/86_400)
	}
}

// count is a recorder that keeps nothing but how many transfers there were.
type count struct{ n atomic.Uint64 }

func (c *count) Handed(drivertest.Transfer) uint64 { return c.n.Add(1) }
func (c *count) Returned(drivertest.Transfer)      {}

// soakBus is one bus of the soak: two temperatures, a rail and a board's humidity.
type soakBus struct {
	name  string
	sim   *drivertest.Bus
	made  count
	owner *i2cbus.Bus
	chips []drivertest.Chip
	truth map[rack.Point]drivertest.Quantity
	calm  bool // no faults are ever put in
}

func newSoakBus(n int) *soakBus {
	b := &soakBus{name: fmt.Sprintf("bus-%d", n), calm: n == 3, truth: make(map[rack.Point]drivertest.Quantity)}
	b.sim = drivertest.NewBus(b.name, drivertest.BusOpts{BitRate: 100_000, Recorder: &b.made})
	for k := range 2 {
		q := ramp(float64(n) + float64(k)/3)
		c := drivertest.NewTMP75(q, nil)
		b.add(fmt.Sprintf("temp-%d-%d", n, k), 0x48+uint16(k), c, rack.TempC, q)
	}
	q := ramp(float64(n) + 0.7)
	b.add(fmt.Sprintf("rail-%d", n), 0x40, drivertest.NewINA226(drivertest.INA226Opts{Amps: q, Volts: drivertest.Constant(12), ShuntOhm: 0.0005}), rack.DCAmps, q)
	b.owner = i2cbus.New(b.sim, i2cbus.Opts{})
	return b
}

func (b *soakBus) add(name string, addr uint16, c drivertest.Chip, q rack.Quantity, truth drivertest.Quantity) {
	b.sim.Attach(name, addr, c)
	b.chips = append(b.chips, c)
	b.truth[rack.Point{Device: name, Quantity: q, Index: 1}] = truth
}

// config is the four buses as the configuration has them.
func soakConfig(buses []*soakBus) *config.Config {
	c := &config.Config{}
	for n, b := range buses {
		c.Buses = append(c.Buses, config.Bus{Name: b.name, Device: b.name})
		for k := range 2 {
			c.Sensors = append(c.Sensors, config.Sensor{Name: fmt.Sprintf("temp-%d-%d", n, k), Part: "tmp75", Bus: b.name, Address: config.Address(0x48 + k), PeriodS: soakPeriod.Seconds()})
		}
		c.Sensors = append(c.Sensors, config.Sensor{Name: fmt.Sprintf("rail-%d", n), Part: "ina226", Bus: b.name, Address: 0x40, PeriodS: soakPeriod.Seconds(), ShuntOhm: 0.0005, MaxA: 100})
	}
	return c
}

const soakPeriod = 5 * time.Second

// trouble puts a random fault on a bus and takes it away again after a while.
func (b *soakBus) trouble(r *rand.Rand) (end func()) {
	kinds := []drivertest.FaultKind{
		drivertest.FaultNackAddress, drivertest.FaultNackData, drivertest.FaultTimeout, drivertest.FaultArbitration, drivertest.FaultBusError,
		drivertest.FaultStuck, drivertest.FaultHang, drivertest.FaultHangHard, drivertest.FaultOnes, drivertest.FaultZeros, drivertest.FaultReset,
	}
	// It begins in the middle of a reading as well as before one.
	f := drivertest.Fault{Kind: kinds[r.IntN(len(kinds))], First: b.made.n.Load() + uint64(r.IntN(6))}
	if r.IntN(2) == 0 {
		f.Addr = []uint16{0x40, 0x48, 0x49}[r.IntN(3)]
	}
	if f.Kind == drivertest.FaultReset {
		f.Times = 1
	}
	i := b.sim.Inject(f)
	return func() {
		i.Clear()
		b.sim.Recover()
	}
}

// TestSoak lets four buses run for many hours under random faults: no reading passes as fresh that is not, no bus is
// delayed by another, and neither goroutines nor memory grow.
func TestSoak(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		var buses []*soakBus
		handles := make(map[string]Bus)
		for n := range 4 {
			b := newSoakBus(n)
			buses = append(buses, b)
			handles[b.name] = Bus{Poll: b.owner.Poll(), Act: b.owner.Act()}
		}
		inv, err := Build(Opts{Config: soakConfig(buses), Buses: handles})
		if err != nil {
			t.Fatal(err)
		}
		p, err := poll.New(poll.Opts{}, inv.Devices)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.Run(ctx) })

		r := rand.New(rand.NewPCG(4, 100))
		begin := time.Now()
		var settledHeap uint64
		checked, fresh := 0, 0
		for time.Since(begin) < time.Duration(*soakHours)*time.Hour && !t.Failed() {
			var ends []func()
			for _, b := range buses {
				if !b.calm && r.IntN(3) == 0 {
					ends = append(ends, b.trouble(r))
				}
			}
			for range 6 + r.IntN(30) {
				time.Sleep(time.Duration(1+r.IntN(9)) * time.Second)
				c, f := soakJudge(t, buses, p)
				checked, fresh = checked+c, fresh+f
			}
			for _, end := range ends {
				end()
			}
			time.Sleep(time.Duration(r.IntN(120)) * time.Second)
			if settledHeap == 0 && time.Since(begin) > time.Hour {
				settledHeap = heap()
			}
		}
		if grown := int64(heap()) - int64(settledHeap); grown > 4<<20 {
			t.Errorf("the heap grew by %d KiB after the first hour", grown>>10)
		}
		if fresh*4 < checked {
			t.Errorf("only %d of %d looks found a fresh reading: the test shows nothing", fresh, checked)
		}
		cancel()
		for _, b := range buses {
			b.sim.Recover()
			_ = b.owner.Close()
		}
		wg.Wait()
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// soakJudge compares every reading that passes as good with the truth at the moment it claims to be of.
func soakJudge(t *testing.T, buses []*soakBus, p *poll.Poller) (checked, fresh int) {
	t.Helper()
	now := time.Now()
	for _, b := range buses {
		for point, truth := range b.truth {
			got, ok := p.Latest(point)
			if !ok {
				t.Errorf("no point %s", point)
			}
			checked++
			if got.Quality == rack.QualityOK {
				fresh++
				if age := now.Sub(got.At); got.At.IsZero() || age > 3*soakPeriod {
					t.Errorf("%s passes as fresh at the age of %s", point, age)
				}
				// A conversion may be a second older than the read, and coarse (0.5 °C) where the part has just restarted.
				if want := truth(got.At); math.Abs(got.Value-want) > 0.6 {
					t.Errorf("%s passes as good with %.2f, it is %.2f", point, got.Value, want)
				}
			}
			if b.calm && now.Sub(got.At) > 2*soakPeriod && !got.At.IsZero() {
				t.Errorf("%s on a bus without faults is %s old: another bus delays it", point, now.Sub(got.At))
			}
		}
	}
	return checked, fresh
}
