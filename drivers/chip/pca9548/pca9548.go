// Package pca9548 drives the I2C switches PCA9548A (NXP, PCA9548A rev. 5.1; Texas Instruments TCA9548A, SCPS207) with
// eight channels, PCA9546A with four, and PCA9545A with four and an interrupt input for each: one control byte, bit n
// connects channel n, all off at power-on.
//
// A Port is a bus of its own: each of its jobs runs as one job of the upstream bus, between a select and a
// deselect, so no other traffic of that bus ever meets a selected channel. Parts with equal addresses behind
// several channels are safe for the same reason, and behind several switches of one stretch of bus if these share a
// Segment. A switch behind a channel of another one is a switch on that Port. Nothing is remembered to save a write;
// the only thing remembered is doubt, and doubt adds writes.
//
// A data line that is held low, on an adapter that does not look (Linux i2c-gpio), acknowledges every byte and reads as
// 00: a deselect that reached nobody looks like one that worked. Only a byte that is not 0 proves that the line lives.
// An off that did not come right after such a byte is good for the switch's own next job, which selects anew. For the
// others of its Segment it counts only once it was read while the line is known to live.
//
// A switch that loses its supply in the middle of a job disconnects, and what the job reads from then on is nobody's,
// or another part's. After a job that read, the control byte is therefore read once more (20 bits on the wire: 0.2 ms
// at 100 kHz). An all-ones reading does not give such a job away, since for a power meter it is a value.
//
// A part behind a channel can hold the clock or the data line, and with it the whole bus, as long as its channel is
// connected. A channel that does so is fenced: refused for a time that grows, while the others go on.
//
// It is not for a switch that a kernel driver owns: two owners make each other's knowledge wrong.
package pca9548

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// The three address pins place the part between these two addresses; a PCA9545 has two and lies in the lower half
// (recalled, not re-read).
const (
	FirstAddr = 0x70
	LastAddr  = 0x77
)

// Channels is how many the largest part has.
const Channels = 8

// noChannel is the control byte with everything disconnected, also the power-on value.
const noChannel = 0x00

// resetTime is what Opts.Reset may take. It must be less than a bus waits for an idle job (i2cbus.Grace and more).
const resetTime = 500 * time.Millisecond

// Opts says where the part is, which one, and what is around it.
type Opts struct {
	Name string // for error texts
	Addr uint16
	Part Part // empty: PCA9548

	// Segment is shared by the switches that sit on the same stretch of bus, if there are several.
	Segment *Segment

	// Unverified leaves out the look at the control byte after a job that read. A line that is held low is then not
	// noticed, and each such job costs the next one of another switch of the Segment three short transfers.
	Unverified bool

	// Reset, if not nil, pulses the part's reset pin, which disconnects all channels whatever the bus does. It is
	// called with the bus in hand when a deselect fails, and not again before one has worked. It must end with its
	// context.
	Reset func(ctx context.Context) error
}

// Dev is one switch.
type Dev struct {
	// Immutable.
	up    i2cbus.Conn
	part  variant
	o     Opts
	name  string
	valid byte // bits of the control byte that are channels; the others read interrupts, or anything

	// doubt is set while it is not proven that all channels are off. It begins set: an earlier process may have
	// died with a channel selected. Only jobs on up touch it; it is atomic because a job that lost a hung bus still
	// returns while the next one runs. Such a job can add doubt but, without the bus, never take it away.
	doubt atomic.Bool

	// unseen is set while the last off was acknowledged but not seen on a line known to live. The same holds for it.
	unseen atomic.Bool

	// spent is set from a call of Reset until a deselect has worked. The same holds for it.
	spent atomic.Bool

	mu     sync.Mutex // guards what follows
	fences [Channels]fence
}

// New checks the options and touches nothing. The upstream handle's priority is that of Identify and of every Port.
func New(up i2cbus.Conn, o Opts) (*Dev, error) {
	if up == nil {
		return nil, errors.New("pca9548: no bus")
	}
	if o.Part == "" {
		o.Part = PCA9548
	}
	d := &Dev{up: up, o: o, name: fmt.Sprintf("%s %q", o.Part, o.Name)}
	for _, v := range variants() {
		if v.part == o.Part {
			d.part = v
		}
	}
	if d.part.channels == 0 {
		return nil, fmt.Errorf("pca9548 %q: part %q is not known", o.Name, o.Part)
	}
	if o.Addr < FirstAddr || o.Addr > d.part.last {
		return nil, fmt.Errorf("%s: address 0x%02x is outside 0x%02x-0x%02x", d.name, o.Addr, FirstAddr, d.part.last)
	}
	d.valid = 1<<d.part.channels - 1
	d.doubt.Store(true)
	if err := o.Segment.join(d); err != nil {
		return nil, err
	}
	return d, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

// Identify turns all channels off and proves it, which is all that can be learnt: the part has no
// identification register.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.up.Do(ctx, func(tx i2c.Bus) error { return d.off(ctx, tx) }); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Part: d.part.name}, nil
}

// Port gives the bus behind channel n, counted from 0, with the priority of the upstream handle that New was given.
func (d *Dev) Port(n int) (*Port, error) { return d.PortOn(d.up, n) }

// PortOn is Port through another handle of the same upstream bus: a relay behind a channel goes before what is
// measured there. What is in doubt of the switch, and which channel is fenced, is one for all handles; but a handle that
// says of itself that it acts (i2cbus.Handle.Acts, Port.Acts) is not held off a fenced channel for longer than firstFence.
func (d *Dev) PortOn(up i2cbus.Conn, n int) (*Port, error) {
	if up == nil {
		return nil, fmt.Errorf("%s: no bus", d.name)
	}
	if n < 0 || n >= d.part.channels {
		return nil, fmt.Errorf("%s: channel %d is outside 0-%d", d.name, n, d.part.channels-1)
	}
	h, ok := up.(interface{ Acts() bool })
	return &Port{mux: d, up: up, n: n, acts: ok && h.Acts()}, nil
}

// Port is the bus behind one channel.
type Port struct {
	mux  *Dev
	up   i2cbus.Conn
	n    int
	acts bool
}

// String names the port.
func (p *Port) String() string { return fmt.Sprintf("%s channel %d", p.mux.name, p.n) }

// Acts tells whether the upstream handle does, for a switch behind this channel.
func (p *Port) Acts() bool { return p.acts }

// SetSpeed always fails: the upstream adapter sets the clock for all channels.
func (p *Port) SetSpeed(physic.Frequency) error {
	return &drivers.Error{Op: "set speed", Device: p.String(), Fault: drivers.Unsupported}
}

// Tx is a job of one transfer.
func (p *Port) Tx(addr uint16, w, r []byte) error {
	return p.Do(context.Background(), func(tx i2c.Bus) error { return tx.Tx(addr, w, r) })
}

// Do runs the job alone on the upstream bus with this channel, and no other of this switch or of its Segment,
// connected. The channel is disconnected afterwards whatever the job returned. If that cannot be proven the result is
// an error even where the job had none, and the next job of any port must prove it first.
//
// drivers.Restarted or drivers.Mismatch in operation "check channel": the job had no error, but at its end the switch
// no longer had the channel connected, so whatever it read may be another part's. A *FencedError in the chain: the
// channel was not connected and the job not called.
//
// The end of ctx ends the waiting for the bus, not the transfers of a job that has it, since the deselect is one of
// these. A long job looks at ctx itself.
func (p *Port) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	detach := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer detach()
	return p.up.Do(detached, func(tx i2c.Bus) error {
		if !detach() {
			return p.mux.fail("select channel", drivers.Cancelled, context.Cause(ctx))
		}
		return p.mux.with(detached, tx, p, job)
	})
}

func (d *Dev) with(ctx context.Context, tx i2c.Bus, p *Port, job func(tx i2c.Bus) error) (err error) {
	n := p.n
	if err := d.refuses(n, p.acts); err != nil {
		return d.fail("select channel", drivers.Cancelled, err)
	}
	if err := d.clear(ctx, tx); err != nil {
		return err
	}
	d.doubt.Store(true)
	v := &visit{Bus: tx}
	defer func() { err = d.leave(ctx, tx, n, v, err) }() // also when the job panics: the next owner of the bus must not meet this channel
	if err := d.connect(tx, n, v); err != nil {
		return err
	}
	if err := d.settle(tx, n, v); err != nil {
		return err
	}
	if err := job(v); err != nil {
		return err
	}
	return d.check(tx, n, v)
}

// clear proves that no channel of the stretch of bus is connected, where that is in doubt. A switch whose off nobody has
// seen is turned off once more, so that the look at it, in settle, need not refuse the job.
func (d *Dev) clear(ctx context.Context, tx i2c.Bus) error {
	if d.doubt.Load() {
		if err := d.off(ctx, tx); err != nil {
			return err
		}
	}
	for _, other := range d.o.Segment.others(d) {
		if !other.doubt.Load() && (!other.unseen.Load() || other.disconnect(tx) == nil) {
			continue
		}
		if err := other.off(ctx, tx); err != nil && !isNobody(err) {
			return err
		}
	}
	return nil
}

// connect selects one channel and reads the control byte back: equal chips hang behind every channel, so a wrong
// channel would give another outlet's watts.
func (d *Dev) connect(tx i2c.Bus, n int, v *visit) error {
	want := byte(1) << n
	if err := tx.Tx(d.o.Addr, []byte{want}, nil); err != nil {
		return d.fail("select channel", drivers.FaultOf(err), err)
	}
	return d.confirm(tx, n, v)
}

// confirm reads the control byte of a switch with a channel connected, which proves that the line lives as well.
func (d *Dev) confirm(tx i2c.Bus, n int, v *visit) error {
	want := byte(1) << n
	got, err := d.control(tx)
	v.note(err)
	if err != nil {
		return err
	}
	if got != want {
		return d.fail("select channel", drivers.Mismatch, fmt.Errorf("wrote %02x, read back %02x", want, got))
	}
	return nil
}

// check looks whether the channel was connected to the end of a job that read.
func (d *Dev) check(tx i2c.Bus, n int, v *visit) error {
	if d.o.Unverified || !v.read.Load() {
		return nil
	}
	got, err := d.control(tx)
	v.note(err)
	switch want := byte(1) << n; {
	case err != nil:
		return err
	case got == want:
		v.lives = true
		return nil
	case got == noChannel:
		return d.fail("check channel", drivers.Restarted,
			fmt.Errorf("the control byte went from %02x to 00 during the job, or the data line is held low", want))
	default:
		return d.fail("check channel", drivers.Mismatch, fmt.Errorf("the control byte went from %02x to %02x during the job", want, got))
	}
}

// leave ends a job. After a clean job an acknowledged write of 0 is proof, for the others of the Segment too if the line
// was seen to live at its end; after any error it is read back.
func (d *Dev) leave(ctx context.Context, tx i2c.Bus, n int, v *visit, err error) error {
	held := v.held.Load()
	if err == nil && !held && d.disconnect(tx) == nil {
		d.proven(v.lives)
		d.lower(n)
		return nil
	}
	derr := d.deselect(tx)
	switch {
	case derr == nil && !held:
		d.lower(n)
	case derr != nil && held:
		d.raise(n, also(err, derr))
	}
	if derr != nil {
		if derr = d.recover(ctx, tx, derr); derr != nil {
			return also(err, derr)
		}
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

// off turns all channels off and proves it, with the reset pin if the bus does not do.
func (d *Dev) off(ctx context.Context, tx i2c.Bus) error {
	if err := d.deselect(tx); err != nil {
		return d.recover(ctx, tx, err)
	}
	return nil
}

// recover pulses the reset pin after a failed deselect, if there is one and it was not tried yet, and deselects again.
// A job that was refused by the bus, or has lost it, must not: what happens there is another job's.
func (d *Dev) recover(ctx context.Context, tx i2c.Bus, failed error) error {
	if d.o.Reset == nil || refused(failed) || d.spent.Swap(true) {
		return failed
	}
	limited, cancel := context.WithTimeout(ctx, resetTime)
	defer cancel()
	if err := d.o.Reset(limited); err != nil {
		return also(failed, d.fail("reset", drivers.FaultOf(err), err))
	}
	return d.deselect(tx)
}

// disconnect turns all channels off, and proves nothing.
func (d *Dev) disconnect(tx i2c.Bus) error { return tx.Tx(d.o.Addr, []byte{noChannel}, nil) }

// deselect turns all channels off and proves it by reading back, as far as a 0 that is read can prove anything.
func (d *Dev) deselect(tx i2c.Bus) error {
	d.doubt.Store(true)
	werr := d.disconnect(tx)
	got, err := d.control(tx)
	switch {
	case drivers.FaultOf(werr) == drivers.NoAnswer && drivers.FaultOf(err) == drivers.NoAnswer:
		d.unseen.Store(false) // nobody there, on a line that is high in the ninth clock
		return d.fail("deselect", drivers.NoAnswer, &nobody{werr})
	case err != nil:
		return also(werr, err)
	case got != noChannel:
		return d.fail("deselect", drivers.Mismatch, also(werr, fmt.Errorf("control byte reads %02x", got)))
	}
	d.proven(false)
	return nil
}

// proven notes that no channel is connected; lives: on a line that was known to live.
func (d *Dev) proven(lives bool) {
	d.unseen.Store(!lives)
	d.doubt.Store(false)
	d.spent.Store(false)
}

// control reads the control byte with a receive byte, as the part has no register pointer, and drops the bits that
// are no channels.
func (d *Dev) control(tx i2c.Bus) (byte, error) {
	var b [1]byte
	if err := tx.Tx(d.o.Addr, nil, b[:]); err != nil {
		return 0, d.fail("read", drivers.FaultOf(err), err)
	}
	return b[0] & d.valid, nil
}

func (d *Dev) fail(op string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: d.name, Reg: "control", Fault: f, Err: cause}
}

var _ i2cbus.Conn = (*Port)(nil)
