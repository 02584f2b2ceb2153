package miner

import (
	"fmt"
	"net"

	"rackagent/drivers"
)

// Fault is an error about this miner: what was attempted, with which command or report, and why it failed.
func (o *Opts) Fault(op, what string, f drivers.Fault, err error) error {
	return &drivers.Error{Op: op, Device: "miner " + o.Host, Reg: what, Fault: f, Err: err}
}

// Meant refuses another unit than the one that is meant: addresses move with DHCP. mac is what the unit says of itself in a
// report, lower case with colons.
func (o *Opts) Meant(mac, report string) error {
	if o.MAC == "" || mac == o.MAC {
		return nil
	}
	return o.Fault("identify", report, drivers.WrongDevice, fmt.Errorf("MAC %q, want %q", mac, o.MAC))
}

// Remembered refuses to bring back what another dialect remembered.
func (o *Opts) Remembered(before Setting, dialect, command string) error {
	if before.Dialect == dialect {
		return nil
	}
	return o.Fault("write", command, drivers.Unsupported, fmt.Errorf("what is remembered is of dialect %q", before.Dialect))
}

// PlainMAC tells whether a MAC address is written as Opts.MAC has to be: lower case, with colons.
func PlainMAC(s string) bool {
	mac, err := net.ParseMAC(s)
	return err == nil && mac.String() == s
}
