// Package i2cbus owns I2C buses: one goroutine per bus decides which transfer is next, and nothing else reaches
// the bus.
//
// Callers hold handles with a fixed priority. Act is for what moves a relay, Poll for what measures; a job waiting
// on Act goes before every job waiting on Poll and waits for at most the one job in progress. A job is one
// transfer (Tx) or several that may not be split (Do: select a mux channel, read, deselect). After a transfer that timed
// out the bus rests for 35 ms, which SMBus gives devices to let go; an act waits for that too, but never longer.
//
// A transfer inside the kernel cannot be cancelled. One that has not returned after its deadline and a grace
// period makes the bus hung: everything queued and everything asked for later fails at once with drivers.Hung,
// no other transfer is started, and the bus takes work again when the transfer returns (S10). Buffers given to a
// Transport belong to the bus, so a late transfer never writes into memory that its caller has taken back.
//
// A bus on which transfers to different devices fail in a row, nobody being heard in between, is bad: one device cannot
// fail another's transfer but by holding a line. Between two jobs the owner then calls Opts.Recover with the bus in hand,
// and the next transfer that anybody asks for is the trial. If that fails too the bus is fenced: for 1, 2, 4 .. 60 s
// every job is refused before anything is sent, and the first one after that brings the next attempt with it. What is
// refused so is drivers.Cancelled, as for whoever it happened to nothing was sent, with drivers.BusFenced in its chain:
// a relay write that was refused did not happen, and its read-back is not needed to know it.
//
// On Linux the transport is /dev/i2c-N through the I2C_RDWR ioctl (Linux kernel, Documentation/i2c/dev-interface);
// the errno stays in the error's chain. Elsewhere, and for buses behind USB, Periph adapts a bus that periph offers.
//
// The package is not a driver and not a poller: it knows no chip, repeats nothing that failed, has no means of its own
// to free a bus (see drivers/board), and does not decide what a fault means for a device.
package i2cbus
