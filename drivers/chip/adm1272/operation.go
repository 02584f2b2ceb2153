package adm1272

import (
	"context"
	"errors"
	"fmt"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/pmbus"
)

// The two values of OPERATION: these parts have bit 7 alone.
const (
	operationOff = 0x00
	operationOn  = 0x80
)

// ReadOperation tells what OPERATION commands: on or off. It says nothing about what the MOSFET does, which the part
// opens by itself on a fault; STATUS_WORD and the current do.
//
// drivers.Foreign: the register holds a value that nothing of ours writes. FF is drivers.Implausible, a bus that
// nobody drives. Off is 00, which a held bus gives too: where transfers carry no packet error code it has to be read
// twice, with the maker's name in between.
func (d *Dev) ReadOperation(ctx context.Context) (on bool, err error) {
	v, err := d.port.Byte(ctx, "read", pmbus.OPERATION)
	if err == nil && v == operationOff && !d.port.Checks() {
		v, err = d.operationAgain(ctx)
	}
	if err != nil {
		return false, err
	}
	switch v {
	case operationOn:
		return true, nil
	case operationOff:
		return false, nil
	case 0xff:
		return false, d.port.Fail("read", pmbus.OPERATION, drivers.Implausible, errors.New("all ones"))
	default:
		return false, d.port.Fail("read", pmbus.OPERATION, drivers.Foreign, fmt.Errorf("%02x is neither 80 nor 00", v))
	}
}

func (d *Dev) operationAgain(ctx context.Context) (byte, error) {
	s := d.port.Series(ctx, "read")
	if id := s.Text(pmbus.MFR_ID, len(manufacturer)); id != manufacturer {
		s.Fail(pmbus.MFR_ID, drivers.Implausible, fmt.Errorf("%q instead of %q", id, manufacturer))
	}
	v := s.Byte(pmbus.OPERATION)
	return v, s.Err()
}

// WriteOperation switches the output: it writes 80h or 00h to OPERATION and reads it back; chip.Port.WriteBack says what
// it promises. A part whose MFR_ID and MFR_MODEL were not read as they must be is not written to (drivers.NotRead,
// nothing sent).
//
// Off needs no more than that: ranges other than the options' spoil the readings, and they must not keep a load on that
// has to go off. On needs a part that was set up as the options say at the last look, too, since nothing else could show
// what the load then draws.
func (d *Dev) WriteOperation(ctx context.Context, on bool) (chip.Written, error) {
	switch {
	case !d.proven.Load():
		return chip.Written{}, d.port.Fail("write", pmbus.OPERATION, drivers.NotRead, errUnidentified)
	case on && !d.fitted.Load():
		return chip.Written{}, d.port.Fail("write", pmbus.OPERATION, drivers.NotRead, errUnfit)
	}
	v := byte(operationOff)
	if on {
		v = operationOn
	}
	return d.port.SetByteBack(ctx, pmbus.OPERATION, v)
}
