// Package miners holds simulated ASIC miners: a machine with its physics (Machine), the wires to it (Host), and one server
// for each dialect, written from the protocol and not from the clients that it is used to judge.
//
// A machine is the truth: boards that ramp up, a supply that draws, a controller that boots. A dialect's server tells of it
// in its own words and obeys, unless a Quirk makes it lie, stall, mangle or forget, as real ones do.
package miners
