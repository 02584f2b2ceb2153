// Package drivers holds the vocabulary that every device driver shares: why there is no data (Fault),
// what was attempted when it failed (Error), and what a part says it is (Ident).
//
// It is not a framework: no registry, no base type, no retry. Drivers return these values, callers
// decide with errors.Is on a Fault and never on text.
package drivers

import "strings"

// Fault is the reason why there is no data, or why a write is not proven. It is itself an error, so
// errors.Is(err, drivers.NoAnswer) works on anything a driver returns.
type Fault uint8

// The faults. A zero Fault means none.
const (
	None         Fault = iota
	NoAnswer           // address or data not acknowledged: absent, unpowered, mux channel closed (ENXIO, EREMOTEIO)
	Arbitration        // arbitration lost or bus busy (EAGAIN)
	Timeout            // clock held low, controller gave up, or our deadline passed (ETIMEDOUT)
	BusFault           // unspecific bus error or bus held low (EIO, EBUSY)
	Hung               // a transfer did not return at all; the bus is fenced off
	Implausible        // all ones, out of range, or frozen bits: not a measurement
	Corrupt            // checksum, length or format of the device's data is wrong
	Restarted          // the device is at its power-on defaults
	Mismatch           // written, and something else read back
	WrongDevice        // identification differs from what the configuration names
	OutOfControl       // a relay bank whose direction register reads inputs
	Foreign            // a kernel driver or another master owns this device
	Unsupported        // the adapter or the part cannot do it (EOPNOTSUPP)
	Settling           // too soon after a change for the value to mean anything
	NotRead            // never read since the start
	Cancelled          // the caller's context ended before the transfer began
	BusFenced          // nothing was sent: the bus itself is bad and left alone until its next attempt

	// Of devices behind a network.
	Unreachable // no connection, or it ended before anything was sent
	Unsure      // a write was sent and no answer came: the device may have obeyed, or may yet
	Denied      // the credentials were not taken
	Locked      // the device takes no writes, or not from here, until somebody allows it there
	Busy        // another controller holds the session, or all of them
	Refused     // the device understood and said no
)

var faultNames = [...]string{
	"none", "nack", "arbitration", "timeout", "bus_fault", "hung", "implausible", "corrupt", "restarted",
	"mismatch", "wrong_device", "out_of_control", "foreign", "unsupported", "settling", "not_read", "cancelled",
	"fenced",
	"unreachable", "unsure", "denied", "locked", "busy", "refused",
}

// String is the stable short word used in telemetry, events and logs.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "unknown_fault"
}

// Error makes a Fault usable as an error and as a target of errors.Is.
func (f Fault) Error() string { return f.String() }

// Error says what was attempted on which device and register, why it failed, and keeps the cause
// (for Linux buses the errno).
type Error struct {
	Op     string // what was attempted: "read", "write", "identify"
	Device string // which device, as the configuration or the bus names it
	Reg    string // register, spelled as in the data sheet; empty where there is none
	Fault  Fault
	Err    error // cause, may be nil
}

// Error reads: ade7953 "pdu-a meter 1": read VRMS: nack: no such device or address.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Device != "" {
		b.WriteString(e.Device)
		b.WriteString(": ")
	}
	b.WriteString(e.Op)
	if e.Reg != "" {
		b.WriteByte(' ')
		b.WriteString(e.Reg)
	}
	b.WriteString(": ")
	b.WriteString(e.Fault.String())
	if f, same := e.Err.(Fault); e.Err != nil && (!same || f != e.Fault) { //nolint:errorlint // only the bare Fault says nothing new
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives both the Fault and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Fault}
	}
	return []error{e.Fault, e.Err}
}

// FaultOf finds the Fault in an error's chain: None for a nil error, BusFault where the chain names none.
func FaultOf(err error) Fault {
	if err == nil {
		return None
	}
	if f, ok := find(err); ok {
		return f
	}
	return BusFault
}

func find(err error) (Fault, bool) {
	switch e := err.(type) { //nolint:errorlint // this walks the chain itself
	case Fault:
		return e, true
	case *Error:
		return e.Fault, true
	case interface{ Unwrap() error }:
		if u := e.Unwrap(); u != nil {
			return find(u)
		}
	case interface{ Unwrap() []error }:
		for _, u := range e.Unwrap() {
			if f, ok := find(u); ok {
				return f, true
			}
		}
	}
	return None, false
}

// Ident is what a part says of itself. Empty fields are unknown, not blank.
type Ident struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
	Part         string `json:"part,omitempty"`
	Serial       string `json:"serial,omitempty"`
	Version      string `json:"version,omitempty"`
}
