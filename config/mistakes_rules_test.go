package config

import "testing"

func TestMistakesInSite(t *testing.T) {
	judge(t, []mistake{
		{
			"capitals", "site: ams1", "site: CHANGE-ME",
			`c.yaml:2:7: site: "CHANGE-ME" is not a name: 1 to 23 characters out of a-z, 0-9 and -`,
		},
		{
			"a relative state directory", "agent: r17", "agent: r17\nstate_dir: var/lib",
			`c.yaml:4:12: state_dir: "var/lib" is not an absolute path without . and ..`,
		},
		{
			"dots in a path", "agent: r17", "agent: r17\nstate_dir: /var/../etc",
			`c.yaml:4:12: state_dir: "/var/../etc" is not an absolute path without . and ..`,
		},
		{
			"periods out of range", "agent: r17", "agent: r17\ntelemetry: {period_s: 0}\npoll: {outlet_period_s: 60, identity_period_s: 1}\npower: {stagger_ms: 20, feed_control: maybe}",
			`c.yaml:4:23: telemetry.period_s: 0 is outside 1 to 3600 s
c.yaml:5:25: poll.outlet_period_s: 60 is outside 0.2 to 5 s
c.yaml:5:48: poll.identity_period_s: 1 is outside 10 to 86400 s
c.yaml:6:21: power.stagger_ms: 20 is outside 100 to 60000 ms
c.yaml:6:39: power.feed_control: "maybe" is neither alarm nor shed`,
		},
		{
			"a socket", "agent: r17", "agent: r17\nlocal: {socket: run/x.sock, group: \"\"}",
			`c.yaml:4:17: local.socket: "run/x.sock" is not an absolute path without . and ..
c.yaml:4:36: local.group: "" is not the name of a group`,
		},
		{
			"a long socket path", "agent: r17", "agent: r17\nlocal: {socket: /run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}",
			`c.yaml:4:17: local.socket: the path of a unix socket has at most 103 bytes`,
		},
		{
			"metrics for everybody", `listen: ""`, "listen: 0.0.0.0:9871",
			`c.yaml:6:16: http.listen: "0.0.0.0" is not a loopback address; metrics have no password and stay on this machine (write 127.0.0.1:9871, or "" for none)`,
		},
		{
			"localhost", `listen: ""`, "listen: localhost:9871",
			`c.yaml:6:16: http.listen: "localhost" is not a loopback address; metrics have no password and stay on this machine (write 127.0.0.1:9871, or "" for none)`,
		},
		{
			"no port", `listen: ""`, "listen: 127.0.0.1",
			`c.yaml:6:16: http.listen: "127.0.0.1" is not ADDRESS:PORT (write 127.0.0.1:9871, or "" for none)`,
		},
		{
			"ipv6 loopback", `listen: ""`, `listen: "[::1]:0"`,
			`c.yaml:6:16: http.listen: "[::1]:0" is not ADDRESS:PORT (write 127.0.0.1:9871, or "" for none)`,
		},
	})
}

func TestMistakesInMQTT(t *testing.T) {
	judge(t, []mistake{
		{
			"another scheme", "mqtts://broker:8883", "tcp://broker:1883",
			`c.yaml:5:11: mqtt.broker: not an mqtts:// or mqtt:// address (write mqtts://HOST:PORT)`,
		},
		{
			"no port", "mqtts://broker:8883", "mqtts://broker",
			`c.yaml:5:11: mqtt.broker: the address needs a host and a port (write mqtts://HOST:PORT, usually 8883)`,
		},
		{
			"a path", "mqtts://broker:8883", "mqtts://broker:8883/x",
			`c.yaml:5:11: mqtt.broker: nothing may follow the port (write mqtts://HOST:PORT)`,
		},
		{
			"a password in the address", "mqtts://broker:8883", "mqtts://r17:hunter2@broker:8883",
			`c.yaml:5:11: mqtt.broker: a user or a password may not stand in the address (use user and password_file)`,
		},
		{
			"a broken address with a password", "mqtts://broker:8883", "mqtts://r17:%zz@broker:8883",
			`c.yaml:5:11: mqtt.broker: a user or a password may not stand in the address (use user and password_file)`,
		},
		{
			"no TLS", "mqtts://broker:8883", "mqtt://broker:1883",
			`c.yaml:5:11: warning: mqtt.broker: without TLS anybody on the network can read and forge messages (write mqtts://HOST:PORT)`,
		},
		{
			"no TLS on loopback with a password", "mqtts://broker:8883", "mqtt://127.0.0.1:1883\n  user: r17\n  password_file: /x/y\n  ca_file: /x/ca",
			`c.yaml:8:12: mqtt.ca_file: this key has no effect without TLS (make the broker an mqtts:// address)`,
		},
		{
			"a password without TLS", "mqtts://broker:8883", "mqtt://broker:1883\n  user: r17\n  password_file: /x/y",
			`c.yaml:5:11: mqtt.broker: the password would cross the network in the clear (write mqtts://HOST:PORT)`,
		},
		{
			"a password as a file name", "mqtts://broker:8883", "mqtts://broker:8883\n  user: r17\n  password_file: hunter2",
			`c.yaml:7:18: mqtt.password_file: not an absolute path without . and .. (the key takes the path of a file, not its content)`,
		},
		{
			"a number as a password", "mqtts://broker:8883", "mqtts://broker:8883\n  user: r17\n  password_file: 123456",
			`c.yaml:7:18: mqtt.password_file: want a text, got a number (quote it if it is meant as a text)`,
		},
		{
			"halves", "mqtts://broker:8883", "mqtts://broker:8883\n  password_file: /x/y\n  cert_file: /x/z",
			`c.yaml:6:18: mqtt.password_file: a password needs a user
c.yaml:7:14: mqtt.cert_file: a certificate needs key_file`,
		},
		{
			"the other half", "mqtts://broker:8883", "mqtts://broker:8883\n  key_file: /x/z",
			`c.yaml:6:13: mqtt.key_file: a key needs cert_file`,
		},
		{
			"two ways to name a broker", "mqtts://broker:8883", "mqtts://broker:8883\n  brokers: [mqtts://b:8883]",
			`c.yaml:6:12: mqtt.brokers: broker names one already (keep one of the two)`,
		},
		{
			"no broker in the list", "broker: mqtts://broker:8883", "brokers: []",
			`c.yaml:5:12: mqtt.brokers: a list of 1 to 5 addresses is wanted`,
		},
		{
			"too many brokers", "broker: mqtts://broker:8883", "brokers: [mqtts://a:1, mqtts://a:2, mqtts://a:3, mqtts://a:4, mqtts://a:5, mqtts://a:6]",
			`c.yaml:5:12: mqtt.brokers: a list of 1 to 5 addresses is wanted`,
		},
		{
			"brokers with mistakes", "broker: mqtts://broker:8883", "brokers: [mqtts://a:1, mqtts://r17:hunter2@b:1, mqtts://A:1, c]",
			`c.yaml:5:26: mqtt.brokers[1]: a user or a password may not stand in the address (use user and password_file)
c.yaml:5:51: mqtt.brokers[2]: this address stands in the list already (delete one of the two)
c.yaml:5:64: mqtt.brokers[3]: not an mqtts:// or mqtt:// address (write mqtts://HOST:PORT)`,
		},
		{
			"one broker without TLS", "broker: mqtts://broker:8883", "brokers: [mqtts://a:1, mqtt://127.0.0.1:1]",
			`c.yaml:5:12: mqtt.brokers: whoever disturbs the addresses with TLS would lead the agent to one without (make all of them mqtts:// addresses)`,
		},
		{
			"a password as a credential", "mqtts://broker:8883", "mqtts://broker:8883\n  user: r17\n  password_file: credential:../hunter2",
			`c.yaml:7:18: mqtt.password_file: not the name of a credential (write credential:NAME, as in LoadCredential=NAME:PATH of the unit)`,
		},
		{
			"client id and the rest", "mqtts://broker:8883", "mqtts://broker:8883\n  client_id: ams1/r17\n  user: \"\"\n  server_name: a b\n  spread_s: -1",
			`c.yaml:6:14: mqtt.client_id: not 1 to 23 characters out of A-Z, a-z, 0-9 and -
c.yaml:7:9: mqtt.user: not 1 to 128 printable characters without spaces
c.yaml:8:16: mqtt.server_name: not a host name
c.yaml:9:13: mqtt.spread_s: -1 is outside 0 to 3600 s`,
		},
	})
}

func TestMistakesInBuses(t *testing.T) {
	judge(t, []mistake{
		{
			"a bus number", "device: /dev/i2c-1", "device: 1",
			`c.yaml:9:26: buses[0].device: want a text, got the number "1" (quote it if it is meant as a text)`,
		},
		{
			"a number as an adapter", "device: /dev/i2c-1", `adapter: "1"`,
			`c.yaml:9:27: buses[0].adapter: "1" is no name of a bus; a number alone may belong to another bus at the next boot (write device: "/dev/i2c-1", or adapter: with the name from /sys/class/i2c-adapter/i2c-1/name)`,
		},
		{
			"a relative device", "device: /dev/i2c-1", "device: i2c-1",
			`c.yaml:9:26: buses[0].device: "i2c-1" is not a path below /dev (write device: "/dev/i2c-1", or adapter: with the name from /sys/class/i2c-adapter/i2c-1/name)`,
		},
		{
			"both", "device: /dev/i2c-1", "device: /dev/i2c-1, adapter: x",
			`c.yaml:9:47: buses[0].adapter: device names this bus already (keep one of the two)`,
		},
		{
			"neither", ", device: /dev/i2c-1", "",
			`c.yaml:9:5: buses[0]: neither device nor adapter names this bus (write device: "/dev/i2c-1", or adapter: with the name from /sys/class/i2c-adapter/i2c-1/name)`,
		},
		{
			"a bus twice", "  - {name: main, device: /dev/i2c-1}", "  - {name: main, device: /dev/i2c-1}\n  - {name: main, device: /dev/i2c-1}",
			`c.yaml:10:12: buses[1].name: "main" is also the name of buses[0] on line 9
c.yaml:10:26: buses[1].device: "/dev/i2c-1" is also the device of buses[0] on line 9`,
		},
	})
}

func TestMistakesInFeeds(t *testing.T) {
	judge(t, []mistake{
		{
			"an unknown parent", "parent: row", "parent: rwo",
			`c.yaml:12:28: feeds[1].parent: no feed is named "rwo" (feeds: row, bank-a)`,
		},
		{
			"a circle", "{name: row, lines", "{name: row, parent: bank-a, lines",
			`c.yaml:11:25: feeds[0].parent: the parents run in a circle: row -> bank-a -> row (one feed at the top has no parent)`,
		},
		{
			"its own parent", "{name: row, lines", "{name: row, parent: row, lines",
			`c.yaml:11:25: feeds[0].parent: the parents run in a circle: row -> row (one feed at the top has no parent)`,
		},
		{
			"a line too many", "parent: row, lines: [L1]", "parent: row, lines: [L1, L4, L1]",
			`c.yaml:12:45: feeds[1].lines[1]: "L4" is not L1, L2 or L3
c.yaml:12:49: feeds[1].lines[2]: L1 stands here twice`,
		},
		{
			"a line the parent does not have", "lines: [L1, L2, L3], volts_v: 400", "lines: [L2, L3], volts_v: 400",
			`c.yaml:12:41: feeds[1].lines[0]: feed row above has no line L1`,
		},
		{
			"no lines", "parent: row, lines: [L1]", "parent: row, lines: []",
			`c.yaml:12:40: feeds[1].lines: a feed has at least one line (write for example [L1] or [L1, L2, L3])`,
		},
		{
			"a lower-case line", "parent: row, lines: [L1]", "parent: row, lines: [l1]",
			`c.yaml:12:41: feeds[1].lines[0]: "l1" is not L1, L2 or L3`,
		},
		{
			"one line instead of a list", "parent: row, lines: [L1]", "parent: row, lines: L1",
			`c.yaml:12:40: feeds[1].lines: want a list, got the text "L1" (write [A, B], or one line with a dash for each)`,
		},
		{
			"too much of a rating", "rating_a: 63", "rating_a: 63, continuous: 1.2",
			`c.yaml:11:78: feeds[0].continuous: 1.2 is not above 0 and at most 1 (0.8 for ordinary breakers, 1 for 100 %-rated ones)`,
		},
		{
			"percent", "rating_a: 63", "rating_a: 63, continuous: 80",
			`c.yaml:11:78: feeds[0].continuous: 80 is not above 0 and at most 1 (0.8 for ordinary breakers, 1 for 100 %-rated ones)`,
		},
		{
			"a share above the limit", "rating_a: 63", "rating_a: 63, share_a: 60",
			`c.yaml:11:75: feeds[0].share_a: 60 A is more than the level may carry: 63 A x 0.8 = 50.4 A`,
		},
		{
			"a share of the whole limit and none", "rating_a: 63", "rating_a: 63, share_a: 0",
			`c.yaml:11:75: feeds[0].share_a: a share is above 0 A (leave the key out where the level is not shared)`,
		},
		{
			"no rating and no volts", ", volts_v: 230, rating_a: 32", "",
			`c.yaml:12:5: feeds[1].rating_a: this key is missing
c.yaml:12:5: feeds[1].volts_v: this key is missing`,
		},
		{
			"zero", ", volts_v: 230, rating_a: 32", ", volts_v: 0, rating_a: 0",
			`c.yaml:12:55: feeds[1].volts_v: 0 is outside 12 to 1000 V
c.yaml:12:68: feeds[1].rating_a: 0 is outside 0.1 to 10000 A`,
		},
		{
			"line to neutral at the top", "volts_v: 400", "volts_v: 230",
			`c.yaml:12:55: warning: feeds[1].volts_v: 230 V to neutral is not less than the 230 V between the lines of feed row (one line counts against neutral, two and three lines against each other: 230 below 400, 120 below 208 or 240)`,
		},
		{
			"a transformer", "lines: [L1], volts_v: 230", "lines: [L1, L2], volts_v: 208",
			`c.yaml:12:59: warning: feeds[1].volts_v: 208 V differs from the 400 V of feed row above`,
		},
		{
			"a name twice", "{name: bank-a, parent", "{name: row, parent",
			`c.yaml:12:12: feeds[1].name: "row" is also the name of feeds[0] on line 11
c.yaml:14:70: pdus[0].banks.a: no feed is named "bank-a" (feeds: row)`,
		},
	})
}

func TestMistakesInPDUs(t *testing.T) {
	judge(t, []mistake{
		{
			"an unknown model", "model: ac8", "model: ac9",
			`c.yaml:14:26: pdus[0].model: no PDU model is named "ac9"`,
		},
		{
			"an unknown bus", "bus: main", "bus: mian",
			`c.yaml:14:36: pdus[0].bus: no bus is named "mian" (buses: main)`,
		},
		{
			"an unknown feed", "{a: bank-a}", "{a: bank-b}",
			`c.yaml:14:70: pdus[0].banks.a: no feed is named "bank-b" (feeds: row, bank-a)`,
		},
		{
			"a three-phase bank", "{a: bank-a}", "{a: row}",
			`c.yaml:14:70: pdus[0].banks.a: feed row has three lines, and the loads of a bank hang on one or two (name a feed of one line (to neutral) or two (between lines) below it)`,
		},
		{
			"a bank too many", "{a: bank-a}", "{a: bank-a, b: bank-a}",
			`c.yaml:14:81: pdus[0].banks.b: model ac8 has no bank "b" (banks: a)`,
		},
		{
			"a bank too few", "model: ac8", "model: ac16",
			`c.yaml:14:67: pdus[0].banks.b: bank b of model ac16 has no feed`,
		},
		{
			"no banks", ", banks: {a: bank-a}", "",
			`c.yaml:14:5: pdus[0].banks: this key is missing`,
		},
		{
			"empty banks", "{a: bank-a}", "{}",
			`c.yaml:14:66: pdus[0].banks: every bank of a PDU needs its feed
c.yaml:14:66: pdus[0].banks.a: bank a of model ac8 has no feed`,
		},
		{
			"a list of banks", "{a: bank-a}", "[bank-a]",
			`c.yaml:14:66: pdus[0].banks: want keys and values, got a list (write {KEY: VALUE})`,
		},
		{
			"serial and identity", "serial: PA-0001", "serial: PA-0001, identity: none",
			`c.yaml:14:69: pdus[0].identity: serial identifies this board already (keep one of the two)`,
		},
		{
			"neither serial nor identity", "serial: PA-0001, ", "",
			`c.yaml:14:5: pdus[0]: neither serial nor identity is given (write serial: with what the label of the board says, or identity: none where it has none)`,
		},
		{
			"another identity", "serial: PA-0001", "identity: fru",
			`c.yaml:14:52: pdus[0].identity: "fru" is not none, the only value of this key (write serial: with what the label of the board says, or identity: none where it has none)`,
		},
		{
			"a serial with a space", "serial: PA-0001", `serial: "PA-0001 "`,
			`c.yaml:14:50: pdus[0].serial: "PA-0001 " is not a serial: 1 to 63 printable characters without spaces at the ends`,
		},
		{
			"no identity beside a firm node", "serial: PA-0001", "identity: none",
			`c.yaml:14:52: warning: pdus[0].identity: beside the firm node gpu-1 all outlets of pdu-a count as unproven, and unproven ones as firm
c.yaml:16:61: nodes[0].wiring: declared needs a board that can be recognised; pdu-a has identity: none, and the file holds the firm node gpu-1 (give the serial of the board, or write wiring: unproven)`,
		},
		{
			"a serial twice", "nodes:\n", "  - {name: pdu-b, model: ac8, bus: main, serial: PA-0001, banks: {a: bank-a}}\nnodes:\n",
			`c.yaml:15:50: pdus[1].serial: "PA-0001" is also the serial of pdus[0] on line 14`,
		},
	})
}

func TestMistakesInNodes(t *testing.T) {
	judge(t, []mistake{
		{
			"an outlet that the model does not have", "[pdu-a.1]", "[pdu-a.9]",
			`c.yaml:16:43: nodes[0].outlets[0]: outlet pdu-a.9: ac8 has outlets 1 to 8`,
		},
		{
			"an unknown PDU", "[pdu-a.1]", "[pdu-b.1]",
			`c.yaml:16:43: nodes[0].outlets[0]: outlet pdu-b.1: no PDU is named pdu-b (PDUs: pdu-a)`,
		},
		{
			"not an outlet", "[pdu-a.1]", "[pdu-a/1, pdu-a.01, pdu-a.0, pdu-a.100, a.b.1]",
			`c.yaml:16:43: nodes[0].outlets[0]: "pdu-a/1" is not an outlet (write PDU.N, for example pdu-a.3)
c.yaml:16:52: nodes[0].outlets[1]: "pdu-a.01" is not an outlet (write PDU.N, for example pdu-a.3)
c.yaml:16:62: nodes[0].outlets[2]: "pdu-a.0" is not an outlet (write PDU.N, for example pdu-a.3)
c.yaml:16:71: nodes[0].outlets[3]: "pdu-a.100" is not an outlet (write PDU.N, for example pdu-a.3)
c.yaml:16:82: nodes[0].outlets[4]: "a.b.1" is not an outlet (write PDU.N, for example pdu-a.3)`,
		},
		{
			"an outlet twice", "[pdu-a.7, pdu-a.8]", "[pdu-a.1, pdu-a.8, pdu-a.8]",
			`c.yaml:19:15: nodes[1].outlets[0]: outlet pdu-a.1 feeds asic-1 already, nodes[0] on line 16 (an outlet feeds one node)
c.yaml:19:33: nodes[1].outlets[2]: outlet pdu-a.8 stands here twice`,
		},
		{
			"no outlets", "[pdu-a.7, pdu-a.8]", "[]",
			`c.yaml:19:14: nodes[1].outlets: a node has at least one outlet (write for example [pdu-a.1])`,
		},
		{
			"another class", "class: gpu", "class: cpu",
			`c.yaml:18:12: nodes[1].class: "cpu" is neither asic nor gpu`,
		},
		{
			"no class and no watts", ", class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 600", ", outlets: [pdu-a.1], wiring: declared",
			`c.yaml:16:5: nodes[0].class: this key is missing
c.yaml:16:5: nodes[0].max_w: this key is missing`,
		},
		{
			"no watts of a server", "    max_w: 1600\n", "",
			`c.yaml:17:5: nodes[1].max_w: this key is missing`,
		},
		{
			"no watts", ", max_w: 600", "",
			`c.yaml:16:5: nodes[0].max_w: this key is missing`,
		},
		{
			"kilowatts", "max_w: 600", "max_w: 0.6",
			`c.yaml:16:78: nodes[0].max_w: 0.6 is outside 1 to 200000 W`,
		},
		{
			"half a surge", "max_w: 600", "max_w: 600, surge_w: 100",
			`c.yaml:16:92: nodes[0].surge_w: a surge needs surge_s, the time it lasts`,
		},
		{
			"the other half of a surge", "max_w: 600", "max_w: 600, surge_s: 100",
			`c.yaml:16:92: nodes[0].surge_s: a surge needs surge_w, its height above max_w`,
		},
		{
			"a negative surge", "max_w: 600", "max_w: 600, surge_w: -1, surge_s: -1",
			`c.yaml:16:92: nodes[0].surge_w: -1 is outside 0 to 200000 W
c.yaml:16:105: nodes[0].surge_s: -1 is outside 0 to 3600 s`,
		},
		{
			"no minimum off time", "max_w: 600", "max_w: 600, min_off_s: 0",
			`c.yaml:16:94: nodes[0].min_off_s: 0 is outside 1 to 3600 s`,
		},
		{
			"a short minimum off time", "max_w: 600", "max_w: 600, min_off_s: 5",
			`c.yaml:16:94: warning: nodes[0].min_off_s: 5 s is less than the 30 s after which the supply of such a node has discharged`,
		},
		{
			"another power return", "max_w: 600", "max_w: 600, on_power_return: on",
			`c.yaml:16:100: nodes[0].on_power_return: "on" without quotes is not a text to every YAML reader (put it in quotes)`,
		},
		{
			"wiring not stated", "wiring: declared, ", "",
			`c.yaml:16:5: warning: nodes[0].wiring: wiring is not stated, so the outlets of asic-1 count as firm and will not be cut (write wiring: declared once you have followed the cables)`,
		},
		{
			"wiring proven by decree", "wiring: declared", "wiring: proven",
			`c.yaml:16:61: nodes[0].wiring: "proven" is neither declared nor unproven`,
		},
		{
			"a name twice", "name: gpu-1", "name: asic-1",
			`c.yaml:17:11: nodes[1].name: "asic-1" is also the name of nodes[0] on line 16`,
		},
	})
}

func TestMistakesInGroups(t *testing.T) {
	const end = "    max_w: 1600\n"
	judge(t, []mistake{
		{
			"a node that is not there", end, end + "groups: [{name: miners, nodes: [asic-1, asic-9]}]\n",
			`c.yaml:21:41: groups[0].nodes[1]: no node is named "asic-9"`,
		},
		{
			"an outlet instead of a node", end, end + "groups: [{name: miners, nodes: [pdu-a.1]}]\n",
			`c.yaml:21:33: groups[0].nodes[0]: no node is named "pdu-a.1"`,
		},
		{
			"a node twice", end, end + "groups: [{name: miners, nodes: [asic-1, asic-1]}]\n",
			`c.yaml:21:41: groups[0].nodes[1]: node "asic-1" stands here twice`,
		},
		{
			"nobody", end, end + "groups: [{name: miners, nodes: []}]\n",
			`c.yaml:21:32: groups[0].nodes: a group has at least one node (write for example [asic-1, asic-2])`,
		},
		{
			"no nodes", end, end + "groups: [{name: miners}]\n",
			`c.yaml:21:10: groups[0].nodes: this key is missing`,
		},
		{
			"a name twice", end, end + "groups:\n  - {name: a, nodes: [asic-1]}\n  - {name: a, nodes: [gpu-1]}\n",
			`c.yaml:23:12: groups[1].name: "a" is also the name of groups[0] on line 22`,
		},
		{
			"capitals, and no name", end, end + "groups:\n  - {name: Miners, nodes: [asic-1]}\n  - {nodes: [asic-1]}\n",
			`c.yaml:22:12: groups[0].name: "Miners" is not a name: 1 to 23 characters out of a-z, 0-9 and -
c.yaml:23:5: groups[1].name: this key is missing`,
		},
		{
			"a list of names", end, end + "groups: {miners: [asic-1]}\n",
			`c.yaml:21:9: groups: want a list, got keys and values (write [A, B], or one line with a dash for each)`,
		},
	})
}
