// Package power holds the power logic: what a command may do, in which order its steps run, and what counts
// as proof. It decides; it does not talk to devices, disks or networks itself.
//
// # Parts
//
//   - Plan (plan.go) is a pure function from one Snapshot and a command to a plan, or a refusal that says why.
//   - Machine (machine.go) is the state of all accepted commands. Step takes one input and returns actions as
//     data; it has no clock, no lock, no goroutine.
//   - switching (switching.go) is the machine of one step on one outlet: write, read-back, settled by watts.
//   - telling (telling.go, aims.go) is the same of one step on one miner: asked, remembered, told, word and watts.
//   - Loop (loop.go) is the goroutine that owns the Machine, feeds it and hands its actions out. It never waits.
//   - lane (lane.go) is the goroutine through which every action on one bus or one miner goes. relaylane.go holds the
//     firm guard (guard.go) around the only call of Cut in the program, minerlane.go the one around the only call of Tell.
//
// # What a step does
//
// A cut is taken when the relay chip acknowledged the write, confirmed when the latch reads back the new word,
// and settled when two fresh samples taken after the write plus the meter's settling time are both below
// max(10 VA, 2 % of the watts before), within 5 s. Watts that were below that before prove nothing: confirmed,
// no_load. Watts that stay while the meter's raw codes move: failed, welded, and the outlet is withdrawn from
// switching. A frozen meter or none at all: unknown, verify_failed. Another outlet that fell instead: failed,
// wiring_unproven, both outlets are unproven from then on, and nothing is undone.
//
// An energise settles above max(5 W, 3 x the meter's noise) within 10 s, else it is confirmed, no_load. Before it
// is written the minimum off time, the stagger of the feed and the continuous limit of every level of the feed are
// checked again.
//
// # What a restart finds
//
// Outlets are adopted as they stand; nothing is written to make them agree with the journal. A command found
// without a terminal result is never continued: each of its targets ends succeeded with recovered set if every
// step is proven by measurement now, else unknown. An off time that nobody measured counts from this start's
// first reading of the open relay.
//
// # What a crash leaves
//
// Before the write: a plan without an end; the outlet stands as before; unknown after the restart, or succeeded
// where the world happens to be as planned. During the write: the chip took the word or not; the same rule. After
// the write: the same rule, and the watts decide. In a cycle between its halves: the outlet stays open; the
// closing half is never made up for.
package power
