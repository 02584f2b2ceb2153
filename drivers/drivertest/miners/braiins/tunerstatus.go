package braiins

import "rackagent/drivers/drivertest/miners"

// tunerStatus tells the power target and the estimate of the power (BOSminer API document, tunerstatus). The boards share what the
// machine draws over its standby.
func (s *Sim) tunerStatus(v view) object {
	a := s.aims()
	drawn := max(0, v.estimate-v.spec.StandbyW)
	status := "Stable"
	switch {
	case !v.mining:
		status = "Paused"
	case a.tuning:
		status = "Tuning individual chips"
	case v.Phase == miners.Ramping:
		status = "Resuming"
	}
	list := []object{}
	for i := range boards {
		list = append(list, object{
			"HashchainIndex": chain(i), "Status": status, "TunerRunning": s.q.Tuner != TunerOff, "Iteration": 0,
			"PowerLimitWatt": watts(a.w / boards), "ApproximatePowerConsumptionWatt": watts(drawn / boards),
			"LoadedProfileCreatedOn": v.At.Add(-v.Up).Unix(), "StageElapsed": 0, "TuningElapsed": 0,
		})
	}
	mode := "Disabled"
	if s.dps.Enable != nil && *s.dps.Enable {
		mode = "InitialPowerLimit"
	}
	return object{
		"ApproximateMinerPowerConsumption": watts(v.estimate), "ApproximateChainPowerConsumption": watts(drawn), "PowerLimit": watts(a.w),
		"DynamicPowerScaling": mode, "TunerChainStatus": list,
	}
}
