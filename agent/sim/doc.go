// Package sim is the world an agent acts in, without hardware: outlets with loads behind them, relays with contacts
// that weld, metering boards made of register-level chips, buses that hang, an MQTT broker, and one record of all
// that happened in it.
//
// A World is what an agent is given instead of the real one. Time comes from a function, so a world runs in real
// time for a demonstration and in no time under testing/synctest. Nothing runs in the background: what the physics
// did since the last question is worked out when the next one is asked, so a rack left alone costs nothing.
//
// It is NOT a model of the drivers it is used to judge: it shares no code with them, and boards are described here
// once more, from the hardware's side.
//
// Order of locks: a Slot's, a chip's, then the Rack's, then the Trace's. The Rack never calls a chip while it holds its
// own.
package sim
