// Package drivertest holds simulated I2C devices and the bus they sit on: register-level models of the chips a rack
// is made of, written from their data sheets, and a bus that carries transfers to them, records each one and can be
// made to fail in every way that has been seen on real buses.
//
// It is what drivers are judged with, so it shares no code with them: no register name, scale or formula is
// imported from the drivers. It is NOT a test of timing on real wires, and it is not imported by the product.
//
// A Bus offers Tx(ctx, addr, w, r), Close and String, the methods of a bus transport, and so stands where the
// Linux i2c-dev transport would. Its errors are *drivers.Error with the errno in the chain, as a transport gives them.
package drivertest
