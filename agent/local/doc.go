// Package local is the agent's unix socket: HTTP/1.1 with JSON, for a person or a tool on the controller itself,
// and the client of it. It works without a broker and without a network.
//
//	GET  /v1/status                     what the agent is doing
//	GET  /v1/commands?n=50              cmd.list
//	GET  /v1/commands/ID                cmd.get
//	POST /v1/journal/accept             journal.accept, with {"reason":"..."}
//
// Whoever connects is known by the uid that the kernel vouches for (SO_PEERCRED, unix(7)); where the kernel does
// not, and for uid 65534, reading is all there is. The file mode 0660 and a group decide who can connect at all.
// Everything but the status goes to the desk as a command of the contract, so the same checks, journal and
// guards apply as over MQTT, and the answer is the state that is published on up/cmd/ID.
//
// It is NOT a second way to decide anything, and it offers no command that moves a relay. It takes no TCP.
package local
