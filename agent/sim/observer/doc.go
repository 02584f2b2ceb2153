// Package observer judges a run of an agent in a simulated world, from outside. It looks at what the world recorded
// (bus transfers, contacts, watts, messages, injected faults) and at copies of the agent's state directory, and lists
// every breach of the invariants S1 to S11 that it can prove.
//
// It is NOT a part of the agent and shares no code with what it judges: it decodes relay parts, the journal, the
// configuration, the model files and the messages on its own, from their published descriptions. It knows nothing of
// what the agent believes. Where the record leaves open what a device did (a transfer failed and may have been taken
// all the same) the agent gets the benefit of the doubt: what is reported is certain.
//
// Rules lists the rules with the reading each one takes. A rule is a function from the decoded run to violations, so
// that a new one is a file and a line in that list.
package observer
