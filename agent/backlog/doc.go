// Package backlog keeps telemetry on disk while the broker is away, and sends it afterwards, oldest first and behind
// everything else (design.md 4, S9). What the bound on it drops, and what a crash loses, is written down as a gap with
// its numbers and sent in its place.
//
// It is a log of segments: files of 1 MiB that are written with zeros once and then overwritten, so that a flush needs no
// commit of the file system's journal. FORMAT.md describes every byte. One goroutine, Run, owns the disk; each call of
// Put costs one write and one fdatasync, and is answered after it. While nothing is given to Put nothing is written.
//
// # Wear
//
// Telemetry gives what it has every 5 s of an outage. A block of 256 values is 1.6 kB compressed and touches 1.4 pages of
// 4 KiB: with half a KiB for the flush 6 KiB, 17,280 times a day, 0.11 GB; with five such batches in a block (telemetry
// every second) 0.17 GB. Thinning writes at most half of that again, and each file costs its size once. A controller
// may write 4.4 GB a day (operations.md 4.3).
//
// # What is kept
//
// Above half of the budget the oldest neighbours are thinned to one batch in 10 s, above 80 % to one in 60 s, and when
// everything is used the oldest segment goes. Two or more segments become one: the new one is durable before the old
// ones are free, so a crash leaves one or the other. Nothing is thinned or dropped that the reader has begun to send.
//
// # After a fault
//
// A disk that fails turns the log off; everything is read anew ten minutes later. A disk that is full stops it from
// growing, and Yield makes it smaller: commands come first. Telemetry then has its memory, as without this package.
//
// It knows neither MQTT nor JSON, and judges no value.
package backlog
