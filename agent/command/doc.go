// Package command is the desk: it takes every command that reaches the agent, over MQTT or the local socket, decides
// whether it may be tried, has it recorded, hands it on, and tells its states until the broker has the last one.
//
// It is NOT a planner (whether a relay may move is decided in agent/power, from one snapshot), not a store (the
// journal is), and not a reader of JSON (agent/wire is). It never touches a device and knows no verb that does.
//
// # What a message goes through
//
// Cheap checks first. A message that fails above the line is one counted event and is not answered, because nothing
// in it may choose a topic; below the line it is answered under its id.
//
//	topic        anything below down/ but down/cmd
//	size         over 8 KiB                                   too_big
//	retained     flagged as retained                          retained
//	form         no JSON object, no valid id; no JWS of ours  bad_schema
//	key          its kid is not configured, or revoked        unknown_key
//	flood        over 100 signatures per second               rate_limited
//	signature    wrong, or none and commands.unsigned is off  bad_signature
//	----------
//	rate         over 10 per second after a burst of 20, and  rate_limited *
//	             1 of the issuer's own after a burst of 5
//	repeat       an id already known: the recorded outcome with dup:true; another payload under it   id_conflict *
//	own          an id that begins with own-, the agent's own id_conflict *
//	queue        too many commands are being recorded         busy *
//	form         members, verb, target, arguments             bad_schema, unsupported, precondition *
//	issuer       iss is not the key's                         unknown_key *
//	audience     aud names another agent                      wrong_audience *
//	boot         aud_boot is not this boot                    replay *
//	role         verb, firm node or target is not the role's  unknown_key *
//	break-glass  not on the local socket, no reason, force    unsupported, bad_schema, precondition
//	clock        not synchronised and no aud_boot, over MQTT  clock_unsynced
//	time         iat over 5 s ahead, exp passed, exp too far  not_yet_valid, expired, precondition
//	seq          not above the last one taken of the issuer   replay
//	adding       power is added more often than the role may  rate_limited *
//	mode         observing, and the verb moves power          observing *
//	board        identify: the target hangs on none           unknown_target, unsupported
//	room         too many commands are unfinished             busy *
//	plan         what the planner refuses                     its code
//	journal      the record cannot be written                 journal_full *
//
// The repeat stands before the checks of time: a command delivered again after its expiry has its outcome already.
// Of commands over MQTT that come too fast or find no room, 200 at once and 100 a second are told so; the rest is counted,
// so that a flood is not answered by another one.
//
// What is marked * is no outcome. It is published with n 0, so that whatever follows under the id counts higher, and
// the same id may be sent again. Every other rejection is on disk before it is published: whoever has no right to a command
// fills no disk, and the journal bounds how many refusals it takes of the others.
//
// # Who speaks
//
// Over MQTT it is the key that signed, on the local socket the uid that the kernel tells. Either stands for an issuer,
// which is a person or a program, and for a role, which says what the issuer may do. The number (seq) counts per issuer,
// not per key, and once more for each aud_boot; how far it has counted is in the journal. An unsigned command has no
// identity whatever it says of itself: it approves nothing and moves no firm node.
//
// # Two persons
//
// force on an outlet of a firm node waits for a second person: journalled, told as waiting with the hash of its payload,
// and for five minutes at most. approve names id and hash and comes from another issuer. The plan is made anew then. The
// approval, its result and the accepted command are one commit. A start ends what waits: nobody measured how long it has
// waited, and a restart must not bring anything about.
//
// # What is kept
//
// Every command over MQTT is kept with its outcome (S5), but cmd.list without its list: the list is told once, and a
// repeat or a second publication of its result says that it is not kept.
//
// cmd.get and cmd.list over the local socket are questions: they move nothing, each comes under an id of its own, and
// the one who asked waits for the answer. They are not recorded and not published, so that asking without a broker,
// where nothing is ever acknowledged and no record ever leaves the journal, fills neither disk nor memory, and so that
// it works while the disk does not. Everything else over the local socket is kept and published as over MQTT.
//
// Of results that the broker has not acknowledged the desk holds the ids. They are read from the journal when they are
// published again.
//
// # What a crash leaves
//
// A power verb is submitted to the journal with its plan. Only when the journal says it is on disk does the desk
// publish accepted, acknowledge the message, and start it, in this order. So a crash
//
//   - before the record: nothing happened, the broker delivers the message again, and it is a new command;
//   - after the record, before the acknowledgement: the broker delivers it again, and it is a repeat. It is never
//     started, neither by the repeat nor by the new desk: commands found unfinished are judged by agent/power, never
//     continued (S1);
//   - after the start: the same.
//
// A terminal result is on disk before the desk hears of it, and is published again after a start until the broker has
// acknowledged it (S5).
//
// # Ownership
//
// All state belongs to the goroutine of Run. Everything else (messages, answers of the journal, results, the
// broker's acknowledgements) is put into an inbox, which never blocks the one who brings it.
package command
