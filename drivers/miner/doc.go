// Package miner is the vocabulary of ASIC miners: what one says of itself (Status), what it can be told to do
// (Capabilities), what a sleep would interrupt (Setting), and the verbs (Miner). One directory below it speaks one dialect:
// the protocol of one firmware, over the network.
//
// A miner's word is no proof. Taking a command, reading back as obeyed and drawing fewer watts are three facts; the verbs
// here give the first, Status the second, and the outlet's meter, of which this package knows nothing, the third.
//
// Rules for every dialect:
//
//   - A constructor checks options and connects to nothing. A verb makes its own connections and leaves none open. There is
//     no goroutine that outlives a call, no retry but the one that a protocol asks for, no cache but of credentials, no log.
//   - One request at a time: callers see to that, one goroutine per miner.
//   - Each call ends with its context, whatever the miner does. Nothing is read without a bound.
//   - Absent is absent: what a reply does not hold is nil, never 0. A set limit is no power, a target is no measurement, an
//     average is no hashrate of now.
//   - After the first byte of a write has left, an answer that does not come is drivers.Unsure and not a failure.
//   - What a write does not own stays as it is: a document that has to be sent back whole is edited in place.
//   - Errors are *drivers.Error and name no password, token or session.
package miner
