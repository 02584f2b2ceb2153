package scan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rackagent/drivers/miner/rpc"
)

// family is what an answer on 4028 tells about who gives it.
type family string

// The families.
const (
	famNone       family = ""
	famLuxOS      family = kindLuxOS
	famBraiins    family = kindBraiins
	famWhatsminer family = kindWhatsminer
	famAntminer   family = "Antminer" // stock firmware, or one that comes in its clothes
	famAvalon     family = "Avalon"
	famCgminer    family = "cgminer" // some miner, nobody knows which
	// Others have no client, and are in no need of another question.
	famVnish       family = kindVnish
	famHiveon      family = "Hiveon"
	famMarathon    family = "Marathon"
	famMSKMiner    family = "MSKMINER"
	famAuradine    family = "Auradine"
	famGoldshell   family = "Goldshell"
	famInnosilicon family = "Innosilicon"
)

// signs are words that stand in the answer to version, in lower case, and in whose. The first that fits decides: firmwares for
// Antminers name those, too (cgminer forks; LuxOS and BOSminer API documents; WhatsminerAPI; pyasic, miners/factory.py).
func signs() []struct {
	word string
	of   family
} {
	return []struct {
		word string
		of   family
	}{
		{"luxminer", famLuxOS},
		{"bosminer", famBraiins},
		{"boser", famBraiins},
		{"btminer", famWhatsminer},
		{"bitmicro", famWhatsminer},
		{"whatsminer", famWhatsminer},
		{"hiveon", famHiveon},
		{"kaonsu", famMarathon},
		{"rwglr", famMSKMiner},
		{"vnish", famVnish},
		{"avalon", famAvalon},
		{"gcminer", famAuradine},
		{"fluxos", famAuradine},
		{"intchains_qomo", famGoldshell},
		{"kdaminer", famGoldshell},
		{"innominer", famInnosilicon},
		{"antminer", famAntminer},
		{"bmminer", famAntminer},
		{"cgminer", famCgminer},
	}
}

// version is the answer to version on 4028.
type version struct {
	family family
	word   string // that told
	v      rpc.Object
	text   string // the envelope's own words
}

// readVersion reads it. It may be no JSON: the oldest form is KEY=VALUE with commas between (cgminer, API-README).
func readVersion(raw []byte) version {
	var out version
	if o, err := rpc.Decode(raw); err == nil {
		out.v = o.Object("VERSION")
		envelope := o.Object("STATUS")
		if envelope == nil {
			envelope = o
		}
		out.text = first(envelope, "Description", "Msg")
	} else {
		out.text = text(string(raw[:min(len(raw), 200)]))
	}
	lower := strings.ToLower(string(raw))
	for _, s := range signs() {
		if strings.Contains(lower, s.word) {
			out.family, out.word = s.of, s.word
			break
		}
	}
	return out
}

// firmware is the member that is named after the mining program, else how the envelope calls it.
func (v version) firmware() string {
	for _, k := range slices.Sorted(maps.Keys(v.v)) {
		l := strings.ToLower(k)
		if strings.HasPrefix(l, "lux") || strings.HasPrefix(l, "bos") {
			return text(v.v.Text(k))
		}
	}
	return first(v.v, "LVERSION", "CompileTime", "BMMiner", "CGMiner")
}

// words are what was seen.
func (v version) words() string {
	if v.word != "" && v.family != famCgminer {
		return fmt.Sprintf("4028 names %s", v.word)
	}
	if v.text != "" {
		return fmt.Sprintf("4028 says %q", v.text)
	}
	return "4028 answers"
}
