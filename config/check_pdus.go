package config

import (
	"maps"
	"regexp"
	"slices"
)

// serialRule is what a board's serial may hold: printable ASCII without spaces at the ends (IPMI FRU fields
// are at most 63 bytes long).
var serialRule = regexp.MustCompile(`^[!-~]([ -~]{0,61}[!-~])?$`)

// pdus judges the list of PDUs.
func (k *checker) pdus() {
	for i, f := range k.c.ModelFiles {
		k.file(index("model_files", i), f)
	}
	names, serials := map[string]string{}, map[string]string{}
	for i, p := range k.c.PDUs {
		at := index("pdus", i)
		k.name(at+".name", p.Name)
		k.unique(names, at+".name", p.Name, "name")
		k.unique(serials, at+".serial", p.Serial, "serial")
		k.model(at+".model", p.Model)
		k.identity(at, p)
		k.place(at, p.Bus, p.Via)
		k.banks(at, p)
	}
}

func (k *checker) busNames() []string {
	var names []string
	for _, b := range k.c.Buses {
		names = append(names, b.Name)
	}
	return names
}

func (k *checker) model(at, model string) {
	if !k.given(at, model == "") {
		return
	}
	if _, _, known := k.shape(model); model == "" || k.catalogue.Model != nil && !known {
		k.errorf(at, "", "no PDU model is named %s", quote(model))
	}
}

// shape asks for a model; known is false while nobody can tell.
func (k *checker) shape(model string) (outlets int, banks []string, known bool) {
	if k.catalogue.Model == nil {
		return 0, nil, false
	}
	return k.catalogue.Model(model)
}

// identity judges how a board is told from another one: by its serial, or not at all.
func (k *checker) identity(at string, p PDU) {
	const hint = `write serial: with what the label of the board says, or identity: none where it has none`
	serial, identity := k.written(at+".serial", p.Serial), k.written(at+".identity", string(p.Identity))
	switch {
	case serial && identity:
		k.errorf(at+".identity", "keep one of the two", "serial identifies this board already")
	case serial && !serialRule.MatchString(p.Serial):
		k.errorf(at+".serial", "", "%s is not a serial: 1 to 63 printable characters without spaces at the ends", quote(p.Serial))
	case identity && p.Identity != IdentityNone:
		k.errorf(at+".identity", hint, "%s is not none, the only value of this key", quote(string(p.Identity)))
	case !serial && !identity:
		k.errorf(at, hint, "neither serial nor identity is given")
	case identity:
		if firm, ok := k.firmNode(); ok {
			k.warnf(at+".identity", "", "beside the firm node %s all outlets of %s count as unproven, and unproven ones as firm", firm, p.Name)
		}
	}
}

// firmNode names the first firm node.
func (k *checker) firmNode() (string, bool) {
	for _, n := range k.c.Nodes {
		if n.Class.Firm() {
			return n.Name, true
		}
	}
	return "", false
}

// banks judges which feed each bank of a PDU hangs on.
func (k *checker) banks(at string, p PDU) {
	if !k.given(at+".banks", len(p.Banks) == 0) {
		return
	}
	if len(p.Banks) == 0 {
		k.errorf(at+".banks", "", "every bank of a PDU needs its feed")
	}
	for _, bank := range slices.Sorted(maps.Keys(p.Banks)) {
		k.bankFeed(key(at+".banks", bank), p.Banks[bank])
	}
	_, banks, known := k.shape(p.Model)
	if !known {
		return
	}
	for _, bank := range banks {
		if _, ok := p.Banks[bank]; !ok {
			k.errorf(key(at+".banks", bank), "", "bank %s of model %s has no feed", bank, p.Model)
		}
	}
	for _, bank := range slices.Sorted(maps.Keys(p.Banks)) {
		if !slices.Contains(banks, bank) {
			k.errorf(key(at+".banks", bank), k.known("banks", banks), "model %s has no bank %s", p.Model, quote(bank))
		}
	}
}

func (k *checker) bankFeed(at, feed string) {
	i := slices.IndexFunc(k.c.Feeds, func(f Feed) bool { return f.Name == feed })
	switch {
	case i < 0 && k.src.isBroken("feeds"):
	case i < 0:
		k.errorf(at, k.known("feeds", k.feedNames()), "no feed is named %s", quote(feed))
	case lineCount(k.c.Feeds[i]) > 2:
		k.errorf(at, "name a feed of one line (to neutral) or two (between lines) below it",
			"feed %s has three lines, and the loads of a bank hang on one or two", feed)
	}
}
