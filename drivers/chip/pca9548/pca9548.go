// Package pca9548 drives the 8-channel I2C switch PCA9548A (NXP) / TCA9548A (Texas Instruments, SCPS207): one
// control byte, bit n connects channel n, all off at power-on.
//
// A Port is a bus of its own: each of its jobs runs as one job of the upstream bus, between a select and a
// deselect, so no other traffic of that bus ever meets a selected channel. Parts with equal addresses behind
// several channels or several switches are safe for the same reason. Nothing is remembered to save a write;
// the only thing remembered is doubt, and doubt adds writes.
//
// It is not for a switch that a kernel driver owns: two owners make each other's knowledge wrong.
package pca9548

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x70
	LastAddr  = 0x77
)

// Channels is how many the part has.
const Channels = 8

// noChannel is the control byte with everything disconnected, also the power-on value.
const noChannel = 0x00

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one switch.
type Dev struct {
	// Immutable.
	up   i2cbus.Conn
	addr uint16
	name string

	// doubt is set while it is not proven that all channels are off. It begins set: an earlier process may have
	// died with a channel selected. Only jobs on up touch it; it is atomic because a job that lost a hung bus still
	// returns while the next one runs. Such a job can add doubt but, without the bus, never take it away.
	doubt atomic.Bool
}

// New checks the options and touches nothing. The upstream handle's priority is that of all ports.
func New(up i2cbus.Conn, o Opts) (*Dev, error) {
	if up == nil {
		return nil, errors.New("pca9548: no bus")
	}
	if o.Addr < FirstAddr || o.Addr > LastAddr {
		return nil, fmt.Errorf("pca9548 %q: address 0x%02x is outside 0x%02x-0x%02x", o.Name, o.Addr, FirstAddr, LastAddr)
	}
	d := &Dev{up: up, addr: o.Addr, name: fmt.Sprintf("pca9548 %q", o.Name)}
	d.doubt.Store(true)
	return d, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

// Identify turns all channels off and proves it, which is all that can be learnt: the part has no
// identification register.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.up.Do(ctx, d.deselect); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Part: "PCA9548"}, nil
}

// Port gives the bus behind channel n, counted from 0.
func (d *Dev) Port(n int) (*Port, error) {
	if n < 0 || n >= Channels {
		return nil, fmt.Errorf("%s: channel %d is outside 0-%d", d.name, n, Channels-1)
	}
	return &Port{mux: d, n: n}, nil
}

// Port is the bus behind one channel.
type Port struct {
	mux *Dev
	n   int
}

// String names the port.
func (p *Port) String() string { return fmt.Sprintf("%s channel %d", p.mux.name, p.n) }

// SetSpeed always fails: the upstream adapter sets the clock for all channels.
func (p *Port) SetSpeed(physic.Frequency) error {
	return &drivers.Error{Op: "set speed", Device: p.String(), Fault: drivers.Unsupported}
}

// Tx is a job of one transfer.
func (p *Port) Tx(addr uint16, w, r []byte) error {
	return p.Do(context.Background(), func(tx i2c.Bus) error { return tx.Tx(addr, w, r) })
}

// Do runs the job alone on the upstream bus with this channel, and no other of this switch, connected. The
// channel is disconnected afterwards whatever the job returned. If that cannot be proven the result is an error
// even where the job had none, and the next job of any port must prove it first.
//
// The end of ctx ends the waiting for the bus, not the transfers of a job that has it, since the deselect is one of
// these. A long job looks at ctx itself.
func (p *Port) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	detach := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer detach()
	return p.mux.up.Do(detached, func(tx i2c.Bus) error {
		if !detach() {
			return p.mux.fail("select channel", drivers.Cancelled, context.Cause(ctx))
		}
		return p.mux.with(tx, p.n, job)
	})
}

func (d *Dev) with(tx i2c.Bus, n int, job func(tx i2c.Bus) error) (err error) {
	if d.doubt.Load() {
		if err := d.deselect(tx); err != nil {
			return err
		}
	}
	d.doubt.Store(true)
	defer func() { err = d.leave(tx, err) }() // also when the job panics: the next owner of the bus must not meet this channel
	if err := d.connect(tx, n); err != nil {
		return err
	}
	return job(tx)
}

// connect selects one channel and reads the control byte back: equal chips hang behind every channel, so a wrong
// channel would give another outlet's watts.
func (d *Dev) connect(tx i2c.Bus, n int) error {
	want := byte(1) << n
	if err := tx.Tx(d.addr, []byte{want}, nil); err != nil {
		return d.fail("select channel", drivers.FaultOf(err), err)
	}
	got, err := d.control(tx)
	if err != nil {
		return err
	}
	if got != want {
		return d.fail("select channel", drivers.Mismatch, fmt.Errorf("wrote %02x, read back %02x", want, got))
	}
	return nil
}

// leave ends a job. After a clean job an acknowledged write of 0 is proof; after any error it is read back.
func (d *Dev) leave(tx i2c.Bus, err error) error {
	if err == nil && tx.Tx(d.addr, []byte{noChannel}, nil) == nil {
		d.doubt.Store(false)
		return nil
	}
	if derr := d.deselect(tx); derr != nil {
		return also(err, derr)
	}
	return err
}

// also puts two causes on one line; the first may be nil.
func also(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

// deselect turns all channels off and proves it by reading back.
func (d *Dev) deselect(tx i2c.Bus) error {
	d.doubt.Store(true)
	werr := tx.Tx(d.addr, []byte{noChannel}, nil)
	got, err := d.control(tx)
	switch {
	case err != nil:
		return also(werr, err)
	case got != noChannel:
		return d.fail("deselect", drivers.Mismatch, also(werr, fmt.Errorf("control byte reads %02x", got)))
	}
	d.doubt.Store(false)
	return nil
}

// control reads the control byte with a receive byte, as the part has no register pointer.
func (d *Dev) control(tx i2c.Bus) (byte, error) {
	var b [1]byte
	if err := tx.Tx(d.addr, nil, b[:]); err != nil {
		return 0, d.fail("read", drivers.FaultOf(err), err)
	}
	return b[0], nil
}

func (d *Dev) fail(op string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: d.name, Reg: "control", Fault: f, Err: cause}
}

var _ i2cbus.Conn = (*Port)(nil)
