package inventory

import (
	"context"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers/i2cbus"
)

// batch makes one job of all that a part's Sense does, so that a mux in front of it is switched once and not for every
// transfer. It is for parts that do not wait in between: whoever holds the bus keeps it from the others. Like the sensor
// it belongs to, it is used by one goroutine at a time.
type batch struct {
	i2cbus.Conn
	tx i2c.Bus // not nil: a job is under way
}

// Tx is a transfer of the job under way, or one of its own.
func (b *batch) Tx(addr uint16, w, r []byte) error {
	if b.tx != nil {
		return b.tx.Tx(addr, w, r)
	}
	return b.Conn.Tx(addr, w, r)
}

// Do joins the job under way, or is one of its own.
func (b *batch) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	if b.tx != nil {
		return job(b.tx)
	}
	return b.Conn.Do(ctx, job)
}

// together runs f as one job.
func (b *batch) together(ctx context.Context, f func() error) error {
	return b.Conn.Do(ctx, func(tx i2c.Bus) error {
		b.tx = tx
		defer func() { b.tx = nil }()
		return f()
	})
}

// quick makes the readings of a part one job each.
func (p part) quick(b *batch) part {
	read := p.read
	p.read = func(ctx context.Context) (vs []value, err error) {
		err = b.together(ctx, func() error {
			vs, err = read(ctx)
			return err
		})
		return vs, err
	}
	return p
}

var _ i2cbus.Conn = (*batch)(nil)
