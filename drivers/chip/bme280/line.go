package bme280

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// Register addresses.
const (
	calib00 = 0x88 // 26 bytes
	id      = 0xd0
	calib26 = 0xe1 // 7 bytes, of humidity
	ctrlHum = 0xf2
	status  = 0xf3
	ctrl    = 0xf4 // ctrl_meas
	press   = 0xf7 // first of the data registers
)

// imUpdate is set in status while the part, just powered, copies its calibration to where it is read.
const imUpdate byte = 0x01

// periph's driver waits the typical time, 8 ms, and then asks the part without pause or end whether it is done. The
// longest time is 9.3 ms (BST-BME280-DS002, appendix B, from memory), so that two further questions a millisecond apart
// are enough; the rest is margin.
const (
	furtherPolls = 5
	between      = time.Millisecond
)

// line is the bus that periph's driver gets. That driver writes only the text of errors into its own and knows no
// context: the line keeps the last error of the bus, sends nothing after the end of the context, ends the polling of
// the status, and keeps the bytes that were read.
type line struct {
	port chip.Port

	ctx   context.Context // of the call of periph's driver in progress
	err   error           // what its last transfer failed with
	polls int             // how often it has asked for the status
	data  [8]byte         // what it read last from the data registers
}

// during runs one call of periph's driver and gives the error of the bus where there was one.
func (l *line) during(ctx context.Context, call func() error) error {
	l.ctx, l.err, l.polls, l.data = ctx, nil, 0, [8]byte{}
	err := call()
	l.ctx = nil
	if err != nil && l.err != nil {
		return l.err
	}
	if err != nil {
		return l.port.Fail("read", "", drivers.Corrupt, err)
	}
	return nil
}

// Tx is one transfer of periph's driver. addr is that of the port.
func (l *line) Tx(_ uint16, w, r []byte) error {
	l.err = l.tx(w, r)
	return l.err
}

func (l *line) tx(w, r []byte) error {
	op, reg := "write", regName(w[0])
	if len(r) > 0 {
		op = "read"
	}
	if w[0] == status {
		if err := l.patience(); err != nil {
			return err
		}
	}
	if err := l.port.Tx(l.ctx, op, reg, w, r); err != nil {
		return err
	}
	if len(r) > 0 && all(r, 0xff) {
		return l.port.Ones(op, reg)
	}
	switch {
	case (w[0] == calib00 || w[0] == calib26) && all(r, 0):
		// Of a held bus, and kept for as long as the part is: without coefficients humidity is 0 for ever.
		return l.port.Fail(op, reg, drivers.Implausible, errors.New("all zeros"))
	case w[0] == calib26 && len(r) == 7 && r[5]&0x80 != 0:
		// dig_H5 is a signed number of 12 bits that periph's driver reads as unsigned. It does the same to dig_H4, where
		// the arithmetic, modulo 2^32, makes it good again.
		return l.port.Fail(op, reg, drivers.Unsupported, fmt.Errorf("negative dig_H5: % x", r))
	case w[0] == press:
		copy(l.data[:], r)
	}
	return nil
}

// patience lets the first question for the status pass, delays the further ones and refuses one too many.
func (l *line) patience() error {
	l.polls++
	if l.polls > 1+furtherPolls {
		return l.port.Fail("read", regName(status), drivers.Timeout, errors.New("the measurement does not end"))
	}
	if l.polls == 1 {
		return nil
	}
	if err := pause(l.ctx, between); err != nil {
		return l.port.Fail("read", regName(status), drivers.Cancelled, err)
	}
	return nil
}

// SetSpeed is refused: the adapter sets the clock of all parts.
func (l *line) SetSpeed(physic.Frequency) error {
	return l.port.Fail("set speed", "", drivers.Unsupported, nil)
}

// String names the device as its errors do.
func (l *line) String() string { return l.port.String() }

// pause waits. After the end of ctx it gives the reason.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func all(b []byte, v byte) bool {
	for _, x := range b {
		if x != v {
			return false
		}
	}
	return true
}

// regName spells a register as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case calib00:
		return "calib00"
	case id:
		return "id"
	case calib26:
		return "calib26"
	case ctrlHum:
		return "ctrl_hum"
	case status:
		return "status"
	case ctrl:
		return "ctrl_meas"
	case press:
		return "press_msb"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ i2c.Bus = (*line)(nil)
