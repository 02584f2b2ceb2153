package main

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"rackagent/agent/link"
	"rackagent/agent/wire"
)

const (
	// stateWait is how long the broker may take to give the agent's retained up/state. Arbitrary.
	stateWait = 2 * time.Second
	// teleWait is for the next up/tele of an agent whose clock is its own: the default period is 5 s.
	teleWait = 6 * time.Second
)

// standing is up/state as far as a sender of commands needs it, and the ts of up/tele.
type standing struct {
	Boot  string      `json:"boot"`
	At    int64       `json:"ts"` // ms UTC, by the agent's clock
	Clock *wire.Clock `json:"clock"`
}

// bind fits an order to the clock of the agent: it gives the time from which the order's life counts, and for an agent
// whose clock is not synchronised it binds the order to the agent's boot.
//
// Such an agent reads exp as a time of its own clock, so that what counts is what that clock shows now. The retained
// state tells what it showed at the newest birth, and nobody tells how long ago that was; the next telemetry tells what
// it shows. Without telemetry the order's life counts from the birth: it may end too early, and the agent then refuses
// the command as expired, but never too late. A command that is typed for another clock is no danger either: the
// agent refuses every exp further ahead than a command may live.
//
// Where there is no state, the agent's clock counts as this one.
func (s session) bind(ctx context.Context, client *link.Client, o order) (order, time.Time) {
	st, ok := s.listen(ctx, client, "state", stateWait)
	if !ok || st.Boot == "" || st.Clock == nil || st.Clock.OK {
		return o, time.Now()
	}
	o.audBoot = cmp.Or(o.audBoot, st.Boot)
	shows := st.At
	if now, ok := s.listen(ctx, client, "tele", teleWait); ok {
		shows = max(shows, now.At) // a batch may have waited for the broker
	}
	return o, time.UnixMilli(shows)
}

// listen waits for the agent's next word on a topic, or the retained one.
func (s session) listen(ctx context.Context, client *link.Client, topic string, limit time.Duration) (st standing, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = client.Follow(ctx, s.agent, topic, func(m link.Received) bool { // silence is an answer too
		st = standing{}
		ok = json.Unmarshal(m.Payload, &st) == nil && st.At > 0
		return !ok
	})
	return st, ok
}
