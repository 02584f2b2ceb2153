package scan

import (
	"regexp"
	"strings"

	"rackagent/drivers/miner/rpc"
)

// The names that the configuration has for the interfaces the agent speaks. Those of the dialects' packages, which this one may
// not import.
const (
	APIAntminer     = "antminer"
	APIBraiins      = "braiins"
	APILuxOS        = "luxos"
	APIWhatsminerV2 = "whatsminer-v2"
	APIWhatsminerV3 = "whatsminer-v3"
)

// APIs are these names.
func APIs() []string {
	return []string{APIAntminer, APIBraiins, APILuxOS, APIWhatsminerV2, APIWhatsminerV3}
}

// Sure is how sure it is what was found.
type Sure string

// How sure. A guess is what other firmwares may answer just so.
const (
	Identified Sure = "identified"
	LooksLike  Sure = "looks like"
	Unknown    Sure = "unknown"
)

// Kinds of firmware that the agent can speak to.
const (
	kindAntminer   = "Antminer stock firmware"
	kindBraiins    = "Braiins OS"
	kindLuxOS      = "LuxOS"
	kindWhatsminer = "Whatsminer"
)

// The makers of what runs those.
const (
	bitmain = "Bitmain"
	microBT = "MicroBT"
)

// Found is what answers at one address. Texts are empty where it does not tell.
type Found struct {
	Host  string `json:"host"`
	Ports []int  `json:"ports"` // of those that tell, the open ones
	// API is the name of the interface for the configuration; empty: there is none that the agent speaks, or it is not known.
	API string `json:"api,omitempty"`
	// Alternatives are other interfaces that the unit answers by, or may answer by.
	Alternatives []string `json:"alternatives,omitempty"`
	Kind         string   `json:"kind,omitempty"`        // the firmware, for people
	Unsupported  string   `json:"unsupported,omitempty"` // why no API, of a firmware that is known
	Vendor       string   `json:"vendor,omitempty"`      // of the machine
	Model        string   `json:"model,omitempty"`
	Firmware     string   `json:"firmware,omitempty"`
	MAC          string   `json:"mac,omitempty"` // lower case, with colons
	Hostname     string   `json:"hostname,omitempty"`
	Sure         Sure     `json:"sure"`
	Why          []string `json:"why,omitempty"`     // what was seen, in the order in which it was
	Missing      []string `json:"missing,omitempty"` // what a person still has to enter or do
	// SameMAC are the other addresses of a scan that told the same MAC.
	SameMAC []string `json:"same_mac,omitempty"`
}

// is settles what was found.
func (f *Found) is(kind, api string, sure Sure) {
	f.Kind, f.API, f.Sure = kind, api, sure
}

// unsupported settles what was found and has no client.
func (f *Found) unsupported(kind string, sure Sure) {
	f.is(kind, "", sure)
	f.Unsupported = "the agent has no client for it"
}

// saw notes evidence.
func (f *Found) saw(what string) { f.Why = append(f.Why, what) }

// maker fills in whose machine it is, where the model says so.
func (f *Found) maker() {
	if f.Vendor == "" && strings.HasPrefix(f.Model, "Antminer") {
		f.Vendor = bitmain
	}
}

// lacking lists what a person still has to enter for an entry of the configuration.
func (f *Found) lacking() {
	if f.API == "" {
		return
	}
	missing := []string{"node"}
	if f.MAC == "" {
		missing = append(missing, "mac, which it does not tell without a log-in")
	}
	switch f.API {
	case APIAntminer, APIBraiins:
		missing = append(missing, "user and password_file, unless they are the factory's")
	case APIWhatsminerV2:
		missing = append(missing, "password_file, unless it is the factory's; the unit takes writes only after its owner has enabled them")
	case APIWhatsminerV3:
		missing = append(missing, "user and password_file, unless they are the factory's")
	}
	f.Missing = append(missing, f.Missing...)
}

// text makes a text of a unit fit for a line, and short. Arbitrary: what fits into a column.
func text(s string) string {
	const most = 48
	s = rpc.Plain(s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// first is the first text that there is.
func first(o rpc.Object, keys ...string) string {
	for _, k := range keys {
		if s := text(o.Text(k)); s != "" {
			return s
		}
	}
	return ""
}

var hexMAC = regexp.MustCompile(`^[0-9a-f]{12}$`)

// mac brings an address into the one form: some firmwares tell it without colons, or in capitals. Empty: it is none of a unit.
func mac(s string) string {
	s = strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(strings.TrimSpace(s)))
	if !hexMAC.MatchString(s) || s == "000000000000" || s == "ffffffffffff" {
		return ""
	}
	var parts []string
	for i := 0; i < len(s); i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return strings.Join(parts, ":")
}
