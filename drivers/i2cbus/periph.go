package i2cbus

import (
	"context"
	"errors"
	"strings"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// Periph makes a Transport of a bus that periph opened, for what has no /dev/i2c-N: bridges behind USB, and
// systems other than Linux. The bus must not be used by anybody else.
//
// periph's buses know no context and flatten their errors to text, so transfers are bounded by the Bus's hang
// detection alone and faults are as good as the texts.
func Periph(b i2c.BusCloser) Transport { return periph{b} }

type periph struct{ bus i2c.BusCloser }

func (p periph) Tx(_ context.Context, addr uint16, w, r []byte) error {
	err := p.bus.Tx(addr, w, r)
	if err == nil {
		return nil
	}
	return &drivers.Error{Op: "transfer", Device: p.String(), Fault: periphFault(err), Err: err}
}

func (p periph) Close() error   { return p.bus.Close() }
func (p periph) String() string { return p.bus.String() }

// periphFault classifies an error of a periph bus. Where the chain names nothing, the text decides: its end as
// periph.io/x/host v3.8.5 writes it, which is the text of Linux's errno after "sysfs-i2c: ", the "got NAK" of
// FTDI bridges, or "ftdi: STEP: REASON" for what their USB driver reports.
func periphFault(err error) drivers.Fault {
	if f := faultOf(err); f != drivers.BusFault || errors.Is(err, drivers.BusFault) {
		return f
	}
	text := err.Error()
	for _, t := range [...]struct {
		end   string
		fault drivers.Fault
	}{
		{"no such device or address", drivers.NoAnswer},
		{"remote I/O error", drivers.NoAnswer},
		{"got NAK", drivers.NoAnswer},
		{"resource temporarily unavailable", drivers.Arbitration},
		{"connection timed out", drivers.Timeout},
		{"bad message", drivers.Corrupt},
		{"protocol error", drivers.Corrupt},
		{"operation not supported", drivers.Unsupported},
		{"invalid argument", drivers.Unsupported},
		{"inappropriate ioctl for device", drivers.Unsupported},
		{"invalid address", drivers.Unsupported},
		{"not supported", drivers.Unsupported},
		{"can't be used without cgo", drivers.Unsupported},
	} {
		if strings.HasSuffix(text, t.end) {
			return t.fault
		}
	}
	return drivers.BusFault
}
