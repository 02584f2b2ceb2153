package config

import "testing"

func TestMistakesInSyntax(t *testing.T) {
	judge(t, []mistake{
		{
			"a tab", "  broker: mqtts", "\tbroker: mqtts",
			`c.yaml:5:1: a tab indents this line (indent with spaces)`,
		},
		{
			"a missing bracket", "[pdu-a.7, pdu-a.8]", "[pdu-a.7, pdu-a.8",
			`c.yaml:20:5: not YAML: ',' or ']' must be specified (look here and one line above: indentation, a space after each colon, quotes around texts with : or #)`,
		},
		{
			"a missing space after a colon", "site: ams1", "site:ams1",
			`c.yaml:2:1: not YAML: non-map value is specified (look here and one line above: indentation, a space after each colon, quotes around texts with : or #)`,
		},
		{
			"a missing space in braces", "{unsigned: false}", "{unsigned:false}",
			`c.yaml:7:20: commands.unsigned: a space is missing after the colon`,
		},
		{
			"wrong indentation", "    class: gpu", "   class: gpu",
			`c.yaml:18:4: not YAML: value is not allowed in this context (look here and one line above: indentation, a space after each colon, quotes around texts with : or #)`,
		},
		{
			"an open quote", "device: /dev/i2c-1", `device: "/dev/i2c-1`,
			`c.yaml:9:26: not YAML: could not find end character of double-quoted text (look here and one line above: indentation, a space after each colon, quotes around texts with : or #)`,
		},
		{
			"an anchor and an alias", "  - name: gpu-1\n    class: gpu", "  - name: &x gpu-1\n    class: *x",
			`c.yaml:17:11: an anchor (&) is not allowed here (write the value out)
c.yaml:18:12: an alias (*) is not allowed here (write the value out, or quote it if * is part of a text)`,
		},
		{
			"a merge key", "    class: gpu", "    <<: {class: gpu}",
			`c.yaml:17:5: nodes[1].class: this key is missing
c.yaml:18:5: a merge key (<<) is not allowed here (write the value out)`,
		},
		{
			"a tag", "class: gpu", "class: !!str gpu",
			`c.yaml:18:12: a tag (!) is not allowed here (leave it out, or quote it if ! is part of a text)`,
		},
		{
			"a question mark key", "agent: r17", "? agent\n: r17",
			`c.yaml:1:1: agent: this key is missing
c.yaml:3:1: a key written with ? is not allowed here (write KEY: VALUE)`,
		},
		{
			"a text block", "site: ams1", "site: |\n  ams1",
			`c.yaml:2:7: a text block (| or >) is not allowed here (write the text on the same line)`,
		},
		{
			"a second document", "nodes:\n", "---\nnodes:\n",
			`c.yaml:15:1: a second document (---) begins here (one file holds one configuration)`,
		},
		{
			"a directive", "schema: 1", "%YAML 1.1\n---\nschema: 1",
			`c.yaml:1:1: a directive (%) is not allowed here (leave it out)`,
		},
		{
			"a key twice", "agent: r17", "agent: r17\nsite: ams2",
			`c.yaml:4:1: site: this key stands already on line 2 (delete one of the two)`,
		},
		{
			"a section twice", "commands: {unsigned: false}", "http: {listen: 127.0.0.1:9871}",
			`c.yaml:7:1: http: this key stands already on line 6 (delete one of the two)`,
		},
		{
			"a list instead of a section", `http: {listen: ""}`, "http: [a, b]",
			`c.yaml:6:7: http: want keys and values, got a list`,
		},
		{
			"keys instead of a list", "  - {name: main, device: /dev/i2c-1}", "  name: main\n  device: /dev/i2c-1",
			`c.yaml:9:3: buses: want a list, got keys and values (write [A, B], or one line with a dash for each)`,
		},
		{
			"an empty section", `http: {listen: ""}`, "http:\n#  listen: 127.0.0.1:9871",
			`c.yaml:6:6: http: there is no value here (give it a value or leave the key out)`,
		},
		{
			"an empty entry", "outlets: [pdu-a.7, pdu-a.8]", "outlets: [pdu-a.7, ]\n    surge_w:",
			`c.yaml:20:13: nodes[1].surge_w: there is no value here (give it a value or leave the key out)`,
		},
		{
			"a byte that is not UTF-8", "site: ams1", "site: ams1 # \xfc",
			`c.yaml:2:14: this byte is not UTF-8 (save the file as UTF-8)`,
		},
		{
			"a bidirectional override", "site: ams1", "site: ams1 # \u202e",
			`c.yaml:2:14: invisible character U+202E (delete it)`,
		},
		{
			"a byte order mark", "schema: 1", "\ufeffschema: 1",
			`c.yaml:1:1: invisible character U+FEFF (delete it)`,
		},
		{
			"an escape in quotes", "site: ams1", "site: \"ams1\\x1b[31m\"",
			`c.yaml:2:7: site: the text holds an invisible character`,
		},
		{
			"too deep", "outlets: [pdu-a.7, pdu-a.8]", "outlets: [[[[[[[[[a]]]]]]]]]",
			`c.yaml:19:22: the file holds too many values or nests them too deeply`,
		},
	})
}

func TestMistakesInKeys(t *testing.T) {
	judge(t, []mistake{
		{
			"a misspelt key", "    max_w: 1600", "    maxw: 1600",
			`c.yaml:17:5: nodes[1].max_w: this key is missing
c.yaml:20:5: nodes[1].maxw: unknown key (did you mean max_w?)`,
		},
		{
			"half a key", "broker: mqtts://broker:8883", "broker: mqtts://broker:8883\n  client: x",
			`c.yaml:6:3: mqtt.client: unknown key (did you mean client_id?)`,
		},
		{
			"a password in the file", "broker: mqtts://broker:8883", "broker: mqtts://broker:8883\n  password: hunter2",
			`c.yaml:6:3: mqtt.password: unknown key (did you mean password_file?)`,
		},
		{
			"a section that does not exist", "commands:", "command:",
			`c.yaml:7:1: command: unknown key (did you mean commands?)`,
		},
		{
			"a number as a key", "agent: r17", "agent: r17\n1: 2",
			`c.yaml:4:1: 1: a key must be a text (put it in quotes)`,
		},
		{
			"a key full of rubbish", "agent: r17", "agent: r17\n\"a b\\e[2J\": 2",
			`c.yaml:4:1: "a b\x1b[2J": the key holds an invisible character`,
		},
		{
			"no site", "site: ams1\n", "",
			`c.yaml:1:1: site: this key is missing`,
		},
		{
			"no broker", "  broker: mqtts://broker:8883", "  user: r17",
			`c.yaml:5:3: mqtt.broker: this key is missing`,
		},
		{
			"a node of nothing", "  - name: gpu-1\n    class: gpu\n    outlets: [pdu-a.7, pdu-a.8]\n    max_w: 1600", "  - {}",
			`c.yaml:17:5: nodes[1].class: this key is missing
c.yaml:17:5: nodes[1].max_w: this key is missing
c.yaml:17:5: nodes[1].name: this key is missing
c.yaml:17:5: nodes[1].outlets: this key is missing`,
		},
	})
}

func TestMistakesInValues(t *testing.T) {
	judge(t, []mistake{
		{
			"no as a name", "site: ams1", "site: no",
			`c.yaml:2:7: site: "no" without quotes is not a text to every YAML reader (put it in quotes)`,
		},
		{
			"a number as a name", "agent: r17", "agent: 17",
			`c.yaml:3:8: agent: want a text, got the number "17" (quote it if it is meant as a text)`,
		},
		{
			"a number in quotes", "max_w: 1600", `max_w: "1600"`,
			`c.yaml:20:12: nodes[1].max_w: want a number, got the text "1600" (take the quotes off)`,
		},
		{
			"yes for true", "unsigned: false", "unsigned: yes",
			`c.yaml:7:22: commands.unsigned: want true or false, got the text "yes" (write true or false)`,
		},
		{
			"capital True", "unsigned: false", "unsigned: True",
			`c.yaml:7:22: commands.unsigned: want true or false, got the boolean True (write true or false)`,
		},
		{
			"an octal number", "max_w: 1600", "max_w: 01600",
			`c.yaml:20:12: nodes[1].max_w: want a plain decimal number, got "01600" (write digits, and a point where needed: 250 or 0.8)`,
		},
		{
			"an exponent", "max_w: 1600", "max_w: 1.6e3",
			`c.yaml:20:12: nodes[1].max_w: want a plain decimal number, got "1.6e3" (write digits, and a point where needed: 250 or 0.8)`,
		},
		{
			"underscores", "max_w: 1600", "max_w: 1_600",
			`c.yaml:20:12: nodes[1].max_w: want a plain decimal number, got "1_600" (write digits, and a point where needed: 250 or 0.8)`,
		},
		{
			"a unit", "max_w: 1600", "max_w: 1600 W",
			`c.yaml:20:12: nodes[1].max_w: want a plain decimal number, got "1600 W" (write digits, and a point where needed: 250 or 0.8)`,
		},
		{
			"infinity", "max_w: 1600", "max_w: .inf",
			`c.yaml:20:12: nodes[1].max_w: want a plain decimal number, got ".inf" (write digits, and a point where needed: 250 or 0.8)`,
		},
		{
			"a huge number", "max_w: 1600", "max_w: 99999999999999999999",
			`c.yaml:20:12: nodes[1].max_w: 100000000000000000000 is outside 1 to 200000 W`,
		},
		{
			"minus", "max_w: 1600", "max_w: -1600",
			`c.yaml:20:12: nodes[1].max_w: -1600 is outside 1 to 200000 W`,
		},
		{
			"half a millisecond", "http:", "power: {stagger_ms: 250.5}\nhttp:",
			`c.yaml:6:21: power.stagger_ms: want a whole number, got 250.5`,
		},
		{
			"a huge whole number", "http:", "power: {stagger_ms: 99999999999}\nhttp:",
			`c.yaml:6:21: power.stagger_ms: the number is out of range`,
		},
		{
			"a list for a number", "max_w: 1600", "max_w: [1600]",
			`c.yaml:20:12: nodes[1].max_w: want a number, got a list`,
		},
		{
			"a list for a text", "site: ams1", "site: [ams1]",
			`c.yaml:2:7: site: want a text, got a list`,
		},
		{
			"a very long name", "site: ams1", "site: a-name-that-goes-on-and-on-until-nobody-can-read-it-any-more",
			`c.yaml:2:7: site: "a-name-that-goes-on-and-on-until-nobody-…" is not a name: 1 to 23 characters out of a-z, 0-9 and -`,
		},
		{
			"a serial of digits", "serial: PA-0001", "serial: 0001",
			`c.yaml:14:50: pdus[0].serial: want a text, got the number "0001" (quote it if it is meant as a text)`,
		},
		{
			"a serial like a date", "serial: PA-0001", "serial: 2026-08-01",
			`c.yaml:14:50: pdus[0].serial: "2026-08-01" without quotes is not a text to every YAML reader (put it in quotes)`,
		},
		{
			"a time for a name", "site: ams1", "site: 12:30",
			`c.yaml:2:7: site: "12:30" without quotes is not a text to every YAML reader (put it in quotes)`,
		},
		{
			"another schema", "schema: 1", "schema: 2",
			`c.yaml:1:9: schema: this agent reads schema 1, not 2; nothing else was judged`,
		},
	})
}
