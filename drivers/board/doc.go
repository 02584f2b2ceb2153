// Package board finds what the controller board has: I2C adapters and GPIO lines. It is the only importer of
// periph.io/x/host, whose drivers it starts once.
//
// Buses are found by the adapter's own name or by device path, never by a number alone, because bus numbers can
// move between boots. On Linux a bus is opened by drivers/i2cbus itself; a bus that periph offers and that has no
// /dev/i2c-N, such as a bridge behind USB, is adapted.
//
// GPIO lines are inputs (leak, emergency stop, presence, alert). There is no way to drive one here: the kernel
// releases a line when the process that holds it ends, so an outlet must not hang on one. A line that another user
// holds, or that drives something at the moment, is refused rather than turned into an input.
//
// The package is not a bus owner (see i2cbus.New) and knows no chips. Listing reads; it sends nothing on any bus.
package board
