package braiins

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"rackagent/drivers/drivertest/miners"
)

const boards = 3

// aim is what a profile of the machine stands for.
type aim struct {
	w      float64 // the power target
	tuning bool
}

// errRange is a power target outside the constraints.
var errRange = errors.New("power target is out of range")

func watts(w float64) int { return int(math.Round(w)) }

func seconds(d time.Duration) int { return int(d / time.Second) }

// aims tells the power target in force. A profile that someone else gave the machine stands for its own power.
func (s *Sim) aims() aim {
	t := s.m.Target()
	if a, ok := s.meant[t]; ok {
		return a
	}
	return aim{w: t.W}
}

// SetTarget is a power target set on the spot and without a record, as by dynamic scaling or another controller.
func (s *Sim) SetTarget(w int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aim(w)
}

// set takes a power target and tells what it became.
func (s *Sim) set(w int) (int, error) {
	allowed := min(max(w, s.o.MinW), s.o.MaxW)
	if w != allowed && !s.q.Clamps {
		return 0, fmt.Errorf("%d W: %w, %d to %d W", w, errRange, s.o.MinW, s.o.MaxW)
	}
	s.later(func() { s.q.Tuner = TunesPower })
	s.aim(allowed)
	return allowed, nil
}

// aim gives the machine a target, and lets it be tuned where it was not before.
func (s *Sim) aim(w int) {
	s.tries++
	try := s.tries
	if s.tuned[w] || s.o.Tuning == 0 {
		s.keep(float64(w), false)
		return
	}
	s.keep(float64(w), true)
	time.AfterFunc(s.o.Tuning, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if try == s.tries {
			s.tuned[w] = true
			s.keep(float64(w), false)
		}
	})
}

// keep makes the machine mean a target, with the boards that are enabled.
func (s *Sim) keep(w float64, tuning bool) {
	p := s.profile(w)
	if n := s.enabled(); n < boards {
		part := float64(n) / boards
		p = miners.Profile{Name: fmt.Sprintf("%s, %d boards", p.Name, n), W: max(p.W*part, s.m.Spec().StandbyW), THs: p.THs * part}
	}
	if tuning {
		p.Name, p.W = p.Name+", tuning", p.W*(1+s.o.Overshoot)
	}
	s.meant[p] = aim{w, tuning}
	if s.m.Has(miners.ObeysLate) || s.m.Target() != p {
		s.m.Keep(p)
	}
}

// profile is one of w W: of the table where it has that, else its hashrate lies on the line between the profiles around it.
func (s *Sim) profile(w float64) miners.Profile {
	spec := s.m.Spec()
	p := miners.Profile{Name: fmt.Sprintf("%.0f W", w), W: w}
	below := miners.Profile{}
	for _, above := range slices.Concat(spec.Profiles, []miners.Profile{{Name: "nominal", W: spec.NominalW, THs: spec.NominalTHs}}) {
		if above.W == w {
			return above
		}
		if above.W <= below.W {
			break
		}
		p.THs = below.THs + (above.THs-below.THs)*(w-below.W)/(above.W-below.W)
		if w < above.W {
			break
		}
		below = above
	}
	return p
}

func (s *Sim) enabled() int {
	n := 0
	for _, off := range s.disabled {
		if !off {
			n++
		}
	}
	return n
}

// References of a relative target (braiins/bos-plus-api, RelativeTargetReference).
const (
	ofNominal = 1
	ofMin     = 2
	ofMax     = 3
	ofCurrent = 4
)

// reference is the W that a relative target counts from.
func (s *Sim) reference(of int) (float64, bool) {
	switch of {
	case ofNominal:
		return s.m.Spec().NominalW, true
	case ofMin:
		return float64(s.o.MinW), true
	case ofMax:
		return float64(s.o.MaxW), true
	case ofCurrent:
		return s.aims().w, true
	default:
		return 0, false
	}
}
