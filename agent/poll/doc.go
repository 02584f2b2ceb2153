// Package poll decides when each device of a bus is read, judges what came back, keeps the health of every
// device and the latest value of every point.
//
// One goroutine owns a bus: its schedule, its retries and the health of its devices. The devices of one bus
// therefore never overlap, and a bus that hangs delays no other (S10). Health is a machine without clock or
// I/O (Health); so are the schedule and the plausibility rules. Values age when they are asked for, not when
// something is read: Latest and All say stale although nothing happened since (S7).
//
// It is NOT told what values are for: no limit, no outlet logic, no decision. It writes to no device beyond
// what a driver's Identify and Read write of their own accord (register pointers, mux channels, the set-up of
// a meter). It does not recover a bus that is held low and does not tell a bad bus from a bad device; it
// reports the faults of which that can be told.
package poll
