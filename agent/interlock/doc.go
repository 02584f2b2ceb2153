// Package interlock turns readings of sensors into demands: rules that act without the network, on a leak, a temperature, a lost
// flow, a stop button or a battery. Each rule is a machine without clock and without I/O.
//
// It is NOT what acts: agent/power does, which also knows locks, wiring and proofs. It reads no sensor: agent/poll does. It never
// asks for anything to be started.
//
// # A rule
//
//	clear    every sensor tells, and none is beyond the limit
//	tripped  one has been beyond it for as long as the rule says, in two readings at least
//	blind    none tells, or one that was beyond it tells no more; what was tripped stays so
//
// A rule trips by one sensor of several: a miner is cheap. It is clear again when all tell, and are back by the hysteresis for a
// minute. A sensor that fails is told as that and is never taken for either.
package interlock
