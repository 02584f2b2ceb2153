package luxos

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

const (
	lateBy      = time.Minute      // as the machine's ObeysLate
	restartTime = 10 * time.Second // of the mining process, with the boards off; arbitrary
	tempWindow  = 5                // K, of the thermal manager until it is set; arbitrary
)

// Why a write is refused.
var (
	errParameter = errors.New("parameter is not taken")
	errState     = errors.New("not in this state")
	errModel     = errors.New("not supported by this model")
)

// obey does what a write says. Who locked the machine's writes gets cgminer's answer: LuxOS documents no lock.
func (s *Server) obey(cmd string, args []string) answer {
	if s.m.Has(miners.Locked) {
		return refused(codeDenied, fmt.Sprintf("Access denied to '%s' command", cmd))
	}
	a, err := s.act(cmd, args)
	switch {
	case errors.Is(err, errParameter):
		return refused(codeParameter, err.Error())
	case err != nil:
		return refused(codeState, err.Error())
	}
	return a
}

func (s *Server) act(cmd string, args []string) (answer, error) {
	switch cmd {
	case "curtail":
		return s.curtail(args)
	case "profileset":
		return s.profileSet(args)
	case "powertargetset":
		return s.powerTargetSet(args)
	case "atmset":
		return s.atmSet(args)
	case "ledset":
		return s.ledSet(args)
	case "resetminer":
		return s.resetMiner(args)
	default:
		return s.rebootDevice(args)
	}
}

// later does what the machine does by itself for its own part: nothing, or a minute late, or at once.
func (s *Server) later(f func()) {
	switch {
	case s.m.Has(miners.Ignores):
	case s.m.Has(miners.ObeysLate):
		time.AfterFunc(lateBy, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.look()
			f()
		})
	default:
		f()
	}
}

// curtail sleeps or wakes; its success means that the command was sent, not that the state was reached (LuxOS API
// documentation, curtail).
func (s *Server) curtail(args []string) (answer, error) {
	action := ""
	switch {
	case len(args) == 1 && args[0] == "sleep":
		action = "sleep mode"
		s.sleep()
	case len(args) > 0 && args[0] == "wakeup":
		if err := s.mayWake(args[1:]); err != nil {
			return answer{}, err
		}
		action = "wake up"
		s.wake()
	default:
		return answer{}, fmt.Errorf("%q: %w", strings.Join(args, ","), errParameter)
	}
	return accepted(codeCurtail, "Curtail command sent").with("CURTAIL", one(object{"Action": action})), nil
}

// mayWake looks at the options: mode=unsafe alone, or the steps of the ramp.
func (s *Server) mayWake(args []string) error {
	o, err := options(args, "mode", "voltage_step", "frequency_step")
	if err != nil {
		return err
	}
	mode, fast := o["mode"]
	if fast && (mode != "unsafe" || len(o) > 1) {
		return fmt.Errorf("mode %q with %d options: %w", mode, len(o), errParameter)
	}
	for _, key := range []string{"voltage_step", "frequency_step"} {
		if v, ok := o[key]; ok && !positive(v) {
			return fmt.Errorf("%s %q: %w", key, v, errParameter)
		}
	}
	if fast && (s.quirks[NoUnsafe] || s.cold) {
		return fmt.Errorf("unsafe wake: %w", errState)
	}
	return nil
}

func (s *Server) sleep() {
	s.turn++
	s.resume = time.Time{}
	s.wish = true
	s.m.Sleep()
}

// wake leaves a machine alone that is awake: it would ramp again. One that obeys late may have a sleep before it.
func (s *Server) wake() {
	s.turn++
	s.resume = time.Time{}
	s.wish, s.cold = false, false
	if s.m.Asleep() || s.m.Has(miners.ObeysLate) {
		s.m.Wake()
	}
}

func (s *Server) profileSet(args []string) (answer, error) {
	p, err := s.pick(args)
	if err != nil {
		return answer{}, err
	}
	if s.quirks[ATMRefuses] && s.atm.enabled {
		return answer{}, fmt.Errorf("profile while ATM is enabled: %w", errState)
	}
	s.keep(p)
	return accepted(codeProfileSet, "Profile set").with("PROFILE", one(object{"Profile": p.Name})), nil
}

// keep leaves a machine alone that has this target: it would ramp again. One that obeys late may have another before it.
func (s *Server) keep(p miners.Profile) {
	if s.m.Target() != p || s.m.Has(miners.ObeysLate) {
		s.m.Keep(p)
	}
}

// powerTargetSet takes the form power=<W> alone (LuxOS API documentation, powertargetset).
func (s *Server) powerTargetSet(args []string) (answer, error) {
	if s.quirks[NoPowerTarget] {
		return answer{}, fmt.Errorf("power target: %w", errModel)
	}
	o, err := options(args, "power")
	if err != nil {
		return answer{}, err
	}
	w, err := strconv.Atoi(o["power"])
	if err != nil {
		return answer{}, fmt.Errorf("power %q: %w", o["power"], errParameter)
	}
	if least, most := s.span(); float64(w) < least || float64(w) > most {
		return answer{}, fmt.Errorf("power %d W outside %g to %g W: %w", w, least, most, errParameter)
	}
	s.keep(s.between(float64(w)))
	return accepted(codePowerTarget, "Power target set"), nil
}

// atm is the thermal manager's setting. It moves no profile here.
type atm struct {
	enabled bool
	least   string // profile
	most    string // profile
	window  float64
}

// tell is what atm answers.
func (a atm) tell() object {
	return object{"Enabled": a.enabled, "MinProfile": a.least, "MaxProfile": a.most, "TempWindow": a.window}
}

func (s *Server) atmSet(args []string) (answer, error) {
	o, err := options(args, "enabled", "min_profile", "max_profile", "temp_window")
	if err != nil || len(o) == 0 {
		return answer{}, errors.Join(errParameter, err)
	}
	if err := s.checkATM(o); err != nil {
		return answer{}, err
	}
	s.later(func() { s.atm = s.atm.changed(o) })
	return accepted(codeATMSet, "ATM set"), nil
}

func (s *Server) checkATM(o map[string]string) error {
	for key, v := range o {
		ok := positive(v)
		switch key {
		case "enabled":
			ok = v == "true" || v == "false"
		case "min_profile", "max_profile":
			ok = slices.ContainsFunc(s.profiles(), func(p miners.Profile) bool { return p.Name == v })
		}
		if !ok {
			return fmt.Errorf("%s %q: %w", key, v, errParameter)
		}
	}
	return nil
}

func (a atm) changed(o map[string]string) atm {
	for key, v := range o {
		switch key {
		case "enabled":
			a.enabled = v == "true"
		case "min_profile":
			a.least = v
		case "max_profile":
			a.most = v
		default:
			a.window, _ = strconv.ParseFloat(v, 64) // checked
		}
	}
	return a
}

func (s *Server) ledSet(args []string) (answer, error) {
	if len(args) != 2 || !slices.Contains([]string{"on", "off", "blink", "auto"}, args[1]) {
		return answer{}, fmt.Errorf("%q: %w", strings.Join(args, ","), errParameter)
	}
	lamp := &s.leds.red
	switch args[0] {
	case "red":
	case "green":
		lamp = &s.leds.green
	default:
		return answer{}, fmt.Errorf("LED %q: %w", args[0], errParameter)
	}
	s.later(func() { *lamp = args[1] })
	return accepted(codeLED, "LED set"), nil
}

// resetMiner restarts the mining process: the boards go off and ramp up again. A sleeping machine stays asleep.
func (s *Server) resetMiner(args []string) (answer, error) {
	if len(args) > 0 {
		return answer{}, fmt.Errorf("%d arguments: %w", len(args), errParameter)
	}
	if !s.m.Asleep() && !s.m.Has(miners.Ignores) {
		s.anew()
	}
	return accepted(codeReset, "Resetting miner"), nil
}

func (s *Server) anew() {
	s.turn++
	turn := s.turn
	s.resume = s.m.Now().Add(restartTime + time.Second) // past the wake: both fall on one moment otherwise
	if s.m.Has(miners.ObeysLate) {
		s.resume = s.resume.Add(lateBy)
	}
	s.m.Sleep()
	time.AfterFunc(restartTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.look()
		if turn == s.turn {
			s.m.Wake()
		}
	})
}

func (s *Server) rebootDevice(args []string) (answer, error) {
	if len(args) > 0 {
		return answer{}, fmt.Errorf("%d arguments: %w", len(args), errParameter)
	}
	s.later(func() {
		s.turn++
		s.m.Reboot(s.outlasts())
		s.restore()
	})
	return accepted(codeReboot, "Rebooting device"), nil
}

// options are arguments of the form key=value, each at most once.
func options(args []string, known ...string) (map[string]string, error) {
	o := map[string]string{}
	for _, arg := range args {
		key, v, ok := strings.Cut(arg, "=")
		if _, twice := o[key]; !ok || twice || !slices.Contains(known, key) {
			return nil, fmt.Errorf("option %q: %w", arg, errParameter)
		}
		o[key] = v
	}
	return o, nil
}

func positive(text string) bool {
	v, err := strconv.ParseFloat(text, 64)
	return err == nil && v > 0 && !math.IsInf(v, 0)
}
