// Package i2cbus owns I2C buses: one goroutine per bus decides which transfer is next, and nothing else reaches
// the bus.
//
// Callers hold handles with a fixed priority. Act is for what moves a relay, Poll for what measures; a job waiting
// on Act goes before every job waiting on Poll and waits for at most the one job in progress. A job is one
// transfer (Tx) or several that may not be split (Do: select a mux channel, read, deselect).
//
// A transfer inside the kernel cannot be cancelled. One that has not returned after its deadline and a grace
// period makes the bus hung: everything queued and everything asked for later fails at once with drivers.Hung,
// no other transfer is started, and the bus takes work again when the transfer returns (S10). Buffers given to a
// Transport belong to the bus, so a late transfer never writes into memory that its caller has taken back.
//
// On Linux the transport is /dev/i2c-N through the I2C_RDWR ioctl (Linux kernel, Documentation/i2c/dev-interface);
// the errno stays in the error's chain. Elsewhere, and for buses behind USB, Periph adapts a bus that periph offers.
//
// The package is not a driver and not a poller: it knows no chip, repeats nothing that failed, does no bus
// recovery, and does not decide what a fault means for a device.
package i2cbus
