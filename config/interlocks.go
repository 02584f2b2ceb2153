package config

import (
	"slices"
	"strings"
	"time"
)

// Interlock is a rule that acts without the network: what a sensor shows, and what is done with the miners of a target then.
// Servers are never acted on.
type Interlock struct {
	Name   string         `yaml:"name"`
	Kind   string         `yaml:"kind"` // one of InterlockKinds
	Sensor string         `yaml:"sensor"`
	Input  int            `yaml:"input,omitempty"` // of a sensor with several; 0: any of them
	Above  float64        `yaml:"above,omitempty"` // over_temperature: °C
	Below  float64        `yaml:"below,omitempty"` // low_flow: L/min
	ForS   float64        `yaml:"for_s,omitempty"` // 0: the kind's own
	Target string         `yaml:"target"`          // node/NAME, group/NAME, feed/NAME or rack
	ASIC   InterlockDeeds `yaml:"asic"`            // what is done with its miners
}

// For is ForS as a duration.
func (i Interlock) For() time.Duration { return seconds(i.ForS) }

// InterlockDeeds is what an interlock does with miners.
type InterlockDeeds string

// The choices of asic.
const (
	InterlockAlarm InterlockDeeds = "alarm" // it is told
	InterlockSleep InterlockDeeds = "sleep" // told to sleep, and cut where that does not work
	InterlockCut   InterlockDeeds = "cut"   // cut at once
)

// InterlockKinds lists what an interlock may watch for: those that take above, below, and neither.
func InterlockKinds() (above, below, flags []string) {
	return []string{"over_temperature"}, []string{"low_flow"}, []string{"leak", "stop", "on_battery"}
}

// interlocks judges the list of interlocks.
func (k *checker) interlocks() {
	names := map[string]string{}
	above, below, flags := InterlockKinds()
	for i, l := range k.c.Interlocks {
		at := index("interlocks", i)
		k.name(at+".name", l.Name)
		k.unique(names, at+".name", l.Name, "name")
		if k.given(at+".kind", l.Kind == "") {
			k.oneOf(at+".kind", l.Kind, slices.Concat(above, below, flags)...)
		}
		if k.given(at+".sensor", l.Sensor == "") && !slices.ContainsFunc(k.c.Sensors, func(s Sensor) bool { return s.Name == l.Sensor }) && !k.src.isBroken("sensors") {
			k.errorf(at+".sensor", "", "no sensor is named %s", quote(l.Sensor))
		}
		k.bound(at+".above", l.Above, slices.Contains(above, l.Kind), l.Kind)
		k.bound(at+".below", l.Below, slices.Contains(below, l.Kind), l.Kind)
		if l.ForS != 0 {
			k.span(at+".for_s", l.ForS, 0.05, 3600, " s")
		}
		if l.Input < 0 {
			k.errorf(at+".input", "inputs are counted from 1", "%d is no input", l.Input)
		}
		k.interlockTarget(at+".target", l.Target)
		if k.given(at+".asic", l.ASIC == "") {
			k.oneOf(at+".asic", string(l.ASIC), string(InterlockAlarm), string(InterlockSleep), string(InterlockCut))
		}
		if (l.Kind == "leak" || l.Kind == "stop") && l.ASIC == InterlockSleep {
			k.errorf(at+".asic", "", "a %s cuts, or is only told: a sleeping miner is live", l.Kind)
		}
	}
}

// bound judges a limit that a kind takes, or does not.
func (k *checker) bound(at string, v float64, takes bool, kind string) {
	switch {
	case takes && k.given(at, !k.src.has(at) && v == 0):
		if v <= 0 || v > 10_000 {
			k.errorf(at, "", "%s is outside 0 to 10000", number(v))
		}
	case !takes && v != 0:
		k.errorf(at, "", "an interlock of kind %s takes no such limit", quote(kind))
	}
}

func (k *checker) interlockTarget(at, target string) {
	if !k.given(at, target == "") {
		return
	}
	kind, name, _ := strings.Cut(target, "/")
	known, acted := true, true
	switch {
	case target == "rack":
		acted = slices.ContainsFunc(k.c.Nodes, func(n Node) bool { return n.Class == ClassASIC })
	case kind == "node":
		known = k.nodeNamed(name)
		acted = k.minerAmong(name)
	case kind == "group":
		g := slices.IndexFunc(k.c.Groups, func(g Group) bool { return g.Name == name })
		if known = g >= 0; known {
			acted = k.minerAmong(k.c.Groups[g].Nodes...)
		}
	case kind == "feed":
		known = slices.ContainsFunc(k.c.Feeds, func(f Feed) bool { return f.Name == name })
	default:
		k.errorf(at, "write node/NAME, group/NAME, feed/NAME or rack", "%s is no target", quote(target))
		return
	}
	switch {
	case !known:
		k.errorf(at, "", "no %s is named %s", kind, quote(name))
	case !acted:
		k.errorf(at, "", "there is no miner in %s, and servers are never acted on", target)
	}
}

// minerAmong tells whether one of some nodes is a miner.
func (k *checker) minerAmong(names ...string) bool {
	return slices.ContainsFunc(k.c.Nodes, func(n Node) bool { return n.Class == ClassASIC && slices.Contains(names, n.Name) })
}
