package pdu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pmbus"
)

// hotSwapMeter is one ADM1272 with the slot behind it, which it measures and can switch.
type hotSwapMeter struct {
	conn     i2cbus.Conn
	dev      *adm1272.Dev
	name     string
	settling time.Duration
	index    int
	load     *metered // nil: nothing hangs on it

	mu      sync.Mutex
	meter   *pmbus.Meter
	joules  float64
	since   time.Time // begin of the epoch; zero: none
	settled time.Time
}

func newHotSwap(conn i2cbus.Conn, name string, o adm1272.Opts, model *Model, index int) (*hotSwapMeter, error) {
	o.Name = name
	dev, err := adm1272.New(conn, o)
	if err != nil {
		return nil, err
	}
	m := &hotSwapMeter{conn: conn, dev: dev, name: name, settling: model.Settling, index: index}
	for _, l := range loads(model, index, func(int) counter { return counter{} }) { // it counts by a pmbus.Meter
		m.load = l
	}
	return m, nil
}

func (m *hotSwapMeter) sample(ctx context.Context) (s MeterSample, err error) {
	err = m.conn.Do(ctx, func(tx i2c.Bus) error {
		s, err = m.measure(ctx, m.dev.On(tx))
		return err
	})
	if err != nil {
		return MeterSample{}, err
	}
	return s, nil
}

func (m *hotSwapMeter) measure(ctx context.Context, dev *adm1272.Dev) (MeterSample, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.settled) {
		return MeterSample{}, m.unsettled(nil)
	}
	at := time.Now()
	r, err := dev.Sense(ctx)
	switch {
	case errors.Is(err, drivers.NotRead), errors.Is(err, drivers.Mismatch), errors.Is(err, drivers.Restarted):
		return MeterSample{}, m.configure(ctx, dev, err)
	case err != nil:
		return MeterSample{}, err
	}
	s := MeterSample{Meter: m.index, At: at}
	if m.load == nil {
		return s, nil
	}
	o, err := m.convert(r, at)
	s.Outlets = []OutletSample{o}
	return s, err
}

// configure learns what the part is and has it sample everything, which is also what tells later that it lost its
// supply. It always returns an error: the first values come with a later sample. Of a part that is the right one and set
// up otherwise no value ever comes; its slot can be cut, and not energised.
func (m *hotSwapMeter) configure(ctx context.Context, dev *adm1272.Dev, why error) error {
	m.meter = nil
	if _, err := dev.Identify(ctx); err != nil {
		return err
	}
	if err := dev.Configure(ctx); err != nil {
		return err
	}
	m.settled = time.Now().Add(m.settling)
	return m.unsettled(why)
}

// convert gives the slot's values; one that the part did not give, or that cannot be, spoils the sample.
func (m *hotSwapMeter) convert(r adm1272.Measurement, at time.Time) (OutletSample, error) {
	if r.VIN == nil || r.IOUT == nil || r.PIN == nil {
		return OutletSample{}, m.fail(drivers.Unsupported, errors.New("the part does not sample voltage, current and power"))
	}
	for _, f := range []drivers.Fault{r.VIN.Fault, r.IOUT.Fault, r.PIN.Fault} {
		if f != drivers.None {
			return OutletSample{}, m.fail(f, nil)
		}
	}
	o := OutletSample{
		N: m.load.n, Supply: m.load.supply, W: watts(r.PIN.Value), A: float64(r.IOUT.Value) / float64(physic.Ampere),
		V:   float64(r.VIN.Value) / float64(physic.Volt),
		Raw: Codes{W: uint32(r.PIN.Raw), A: uint32(r.IOUT.Raw), V: uint32(r.VIN.Raw)},
	}
	o.EnergyWh, o.Since = m.book(r, at)
	return o, nil
}

// book adds up the part's accumulator. A gap that it cannot bridge begins a new epoch at 0: nothing is estimated.
func (m *hotSwapMeter) book(r adm1272.Measurement, at time.Time) (wh float64, since time.Time) {
	if r.Energy == nil || r.Energy.Fault != drivers.None {
		m.meter = nil
		return 0, time.Time{}
	}
	if m.meter == nil {
		m.meter, m.joules, m.since = pmbus.NewMeter(adm1272.Accumulator(), 0), 0, at
	}
	in := m.meter.Add(r.Energy.Count, math.NaN(), at)
	switch in.Basis {
	case pmbus.Counted:
		if p, ok := m.dev.MeanPower(in.Code); ok && p > 0 {
			m.joules += watts(p) * in.Elapsed.Seconds()
		}
	case pmbus.Reference:
		m.joules, m.since = 0, at
	}
	return m.joules / 3600, m.since
}

func (m *hotSwapMeter) unsettled(why error) error { return m.fail(drivers.Settling, why) }

func (m *hotSwapMeter) fail(f drivers.Fault, why error) error {
	return &drivers.Error{Op: "read", Device: fmt.Sprintf("adm1272 %q", m.name), Fault: f, Err: why}
}

// operation is a hot-swap part as the relay of its slot: bit 0 of the latch is OPERATION, and there is no direction,
// since the part always drives its MOSFET.
type operation struct{ dev *adm1272.Dev }

const operationOn uint16 = 1

// String names the part.
func (o operation) String() string { return o.dev.String() }

// Read gives OPERATION as a latch. drivers.Foreign: it holds neither on nor off.
func (o operation) Read(ctx context.Context) (chip.Words, error) {
	latch, err := o.ReadLatch(ctx)
	return chip.Words{Latch: latch, Direction: ^operationOn}, err
}

// ReadLatch gives OPERATION as bit 0.
func (o operation) ReadLatch(ctx context.Context) (uint16, error) {
	on, err := o.dev.ReadOperation(ctx)
	if err != nil || !on {
		return 0, err
	}
	return operationOn, nil
}

// WriteLatch writes OPERATION and reads it back.
func (o operation) WriteLatch(ctx context.Context, word uint16) (chip.Written, error) {
	w, err := o.dev.WriteOperation(ctx, word&operationOn != 0)
	if w.Word != 0 { // OPERATION in the part's own code: 80 is on
		w.Word = operationOn
	}
	return w, err
}

// WriteDirection refuses: there is none.
func (o operation) WriteDirection(context.Context, uint16) (chip.Written, error) {
	return chip.Written{}, &drivers.Error{Op: "write", Device: o.String(), Reg: "direction", Fault: drivers.Unsupported}
}

// operationPart is a hot-swap part among the parts that switch outlets.
func operationPart() relayPart {
	return relayPart{name: "operation", pins: 1}
}

var _ relayChip = operation{}
