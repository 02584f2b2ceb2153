package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// aim is what a verb that is said to a miner is to bring about: what its word and its watts have to show.
type aim interface {
	// obeys tells whether it says that it does as it was told.
	obeys(w Word) bool
	// shows tells whether the watts do. base is what it drew before, moved that the meters are not frozen.
	shows(sum, base float64, moved bool) bool
	// hold is how long the watts have to show it; two samples they do in any case.
	hold() time.Duration
	// hollow is why the watts cannot prove it, from what was drawn before; empty: they can.
	hollow(base float64) string
	// within is how long it may take.
	within(api *rack.API) time.Duration
	words() aimWords
}

// aimWords are for people, and for events.
type aimWords struct {
	shown   string // the watts show it
	denies  string // reason, where they do and its word does not; empty: none
	unshown string // its word says so, and the watts do not show it
	lies    string // reason of that
	other   string // it is awake and told to do something else; empty: no matter
}

// aimed is the aim of a step, from what the miner draws now.
func (w *switching) aimed() aim {
	h := w.miner
	switch w.step.Do {
	case rack.DoSleep:
		below := 0.0
		if h.baseW != nil {
			below = asleepBelow(*h.baseW, h.node.API.FanW)
		}
		return toSleep{below}
	case rack.DoLimit:
		return toKeep{*h.limit, h.before, h.limit.Mode == "" && h.baseW != nil && *h.baseW <= limitShare*h.limit.W}
	case rack.DoRelease:
		return toRise{above: backShare * h.drawn, again: "its watts are as before the limit", never: "it says that the limit is gone, and does not draw what it did", lies: reasonUnchanged}
	default:
		return toRise{above: awakeAbove(h.node, h.drawn), again: "its watts are back", never: "it says that it is awake, and does not draw what it did before its sleep", lies: reasonDark}
	}
}

// toSleep is the aim of a sleep.
type toSleep struct{ below float64 }

func (a toSleep) obeys(w Word) bool                    { return isTrue(w.Asleep) }
func (a toSleep) shows(sum, base float64, _ bool) bool { return sum <= a.below && base > a.below }
func (toSleep) hold() time.Duration                    { return 0 }
func (toSleep) within(api *rack.API) time.Duration     { return api.SleepBy }
func (a toSleep) hollow(base float64) string {
	if base < a.below {
		return "it drew too little before for its meter to prove it"
	}
	return ""
}

func (toSleep) words() aimWords {
	return aimWords{shown: "its watts have fallen", denies: reasonRunning, unshown: "it says that it sleeps, and still draws", lies: reasonDrawing}
}

// toRise is the aim of a wake and of a release: it does again what was interrupted.
type toRise struct {
	above        float64
	again, never string
	lies         string
}

func (a toRise) obeys(w Word) bool { return isFalse(w.Asleep) && !isFalse(w.Same) }
func (a toRise) shows(sum, base float64, moved bool) bool {
	return sum > a.above && (moved || base <= a.above)
}
func (toRise) hold() time.Duration                { return 0 }
func (toRise) within(api *rack.API) time.Duration { return api.WakeBy }

func (a toRise) hollow(float64) string {
	if a.above <= 0 {
		return "what it drew before is not known"
	}
	return ""
}

func (a toRise) words() aimWords {
	return aimWords{shown: a.again, unshown: a.never, lies: a.lies, other: "it is awake, and told to do something else than before"}
}

// toKeep is the aim of a limit.
type toKeep struct {
	limit  Limit
	before string // what it was told to do
	under  bool   // it drew no more than that before
}

// obeys takes a miner that tells no limit by its word once it is told to do something else than before; one that drew no more
// than the limit may have been told to do just what keeps to it.
func (a toKeep) obeys(w Word) bool {
	if w.Same == nil {
		return w.Setting != "" && (a.under || w.Setting != a.before)
	}
	return *w.Same
}

func (a toKeep) shows(sum, base float64, _ bool) bool {
	if a.limit.Mode != "" {
		return abs(sum-base) >= modeShare*base
	}
	return sum <= limitShare*a.limit.W && base > limitShare*a.limit.W
}

func (toKeep) hold() time.Duration                { return limitHold }
func (toKeep) within(api *rack.API) time.Duration { return api.WakeBy }

func (a toKeep) hollow(base float64) string {
	switch {
	case a.limit.Mode == "" && base <= limitShare*a.limit.W:
		return "it drew no more than that before"
	case base <= asleepW:
		return "it drew too little before for its meter to prove it"
	}
	return ""
}

func (a toKeep) words() aimWords {
	what := fmt.Sprintf("keeps to %.0f W", a.limit.W)
	if a.limit.Mode != "" {
		return aimWords{shown: "its watts have changed", unshown: "it says that it is in mode " + a.limit.Mode + ", and draws as before", lies: reasonUnchanged}
	}
	return aimWords{shown: "it draws no more than that", unshown: "it says that it " + what + ", and draws more", lies: reasonAbove}
}
