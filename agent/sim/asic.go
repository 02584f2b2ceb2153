package sim

import (
	"sync/atomic"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// ASIC is a miner with an interface of its own: what it draws is what its machine does, whoever told it to.
type ASIC struct {
	Name    string
	Machine *miners.Machine
	// Power tells the machine that its supply came or went; nil: Machine.Mains, and it forgets that it slept.
	Power func(on bool)

	draws atomic.Bool // whatever the machine says, the supply draws what it did at first
	live  bool
	due   time.Time
}

// asicEvery is how often it is looked at what the machine draws: the steps in which watts move.
const asicEvery = 100 * time.Millisecond

// Lie makes it draw its nominal power whatever its machine says and does, or ends that.
func (l *ASIC) Lie(on bool) { l.draws.Store(on) }

// Plate is that of Miner.
func (l *ASIC) Plate() Plate { return (&Miner{Name: l.Name}).Plate() }

// Begin takes the machine as it is. One that was never powered is told so.
func (l *ASIC) Begin(at time.Time, running bool) {
	l.live = running
	if !running {
		l.power(false)
	}
}

func (l *ASIC) power(on bool) {
	if l.Power != nil {
		l.Power(on)
		return
	}
	l.Machine.Mains(on, false)
}

// Step takes a change of the supply to the machine, and gives what that draws. It asks to be called again and again: nobody
// says when a machine is told something.
func (l *ASIC) Step(at time.Time, live []bool) Next {
	came := live[0] && !l.live
	if live[0] != l.live {
		l.live = live[0]
		l.power(l.live)
	}
	w := l.Machine.At(at).W
	switch {
	case !l.live:
		w = 0
	case l.draws.Load():
		w = l.Machine.Spec().NominalW
	}
	draw := Curve{{at, w}}
	if came {
		draw = draw.under(at, supplyInrush.W, supplyInrush.For)
	}
	next := Next{Draw: []Curve{draw}}
	if !at.Before(l.due) { // else a call is on its way
		l.due = at.Add(asicEvery)
		next.Again = l.due
	}
	return next
}
