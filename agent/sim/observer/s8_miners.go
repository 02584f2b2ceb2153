package observer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// asleepW and asleepShare: what a miner that sleeps draws at most, or as a share of before; fanW what its fans may add.
	asleepW     = 60.0
	asleepShare = 0.1
	fanW        = 100.0
	// margin is for the meters: their error, and that the truth has moved on within a sample.
	margin = 10.0
)

// shownAwake tells whether a later step has shown that a miner draws what it does when it is awake, and an outlet is the only
// one that it can draw it by: that proves more than the first seconds of its boot.
func (r *run) shownAwake(o *outlet, later []stepResult) bool {
	return slices.ContainsFunc(later, func(s stepResult) bool {
		named := r.layout.members(s.On)
		if s.Do != doWake || s.Settled == nil || len(named) != 1 || len(named[0].outlets) != 1 || named[0].outlets[0] != o {
			return false
		}
		at := time.UnixMilli(*s.Settled)
		return energised(r.truth.watts(o, at), r.truth.closed(o, at), o) == ""
	})
}

// slept tells what contradicts a step that was told to a miner and is called settled; empty: nothing. Only the watts of its
// outlets are judged: what it says itself proves nothing.
func (r *run) slept(rec *record, t targetResult, s stepResult) string {
	if !strings.HasPrefix(s.On, "node/") || s.Settled == nil || t.Recovered {
		return ""
	}
	named := r.layout.members(s.On)
	if len(named) != 1 {
		return "no such node is configured"
	}
	n := named[0]
	if n.firm {
		return "it is a server, and was told something"
	}
	at := time.UnixMilli(*s.Settled)
	if at.After(rec.At) {
		return "it is settled at a moment after its own record"
	}
	if s.Taken != nil && at.Before(time.UnixMilli(*s.Taken)) {
		return "it is settled before it was taken"
	}
	watts := 0.0
	for _, o := range n.outlets {
		watts += r.truth.watts(o, at)
	}
	before := n.maxW
	if s.Taken != nil {
		from := time.UnixMilli(*s.Taken)
		before = r.truth.mean(from.Add(-time.Second), from, n.outlets...)
	}
	limit := max(asleepW, asleepShare*before) + fanW + margin
	switch {
	case s.Do == doSleep && watts > limit:
		return fmt.Sprintf("it is settled, and the node draws %.1f W, above %.1f W", watts, limit)
	case s.Do == doSleep && s.Taken != nil && before < asleepW:
		return fmt.Sprintf("it is settled, and the node drew %.1f W before: nothing fell that could prove it", before)
	case s.Do == doWake && watts < asleepW-margin:
		return fmt.Sprintf("it is settled, and the node draws %.1f W", watts)
	}
	return ""
}
