package braiins

import (
	"math"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// What the machine's physics do not give; arbitrary.
const (
	chips       = 126 // on a board
	fans        = 4
	fullRPM     = 6000 // at full speed
	inletC      = 25.0
	boardRiseK  = 35.0 // over the inlet air at the nominal power
	chipRiseK   = 12.0 // over the board
	nominalHz   = 525e6
	chipVolts   = 13.4
	accepted    = 2901
	rejected    = 7
	bestShare   = int64(8800123456)
	poolURL     = "stratum+tcp://pool.example:3333"
	poolUser    = "acct.r1"
	poolUserTwo = "acct.r2"
)

// view is what both APIs tell from: one look at the machine.
type view struct {
	miners.Truth
	spec     miners.Spec
	short    float64 // TH/s over up to a minute
	estimate float64 // W
	load     float64 // 0 to 1 of the nominal power; 0: the boards are off
	mining   bool    // the boards are on
	pool     bool    // one is alive
}

func (s *Sim) view() view {
	t := s.look()
	v := view{Truth: t, spec: s.m.Spec(), short: t.THs, estimate: t.W * (1 + s.q.Misestimate), mining: !s.m.Asleep()}
	v.pool = !s.m.Has(miners.NoPools)
	if s.m.Has(miners.Averages) {
		v.short = t.Average
	}
	if s.q.ZeroAsleep && !v.mining {
		v.estimate = 0
	}
	if v.mining && v.spec.NominalW > 0 {
		v.load = min(1, t.W/v.spec.NominalW)
	}
	return v
}

func cents(x float64) float64 { return math.Round(x*100) / 100 }

func ghs(ths float64) float64 { return cents(ths * 1e3) }

func mhs(ths float64) float64 { return cents(ths * 1e6) }

func (v view) boardC() float64 { return cents(inletC + boardRiseK*v.load) }

func (v view) chipC() float64 { return cents(inletC + (boardRiseK+chipRiseK)*v.load) }

// speed is that of the fans, 0 to 1: off while the boards are (BOSminer API document, pause).
func (v view) speed() float64 { return cents(v.load * 0.9) }

func (v view) rpm() int { return watts(v.speed() * fullRPM) }

// process is how long the mining process runs; 0: it does not.
func (s *Sim) process(v view) time.Duration {
	if s.stopped || s.restarting() {
		return 0
	}
	return v.Mining
}

// list is empty where the machine has that quirk.
func (s *Sim) list(l []object) []object {
	if s.q.EmptyLists {
		return []object{}
	}
	return l
}

// unless is a part of an answer, or null.
func unless(null bool, v any) any {
	if null {
		return nil
	}
	return v
}
