// Package pmbus holds what every part with a PMBus interface shares (PMBus specification 1.2, part II, and SMBus 2.0
// below it): command codes, number formats, status bits, energy accumulators, the packet error code, and a Port that
// carries commands to one part.
//
// What bites on real parts, and what the Port does about it:
//
//   - Some supplies glitch their outputs on CLEAR_FAULTS or latch a fault on a command they do not know (Linux driver
//     delta-ahe50dc-fan; PMBus core). A Port sends no command that its part's Profile does not list, and no Profile
//     can list CLEAR_FAULTS or what writes the part's memory.
//   - Firmware that queues its answer hands out the unread rest of one at the next read of any register, as a plausible
//     number. Reads have the exact length; after a read that broke off the queue is emptied before the next one.
//   - A part without packet error checking takes the extra byte of a write for data. Checking is off until the part
//     says that it can and has shown one good code.
//   - Registers of a part with pages belong to the page that was selected last, by whoever it was. OnPage selects,
//     proves and reads in one job of the bus.
//
// The package repeats nothing that failed, knows no part, and has no verb for OPERATION: a driver that may switch an
// output says so in its own Profile.
package pmbus
