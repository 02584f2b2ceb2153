package braiins

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// power is a body in W: a whole number.
type power struct {
	Watt *uint32 `json:"watt"`
}

func (s *Sim) putTarget(body []byte) (any, error) {
	var asked power
	if err := decode(body, &asked); err != nil || asked.Watt == nil {
		return nil, errPayload
	}
	return s.targeted(int(*asked.Watt))
}

// targeted takes a target and answers with what it became.
func (s *Sim) targeted(w int) (any, error) {
	became, err := s.set(w)
	if err != nil {
		return nil, err
	}
	return object{"watt": became}, nil
}

// stepTarget moves the target from where it is.
func (s *Sim) stepTarget(sign int) act {
	return func(body []byte) (any, error) {
		var asked power
		if err := decode(body, &asked); err != nil || asked.Watt == nil {
			return nil, errPayload
		}
		return s.targeted(watts(s.aims().w) + sign*int(*asked.Watt))
	}
}

func (s *Sim) relateTarget(body []byte) (any, error) {
	var asked struct {
		Percentage *float64 `json:"percentage"`
		Reference  *int     `json:"reference"`
	}
	if err := decode(body, &asked); err != nil || asked.Percentage == nil || asked.Reference == nil {
		return nil, errPayload
	}
	of, known := s.reference(*asked.Reference)
	if w := of * *asked.Percentage / 100; known && w >= 0 && w < math.MaxInt32 {
		return s.targeted(watts(w))
	}
	return nil, errPayload
}

// ramping are the quick ramping times in s.
type ramping struct{ up, down int }

func (r ramping) tell() object { return object{"up_s": r.up, "down_s": r.down} }

// Ramping tells the quick ramping times: at first those of the Spec, and then what was written.
func (s *Sim) Ramping() (up, down time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.ramping.up) * time.Second, time.Duration(s.ramping.down) * time.Second
}

func (s *Sim) putRamping(body []byte) (any, error) {
	var asked struct {
		Up   *uint32 `json:"up_s"`
		Down *uint32 `json:"down_s"`
	}
	if err := decode(body, &asked); err != nil || asked.Up == nil || asked.Down == nil {
		return nil, errPayload
	}
	r := ramping{int(*asked.Up), int(*asked.Down)}
	s.later(func() { s.ramping = r })
	return r.tell(), nil
}

// dps is what dynamic performance scaling is set to; what was never set is null.
type dps struct {
	Enable   *bool `json:"enable"`
	Shutdown *bool `json:"enable_shutdown"`
	Duration *struct {
		Hours uint32 `json:"hours"`
	} `json:"shutdown_duration"`
	Mode   *int `json:"mode"`
	Target *struct {
		Target *struct {
			Power *struct {
				Step  *power `json:"power_step"`
				Least *power `json:"min_power_target"`
			} `json:"powertarget"`
		} `json:"target"`
	} `json:"target"`
}

// putDPS keeps what it is told, and answers with all that is set. The names differ from those of the request (OpenAPI document,
// SetDpsResponse).
func (s *Sim) putDPS(body []byte) (any, error) {
	var d dps
	if err := decode(body, &d); err != nil {
		return nil, errPayload
	}
	d = dps{
		cmp.Or(d.Enable, s.dps.Enable), cmp.Or(d.Shutdown, s.dps.Shutdown), cmp.Or(d.Duration, s.dps.Duration), cmp.Or(d.Mode, s.dps.Mode),
		cmp.Or(d.Target, s.dps.Target),
	}
	s.later(func() { s.dps = d })
	o := object{
		"enabled": d.Enable, "shutdown_enabled": d.Shutdown, "shutdown_duration": d.Duration, "mode": d.Mode, "hashrate_target": nil,
		"power_target": nil,
	}
	if d.Target != nil && d.Target.Target != nil {
		o["power_target"] = d.Target.Target.Power
	}
	return o, nil
}

// boardID is how REST names a board, from 1 on.
func boardID(i int) string { return strconv.Itoa(i + 1) }

// patchBoards enables or disables boards. With fewer the machine means so much less (no source says how the tuner shares its
// target).
func (s *Sim) patchBoards(body []byte) (any, error) {
	var asked struct {
		Enable *bool    `json:"enable"`
		IDs    []string `json:"hashboard_ids"`
	}
	if err := decode(body, &asked); err != nil || asked.Enable == nil || asked.IDs == nil {
		return nil, errPayload
	}
	disabled := s.disabled
	for _, id := range asked.IDs {
		i, err := strconv.Atoi(id)
		if err != nil || i < 1 || i > boards {
			return nil, errPayload
		}
		disabled[i-1] = !*asked.Enable
	}
	if disabled != s.disabled && !s.m.Has(miners.Ignores) {
		w := watts(s.aims().w)
		s.disabled = disabled
		s.aim(w)
		s.later(func() { s.dark = disabled })
	}
	list := []object{}
	for i, off := range disabled {
		if slices.Contains(asked.IDs, boardID(i)) {
			list = append(list, object{"id": boardID(i), "is_enabled": !off})
		}
	}
	return object{"hashboards": list}, nil
}

// putLocate lets the LED blink.
func (s *Sim) putLocate(body []byte) (any, error) {
	var on *bool
	if err := decode(body, &on); err != nil || on == nil {
		return nil, errPayload
	}
	s.later(func() { s.locates = *on })
	return *on, nil
}
