// Package journal keeps, on disk and across crashes, what the agent accepted, what came of it, the orders in
// force and what is known about the wiring. It is the only store of plans and of outcomes.
//
// One goroutine (Run) writes. It takes everything that waits and commits it together, so that many commands
// cost one pair of fdatasync. A record set is written whole or not at all, and its done function hears of it
// after the data is on disk. S5 is enforced here: an id is accepted or rejected once, ends once, and nothing
// is ended that was not accepted.
//
// The file is a bbolt database. bbolt has no checksum on data pages and trusts its page pointers, so opening
// goes through three checks: the page structure (verify), the tally over all keys written by each commit
// (load), and the CRC32C of each value. A file that fails one of the first two counts as lost: it is set
// aside, never repaired, and a new journal observes until a person accepts it. A value that fails the third
// makes that one entry unknown. FORMAT.md describes every byte for independent readers.
//
// A disk that fails never keeps the agent from starting: the journal then opens in the state DiskFailed and
// refuses every record, which leaves the interlocks and the telemetry.
//
// What it is not: a log of telemetry (a commit costs about 29 KiB of flash), a place to wait (Submit never
// blocks), or a judge of commands (it knows no feed, no outlet's state and no expiry). It cannot notice a
// disk that acknowledges a flush it did not make and loses whole commits at a power cut: nothing inside one
// file can.
package journal
