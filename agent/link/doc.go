// Package link is the agent's session with its MQTT 3.1.1 broker, and the operator's side of the same topics.
// It carries bytes: it knows topics, classes and acknowledgements, and no payload. It is NOT a store (what must
// survive a restart is the journal's and the backlog's), not a judge (what a command may do is the desk's), and
// it never touches a device.
//
// # One client per connection
//
// paho.mqtt.golang can reconnect by itself; here it is not allowed to. Each connection gets a client of its own,
// and Run is the loop around them, because then
//
//   - the timetable of attempts is exact (paho: fixed steps, no jitter, sleeps that nothing interrupts);
//   - no OnConnect handler, publish or acknowledgement of an old connection can reach a new one;
//   - SUBSCRIBE is the first packet after CONNACK. paho resends its store before it lets anybody subscribe, so
//     one message that the broker answers with a cut would keep commands away for ever.
//
// The price is that messages without PUBACK are sent again by this package, with a new packet identifier and
// DUP 0, where [MQTT-4.4.0-1] asks for the old identifier and DUP 1. A broker keeps nothing about a QoS 1 PUBLISH
// that it has acknowledged and does not pass the flag on, so nobody can tell. Duplicates come; loss does not: a
// message leaves the window only when its PUBACK deletes it from the store that paho is given (a paho token that
// completes without error proves nothing). First sendings and repeats keep their order within a class.
//
// # After each connect
//
// Subscribe to down/# and look at the answer; what OnUp returns (births); what was sent before and not
// acknowledged; then the queues: results and states, events, info, telemetry, backfill. At most 32 publishes are
// outstanding. All are QoS 1, and none is given to paho unless a connection is up.
//
// # Inbound
//
// paho runs with ordered handlers and manual acknowledgement. The handler hands the message to Opts.Inbound,
// which must queue it and return at once; Inbound.Ack is called when the message is on disk. Acknowledgements
// leave in the order of arrival [MQTT-4.6.0-2]. One that belongs to an earlier connection is dropped: the broker
// delivers the message again.
//
// # Files that change
//
// Certificate, key and authorities are read at each attempt and looked at every minute. When they have changed and can
// be used, a second connection with the new ones takes the place of the first (renew.go). The client certificate of
// another agent is never shown to a broker. Alarms tell of what will expire, of a client id that somebody else seems
// to use, and of a lock-out by the broker's access list, which no acknowledgement tells: for that a nonce has to come
// back (selftest.go).
//
// # A broker that misbehaves
//
// Frames over 256 KiB are refused when their length has been read, before anything is allocated, and so are
// frames that a broker never sends to a client like this one. Every write has 10 s. PINGREQ after 5 s of silence,
// 2 s for the answer, looked at every 1.25 s: a dead broker is noticed within 8.75 s, a socket that takes no
// bytes within 10 s. A message that makes the broker cut the connection is found by sending one at a time, and
// set aside.
package link
