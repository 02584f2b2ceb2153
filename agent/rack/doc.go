// Package rack holds the words of the agent: sites, feeds, outlets, nodes, readings, commands, plans,
// outcomes, orders and events. Values only: no I/O, no clock, no goroutine, no lock.
//
// Everything that crosses a package border inside the agent is one of these types, so that a command can be
// followed from the wire to the relay and back without a translation on the way. Field names in JSON are the
// names of the wire and of the journal; both formats are frozen by vectors in agent/wire and agent/journal.
package rack
