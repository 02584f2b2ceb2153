package pca9548

import (
	"errors"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// refused tells that a transfer was not carried out because of who asked, so that its failure says nothing of the bus.
func refused(err error) bool {
	for _, f := range []drivers.Fault{drivers.Cancelled, drivers.Hung, drivers.Foreign, drivers.Unsupported} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// visit is the bus as a job behind a channel sees it. It notes what the job met, whatever the job makes of it. Its
// notes are atomic because a transfer that a job left behind may still return.
type visit struct {
	i2c.Bus
	read atomic.Bool // something was read
	held atomic.Bool // a transfer failed as on a bus that somebody holds

	lives bool // the channel was read back at the end of the job; of the switch alone
}

// Tx is that of the bus.
func (v *visit) Tx(addr uint16, w, r []byte) error {
	if len(r) > 0 {
		v.read.Store(true)
	}
	err := v.Bus.Tx(addr, w, r)
	v.note(err)
	return err
}

func (v *visit) note(err error) {
	switch drivers.FaultOf(err) {
	case drivers.Timeout, drivers.BusFault, drivers.Hung:
		v.held.Store(true)
	default:
	}
}

var _ i2c.Bus = (*visit)(nil)
