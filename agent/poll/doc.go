// Package poll decides when each device of a bus is read, judges what came back, keeps the health of every
// device and the latest value of every point.
//
// One goroutine owns a bus: its schedule, its retries and the health of its devices. The devices of one bus
// therefore never overlap, and a bus that hangs delays no other (S10). Health is a machine without clock or
// I/O (Health); so are the schedule and the plausibility rules. Values age when they are asked for, not when
// something is read: Latest and All say stale although nothing happened since (S7).
//
// A bad bus is the owner's to find and to recover, and the owner's word for it (drivers.BusFenced, drivers.Hung) is
// held against no device: its values grow stale for that reason, and that is all. A bad device is told from it by the
// others' answers: one that spoils the bus again and again while they answer is set apart (quarantined).
//
// It is NOT told what values are for: no limit, no outlet logic, no decision. It writes to no device beyond
// what a driver's Identify and Read write of their own accord (register pointers, mux channels, the set-up of
// a meter). It recovers nothing.
package poll
