// An MQTT client by other people (npm mqtt), for the tests: each line it prints is one thing that happened, as JSON.
//
//   outsider.js listen FILTER          until it is ended
//   outsider.js publish TOPIC RETAIN   the payload is read from standard input; RETAIN is true or false
//
// How to log in stands in the environment: URL, CA, CERT, KEY, ID, and USERNAME and PASSWORD where they are sent.
"use strict";
const fs = require("fs");
const mqtt = require("mqtt");

const { URL: url, CA, CERT, KEY, ID, KEEP, USERNAME, PASSWORD } = process.env;
const [action, topic, retain] = process.argv.slice(2);
const tell = (what, more) => console.log(JSON.stringify({ what, ...more }));
const end = (what, more) => { tell(what, more); process.exit(0); };

const options = { protocolVersion: 4, clientId: ID, clean: !KEEP, reconnectPeriod: 0, connectTimeout: 8000, ca: fs.readFileSync(CA) };
if (CERT) Object.assign(options, { cert: fs.readFileSync(CERT), key: fs.readFileSync(KEY) });
if (USERNAME) Object.assign(options, { username: USERNAME, password: PASSWORD || undefined });

const client = mqtt.connect(url, options);
let lost = "no session"; // what an end means before CONNACK
client.on("error", (e) => end(lost, { why: String(e.code || e.message) }));
client.on("close", () => end(lost));
client.on("message", (topic, payload, packet) => tell("message", { topic, payload: payload.toString(), retained: packet.retain }));
client.on("connect", () => {
	lost = "cut";
	if (action === "listen") {
		client.subscribe(topic, { qos: 1 }, (err, granted) => {
			const refused = err || granted.some((g) => g.qos > 2);
			tell(refused ? "refused" : "granted");
		});
		return;
	}
	client.publish(topic, fs.readFileSync(0), { qos: 1, retain: retain === "true" }, (err) => {
		if (!err) end("acknowledged");
	});
});
