package pdu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip/tmp75"
	"rackagent/drivers/i2cbus"
)

// TempSample is what one temperature sensor measured.
type TempSample struct {
	Sensor int // counted from 0, in the order of the model
	C      float64
	At     time.Time
	Raw    uint16
	Err    error // not nil: the other fields but Sensor mean nothing
}

// sensor is one TMP75. Its mutex is there for the same reason as a meter's.
type sensor struct {
	conn i2cbus.Conn
	opts tmp75.Opts

	mu      sync.Mutex
	settled time.Time
}

// Sensors is how many temperature sensors there are.
func (p *PDU) Sensors() int { return len(p.sensors) }

// Temps reads all temperature sensors, each in a job of its own. A sensor that is not at full resolution is
// configured and gives drivers.Settling until its first conversion. One that fails does not hide the others: its
// sample has Err set, and the error returned joins all of these.
func (p *PDU) Temps(ctx context.Context) ([]TempSample, error) {
	var out []TempSample
	var errs []error
	for i, sen := range p.sensors {
		s := TempSample{Sensor: i}
		s.Err = sen.conn.Do(ctx, func(tx i2c.Bus) error { return sen.sample(ctx, tx, &s) })
		if s.Err != nil {
			s = TempSample{Sensor: i, Err: s.Err}
			errs = append(errs, s.Err)
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

func (s *sensor) sample(ctx context.Context, tx i2c.Bus, to *TempSample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	chip, err := tmp75.New(tx, s.opts)
	if err != nil {
		return err
	}
	if time.Now().Before(s.settled) {
		return s.unsettled(nil)
	}
	to.At = time.Now()
	r, err := chip.Sense(ctx)
	if drivers.FaultOf(err) == drivers.Restarted {
		return s.configure(ctx, chip, err)
	}
	if err != nil {
		return err
	}
	to.C, to.Raw = r.Temperature.Celsius(), r.Raw
	return nil
}

func (s *sensor) configure(ctx context.Context, chip *tmp75.Dev, why error) error {
	if _, err := chip.Identify(ctx); err != nil {
		return err
	}
	if err := chip.Configure(ctx); err != nil {
		return err
	}
	s.settled = time.Now().Add(tmp75.Conversion)
	return s.unsettled(why)
}

func (s *sensor) unsettled(why error) error {
	return &drivers.Error{Op: "read", Device: fmt.Sprintf("tmp75 %q", s.opts.Name), Fault: drivers.Settling, Err: why}
}
