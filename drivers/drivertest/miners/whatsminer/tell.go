package whatsminer

import (
	"math"
	"strconv"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// What the machine's physics do not give; all are arbitrary.
const (
	boards      = 3
	chips       = 111  // on a board
	envC        = 28.5 // inlet air
	idleRPM     = 1500 // stopped
	fullRPM     = 5400 // at the nominal rate
	mainsV      = 230.0
	boardRiseK  = 35.0 // over the inlet air at the nominal rate
	chipRiseK   = 10.0 // over the board
	nominalMHz  = 650.0
	timeLayout  = "2006-01-02 15:04:05"
	stopReason  = "power_off"
	poolURL     = "stratum+tcp://pool.example:3333"
	poolAccount = "acct.r1"
)

// view is what both APIs tell from: one look at the machine.
type view struct {
	miners.Truth
	spec    miners.Spec
	off     bool
	empty   bool // the summary is
	mode    string
	limit   int // W
	percent int
	short   float64 // TH/s over a minute and less
	load    float64 // 0 to 1 of the nominal rate
}

func (s *Server) look() view {
	t := s.m.Look()
	s.booted(t)
	v := view{Truth: t, spec: s.m.Spec(), mode: "normal", percent: s.shown.percent, short: t.THs}
	v.off = t.Phase == miners.Sleeping && t.At.After(s.ready)
	v.empty = v.off && t.At.Sub(s.stopped) < s.q.EmptyFor
	if _, ok := modeNumbers()[t.Target.Name]; ok {
		v.mode = t.Target.Name
	}
	if v.limit = s.shown.limit; v.limit == noLimit {
		v.limit = watts(s.profile(t.Target.Name).W)
	}
	if s.m.Has(miners.Averages) {
		v.short = t.Average
	}
	if v.spec.NominalTHs > 0 {
		v.load = min(1, t.THs/v.spec.NominalTHs)
	}
	return v
}

// modeNumbers are the modes and what v3's msg.power.mode calls them.
func modeNumbers() map[string]string {
	return map[string]string{"low": "0", "normal": "1", "high": "2"}
}

func watts(w float64) int { return int(math.Round(w)) }

func seconds(d time.Duration) int { return int(d / time.Second) }

func round(x float64) float64 { return math.Round(x*100) / 100 }

func yes(b bool) string { return strconv.FormatBool(b) }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// ramped tells whether the boards run at their final frequency.
func (v view) ramped() bool { return v.Phase == miners.Hashing }

func (v view) perTH() float64 {
	if v.THs <= 0 {
		return 0
	}
	return round(v.W / v.THs)
}

func (v view) boardC() float64 { return round(envC + boardRiseK*v.load) }

func (v view) chipC() float64 { return round(v.boardC() + chipRiseK*v.load) }

func (v view) mhz() float64 { return round(nominalMHz * v.load) }

func (v view) rpm() float64 { return idleRPM + math.Round((fullRPM-idleRPM)*v.load) }

func (v view) amps() float64 { return round(v.W / mainsV) }

// fan writes a speed in the form that is in force.
func (s *Server) fan(rpm float64) any {
	switch s.q.Fans {
	case FanText:
		return strconv.FormatFloat(rpm, 'f', -1, 64)
	case FanFraction:
		return rpm + 0.5
	case FanBoth:
		return strconv.FormatFloat(rpm+0.5, 'f', -1, 64)
	default:
		return rpm
	}
}

// mixed writes the error list with bare codes, texts and objects by turns.
func (s *Server) mixed() []any {
	list := []any{}
	for i, f := range s.q.Faults {
		code := strconv.Itoa(f.Code)
		switch i % 3 {
		case 0:
			list = append(list, f.Code)
		case 1:
			list = append(list, code)
		default:
			list = append(list, f.object())
		}
	}
	return list
}

// object is v3's entry (whatsminer-api-3, error-code).
func (f Fault) object() map[string]any {
	return map[string]any{strconv.Itoa(f.Code): f.Since.Format(timeLayout), "reason": f.Text}
}

// pair is v2's entry (WhatsminerAPI 2.0.5, get_error_code).
func (f Fault) pair() map[string]any {
	return map[string]any{strconv.Itoa(f.Code): f.Since.Format(timeLayout)}
}
