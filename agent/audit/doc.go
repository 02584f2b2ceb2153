// Package audit keeps the audit log: who asked for what, what became of it, and what the agent refused, in files that
// are only ever appended to. Every line carries the hash of the line before and its own, so that a line that was
// changed, removed, inserted or moved is found (Verify), and the hash of a line that somebody outside holds (an Anchor)
// proves all lines up to it. FORMAT.md describes every byte for independent readers.
//
// What it is NOT: the journal (nothing is decided from it, and no command waits for it), a log for operators (device
// health, buses and the broker are not in it), or proof against who holds root on the machine: such a person can write a
// new tail with right hashes from any line on, and only an anchor published before shows it. What was entered after the
// newest published anchor can be cut without a trace.
//
// # Writing
//
// Enter never waits. One goroutine (Run) writes what has come in, in one piece, and flushes it: at most once a second
// and, after the first minute of such a pace, once in ten seconds, for the sake of flash. A crash therefore loses what was
// entered since the last flush; of commands, the next start enters again what the journal knows (Opts.Recent).
//
// What has no effect (refusals, questions) is entered at a bounded rate, and what exceeds it is counted into one entry,
// so that a flood does not drive the log out of its files.
//
// # A disk that fails
//
// After a failed write or flush nothing is written to that file any more: Linux marks the pages clean, and a second flush
// would report success for data that never reached the disk. The entries are kept in memory, up to a bound; a new file is
// begun when the disk answers again, and says where the part of the old one ends that is known to be on disk. What found
// no room meanwhile is entered as a number. Nothing else of the agent waits or stops.
//
// # A start
//
// The whole log is read. A tail that a crash has torn stays where it is: a new file says from where on the old one does
// not count. A log that was changed stays as it is, too: a new file says where the first break is, an event and an alarm
// tell it. Nothing is ever set right, cut off or written over.
package audit
