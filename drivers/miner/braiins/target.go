package braiins

import (
	"math"
	"strconv"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Modes of the tuner, as the members of the documents spell them (Braiins OS Public API, TunerPerformanceMode and TunerState).
const (
	byPower    = "powertarget"
	byHashrate = "hashratetarget"
	tunerOff   = "disabled"
)

// stateOff is overall_tuner_state of a tuner that is off (Braiins OS Public API, TunerState).
const stateOff = 1

// memberTHs is the member of Setting.More with a hashrate target.
const memberTHs = "hashrate_target_ths"

// target is what the tuner works to.
type target struct {
	mode string   // empty: the unit does not say
	w    *float64 // for byPower
	ths  *float64 // for byHashrate, TH/s
}

// targetOf reads it. The state of the tuner tells the target in force, which DPS lowers by itself: where that is on, it is the
// configured one that was asked for. A tuner that is off while the unit sleeps tells nothing.
func targetOf(tuner, config rpc.Object, asleep bool) target {
	if s := tuner.Int("overall_tuner_state"); s != nil && *s == stateOff && !asleep {
		return target{mode: tunerOff}
	}
	mode := tuner.Object("mode_state")
	w := mode.Object("powertargetmodestate").Object("current_target").Number("watt")
	ths := mode.Object("hashratetargetmodestate").Object("current_target").Number("terahash_per_second")
	if on := config.Object("dps").Bool("enabled"); on != nil && *on {
		asked := config.Object("tuner")
		if v := asked.Object("power_target").Number("watt"); w != nil && v != nil {
			w = v
		}
		if v := asked.Object("hashrate_target").Number("terahash_per_second"); ths != nil && v != nil {
			ths = v
		}
	}
	switch {
	case sound(w):
		return target{mode: byPower, w: w}
	case sound(ths):
		return target{mode: byHashrate, ths: ths}
	}
	return target{}
}

// sound bounds a target, in W or in TH/s. The upper end is arbitrary: more than any one machine.
func sound(v *float64) bool { return v != nil && *v >= 1 && *v < 1e6 }

// setting is what a sleep or a limit would interrupt.
func (t target) setting(pools string) miner.Setting {
	s := miner.Setting{Dialect: Dialect, Mode: t.mode, TargetW: t.w, Pools: pools}
	if t.ths != nil {
		s.More = map[string]string{memberTHs: strconv.FormatFloat(*t.ths, 'f', -1, 64)}
	}
	return s
}

// remembered is the other way round. What cannot be set again is as if it were not there.
func remembered(s miner.Setting) target {
	switch s.Mode {
	case tunerOff:
		return target{mode: tunerOff}
	case byPower:
		if sound(s.TargetW) {
			w := math.Floor(*s.TargetW)
			return target{mode: byPower, w: &w}
		}
	case byHashrate:
		if v, err := strconv.ParseFloat(s.More[memberTHs], 64); err == nil && sound(&v) {
			return target{mode: byHashrate, ths: &v}
		}
	}
	return target{}
}

// same compares two that are both known.
func (t target) same(other target) bool {
	return t.mode == other.mode && equal(t.w, other.w) && equal(t.ths, other.ths)
}

func equal(a, b *float64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
