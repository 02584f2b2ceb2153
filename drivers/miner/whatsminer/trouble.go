package whatsminer

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// maxTroubles bounds the list. Arbitrary: more than a person reads.
const maxTroubles = 32

// troublesOf reads a list of error codes in the forms that units send: bare codes, texts, objects of one code and its time or
// text, with or without a reason beside it, or one plain text where btminer is down (WhatsminerAPI 2.0.5, get_error_code;
// WhatsminerAPI 3.0, get.device.info).
func troublesOf(v any) []miner.Trouble {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []miner.Trouble
	for _, v := range list {
		out = append(out, troubleOf(v)...)
		if len(out) >= maxTroubles {
			return out[:maxTroubles]
		}
	}
	return out
}

func troubleOf(v any) []miner.Trouble {
	switch v := v.(type) {
	case json.Number:
		return []miner.Trouble{{Code: rpc.Plain(v.String())}}
	case string:
		switch text := rpc.Plain(v); {
		case text == "":
		case number(text):
			return []miner.Trouble{{Code: text}}
		default:
			return []miner.Trouble{{Text: text}}
		}
	case map[string]any:
		return troublesIn(v)
	}
	return nil
}

// troublesIn reads one object. A reason belongs to the codes beside it.
func troublesIn(o rpc.Object) []miner.Trouble {
	reason := o.Text("reason")
	var out []miner.Trouble
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if key != "reason" {
			out = append(out, miner.Trouble{Code: rpc.Plain(key), Text: rpc.Plain(strings.TrimSpace(o.Text(key) + " " + reason))})
		}
	}
	if out == nil && reason != "" {
		out = []miner.Trouble{{Text: rpc.Plain(reason)}}
	}
	return out
}

// number tells a code from a text.
func number(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}
