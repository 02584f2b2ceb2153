// Package local is the agent's unix socket: HTTP/1.1 with JSON, for a person or a tool on the controller itself,
// and the client of it. It works without a broker and without a network.
//
//	GET  /v1/status                     what the agent is doing
//	GET  /v1/commands?n=50              cmd.list, n from 1 to 200
//	GET  /v1/commands/ID                cmd.get
//	GET  /v1/commands/ID/story          all that the journal holds of it
//	POST /v1/commands                   a command of the contract; its states as they come, one a line
//	POST /v1/journal/accept             journal.accept, with {"reason":"..."}
//
// Whoever connects is known by the uid that the kernel vouches for (SO_PEERCRED, unix(7)); where the kernel does
// not, and for uid 65534, reading is all there is. The file mode 0660 and a group decide who can connect at all.
// Everything but the status and stories goes to the desk as a command of the contract, so the same checks and guards apply as
// over MQTT, and the answer has the form of the states on up/cmd/ID. Commands are recorded and published as well, once
// there is a broker; cmd.list and cmd.get leave no record and are told to nobody else.
//
// A posted command may leave out id, exp and aud_boot: they are put in. Its answer lasts until the command has ended; a
// peer that goes away does not cancel it.
//
// It is NOT a second way to decide anything. It takes no TCP.
package local
