// Package pdu makes a PDU out of chips: metering ADE7953 behind a PCA9548, relays on a TCA9555, TMP75 temperature
// sensors and an AT24 identity memory. Which chip sits where, which bit is which outlet and what its contact does
// is data: models/*.yaml, read strictly and checked for contradictions. A new model of these chips needs no Go.
//
// Reading goes through one handle of the bus and switching through another, so that a relay never waits for a
// sweep of the meters. A meter is read in one job, a relay is switched in one job.
//
// What the verbs that move relays promise:
//
//   - They work from words read in the same job, never from memory: another program, a brown-out or an earlier
//     life of this one may have changed them. The latch is read twice, because a word read wrongly would be
//     written back and move relays that nobody named.
//   - One relay's bit changes, the other bits go back as they were read. A write is never left out because it looks
//     redundant.
//   - A bank whose direction reads all inputs is not under control: nothing is written (drivers.OutOfControl) until
//     Adopt. A bank in any other unexpected state belongs to somebody else (drivers.Foreign).
//   - They return after reading back. An error says through Switched.Taken whether the write may have happened, and
//     nothing that was read in a job whose mux failed afterwards counts as read back. Nothing is repeated.
//
// The package does not decide whether an outlet may be cut, knows no loads, keeps no schedule, does not judge
// whether a value is plausible beyond what the chips tell, and never switches on its own: New and every reading
// leave latch, direction and polarity alone. Programming a meter or a temperature sensor is not switching.
package pdu
