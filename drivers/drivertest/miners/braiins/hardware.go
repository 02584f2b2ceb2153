package braiins

// Sensor locations (braiins/bos-plus-api, SensorLocation).
const sensorChip = 1

// Overall states of the tuner (braiins/bos-plus-api, TunerState).
const (
	tunerDisabled = 1
	tunerStable   = 2
	tunerTuning   = 3
)

func degrees(c float64) object { return object{"degree_c": c} }

// hottest is a sensor on a chip.
func (v view) hottest(c float64) object {
	return object{"id": nil, "location": sensorChip, "temperature": degrees(c)}
}

// shares are the parts of the machine's work that its boards do: those that are not disabled share it evenly.
func (s *Sim) shares() [boards]float64 {
	on := 0.0
	for _, dark := range s.dark {
		if !dark {
			on++
		}
	}
	var parts [boards]float64
	for i, dark := range s.dark {
		if !dark {
			parts[i] = 1 / on
		}
	}
	return parts
}

// hashboards tell no voltage and no frequency without power.
func (s *Sim) hashboards(v view) []object {
	list := []object{}
	for i, part := range s.shares() {
		dark := s.dark[i]
		o := object{
			"id": boardID(i), "enabled": !dark, "chips_count": chips, "stats": v.solver(part), "model": nil, "serial_number": nil,
			"board_temp": degrees(v.boardC()), "highest_chip_temp": v.hottest(v.chipC()), "lowest_inlet_temp": degrees(inletC),
			"highest_outlet_temp": degrees(v.boardC()), "current_voltage": object{"volt": chipVolts},
			"current_frequency": object{"hertz": nominalHz * v.load},
		}
		if dark || !v.mining {
			o["current_voltage"], o["current_frequency"] = nil, nil
		}
		list = append(list, o)
	}
	return list
}

func (s *Sim) cooling(v view) object {
	list := []object{}
	for i := range fans {
		list = append(list, object{"position": i, "rpm": v.rpm(), "target_speed_ratio": v.speed()})
	}
	return object{"fans": s.list(list), "highest_temperature": v.hottest(v.chipC())}
}

// tuner tells its state. A target that is being tuned has no profile yet; a pause does not show here (no source says either).
func (s *Sim) tuner(v view) object {
	a := s.aims()
	state := tunerStable
	if a.tuning {
		state = tunerTuning
	}
	switch s.q.Tuner {
	case TunerOff:
		return object{"overall_tuner_state": tunerDisabled, "mode_state": nil}
	case TunesHashrate:
		target := object{"terahash_per_second": cents(v.Target.THs)}
		return object{"overall_tuner_state": state, "mode_state": object{"hashratetargetmodestate": object{
			"current_target": target, "profile": unless(a.tuning, profile(a, v, target)),
		}}}
	default:
		target := object{"watt": watts(a.w)}
		return object{"overall_tuner_state": state, "mode_state": object{"powertargetmodestate": object{
			"current_target": target, "profile": unless(a.tuning, profile(a, v, target)),
		}}}
	}
}

// profile is a tuned one.
func profile(a aim, v view, target object) object {
	return object{
		"created": object{"seconds": v.At.Add(-v.Up).Unix(), "nanos": 0}, "target": target,
		"measured_hashrate": giga(v.Target.THs), "estimated_power_consumption": object{"watt": watts(a.w)},
	}
}
