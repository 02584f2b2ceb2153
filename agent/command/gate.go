package command

import (
	"time"

	"rackagent/agent/rack"
)

// gate holds one way in to its rate. Beside what all share, every issuer that is configured has a little of their own.
type gate struct {
	shared bucket
	own    map[string]*bucket // by issuer
}

func newGate(ids Identities) *gate {
	g := &gate{shared: newBucket(ratePerS, burst), own: map[string]*bucket{}}
	add := func(issuer string) {
		b := newBucket(ownPerS, ownBurst)
		g.own[issuer] = &b
	}
	for _, k := range ids.Keys {
		add(k.Issuer)
	}
	for _, u := range ids.Users {
		add(u.Issuer)
	}
	return g
}

// take lets a command in. What an unsigned one says of its issuer counts for nothing.
func (g *gate) take(now time.Time, cmd rack.Command) bool {
	if g.shared.take(now) {
		return true
	}
	own, known := g.own[cmd.Issuer]
	return known && cmd.Signed && own.take(now)
}

// gates are those of the ways in: a flood over MQTT does not shut out the person at the rack, and who watches there does not
// shut out who acts.
type gates struct{ mqtt, local, questions *gate }

func newGates(ids Identities) gates {
	return gates{mqtt: newGate(ids), local: newGate(ids), questions: newGate(ids)}
}

func (g gates) of(cmd rack.Command) *gate {
	switch {
	case question(cmd):
		return g.questions
	case cmd.Origin == rack.OriginLocal:
		return g.local
	default:
		return g.mqtt
	}
}
