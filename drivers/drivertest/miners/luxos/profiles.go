package luxos

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

const (
	// powerTarget is the name of a machine's target that is no step of the table.
	powerTarget = "power target"
	// chipMHz and chipVolts are of the default step; they give the other steps theirs. Arbitrary, but plausible for an S19k Pro.
	chipMHz   = 585.0
	chipVolts = 13.4
)

// profiles are the steps; a machine without a table has one.
func (s *Server) profiles() []miners.Profile {
	spec := s.m.Spec()
	if len(spec.Profiles) > 0 {
		return spec.Profiles
	}
	return []miners.Profile{{Name: "default", W: spec.NominalW, THs: spec.NominalTHs}}
}

// nearest is the index of the step whose figure is nearest to v; the weaker of two.
func (s *Server) nearest(v float64, figure func(miners.Profile) float64) int {
	best := 0
	steps := s.profiles()
	for i, p := range steps {
		if math.Abs(figure(p)-v) < math.Abs(figure(steps[best])-v) {
			best = i
		}
	}
	return best
}

func watts(p miners.Profile) float64 { return p.W }

func rate(p miners.Profile) float64 { return p.THs }

// normal is the index of the default step.
func (s *Server) normal() int { return s.nearest(s.m.Spec().NominalTHs, rate) }

// index is where a target stands in the table, or is nearest to.
func (s *Server) index(target miners.Profile) int { return s.nearest(target.W, watts) }

// shown is the step that config tells of.
func (s *Server) shown(target miners.Profile) miners.Profile { return s.profiles()[s.index(target)] }

// step counts from the default, as text: "-12".
func (s *Server) step(p miners.Profile) string { return strconv.Itoa(s.index(p) - s.normal()) }

func (s *Server) tellProfiles() []object {
	list := []object{}
	for _, p := range s.profiles() {
		part := p.THs / s.m.Spec().NominalTHs
		list = append(list, object{
			"Profile Name": p.Name, "Step": s.step(p), "Watts": round(p.W), "Hashrate": p.THs, "Frequency": mhz(p.Name, part),
			"Voltage": chipVolts, "IsDynamic": false, "IsTuned": false,
		})
	}
	return list
}

// mhz is what the name of a step says, or a part of the default's.
func mhz(name string, part float64) float64 {
	if v, ok := figure(name, "MHz"); ok {
		return v
	}
	return math.Round(chipMHz * part)
}

// figure is the number before a unit.
func figure(text, unit string) (float64, bool) {
	digits, ok := strings.CutSuffix(text, unit)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(digits, 64)
	return v, err == nil && v > 0 && !math.IsInf(v, 0)
}

// pick finds the step that profileset's words mean, in all forms that it takes (LuxOS API documentation, profileset).
func (s *Server) pick(args []string) (miners.Profile, error) {
	word, err := s.word(args)
	if err != nil {
		return miners.Profile{}, err
	}
	i, err := s.find(word)
	if err != nil {
		return miners.Profile{}, err
	}
	return s.profiles()[i], nil
}

// word is the argument that names a step. A bare 0 to 3 is the board of the older form, which the name follows.
func (s *Server) word(args []string) (string, error) {
	if len(args) > 0 && slices.Contains([]string{"0", "1", "2", "3"}, args[0]) {
		args = args[1:]
	}
	if len(args) != 1 || args[0] == "" {
		return "", fmt.Errorf("%d arguments: %w", len(args), errParameter)
	}
	return args[0], nil
}

func (s *Server) find(word string) (int, error) {
	byName := slices.IndexFunc(s.profiles(), func(p miners.Profile) bool { return p.Name == word })
	w, isW := figure(word, "W")
	kw, isKW := figure(word, "kW")
	ths, isTHs := figure(word, "THs")
	switch {
	case byName >= 0:
		return byName, nil
	case word == "default":
		return s.normal(), nil
	case isKW:
		return s.nearest(kw*1e3, watts), nil
	case isW:
		return s.nearest(w, watts), nil
	case isTHs:
		return s.nearest(ths, rate), nil
	case word[0] == '+' || word[0] == '-':
		return s.relative(word)
	}
	return 0, fmt.Errorf("profile %q: %w", word, errParameter)
}

// relative is so many steps from the present one. Beyond the table is refused; no source says what else.
func (s *Server) relative(word string) (int, error) {
	n, err := strconv.Atoi(word)
	i := s.index(s.m.Target()) + n
	if err != nil || i < 0 || i >= len(s.profiles()) {
		return 0, fmt.Errorf("step %q: %w", word, errParameter)
	}
	return i, nil
}

// span is the W that a power target may have: those of the table.
func (s *Server) span() (least, most float64) {
	steps := s.profiles()
	return steps[0].W, steps[len(steps)-1].W
}

// between is a target of w W, whose hashrate lies on the line between the steps around it.
func (s *Server) between(w float64) miners.Profile {
	steps := s.profiles()
	p := miners.Profile{Name: powerTarget, W: w, THs: steps[0].THs}
	for i := 1; i < len(steps); i++ {
		if a, b := steps[i-1], steps[i]; w >= a.W && b.W > a.W {
			p.THs = a.THs + (b.THs-a.THs)*min(1, (w-a.W)/(b.W-a.W))
		}
	}
	return p
}
