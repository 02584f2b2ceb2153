// Package board finds what the controller board has: I2C adapters and GPIO lines. It is the only importer of
// periph.io/x/host, whose drivers it starts once.
//
// Buses are found by the adapter's own name or by device path, never by a number alone, because bus numbers can
// move between boots. On Linux a bus is opened by drivers/i2cbus itself; a bus that periph offers and that has no
// /dev/i2c-N, such as a bridge behind USB, is adapted.
//
// GPIO lines are inputs (leak, emergency stop, presence, alert), or counters of their edges (flow). The kernel releases
// a line when the process that holds it ends, so an outlet must not hang on one, and there is no verb here that sets a
// level. What drives a line at all is for getting a held bus back: Clocks gives nine clocks on SCL and SDA, ResetPin a
// pulse of 1 ms on the reset input of a mux, both open-drain and over when the call returns. A line that another user
// holds, or that drives something at the moment, is refused rather than taken.
//
// AdapterReset unbinds a bus's adapter from its kernel driver and binds it again.
//
// The package is not a bus owner (see i2cbus.New) and knows no chips. Listing reads; it sends nothing on any bus.
package board
