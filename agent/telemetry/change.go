package telemetry

import (
	"math"
	"time"

	"rackagent/agent/rack"
)

// step is how far a value has to move from what was told last to be told before the period is over: the larger of a
// share of that and a span in the quantity's unit. The zero step is passed by every difference. All are arbitrary:
// above the noise of the meters, below what an operator would call a change.
type step struct{ share, span float64 }

func stepOf(q rack.Quantity) step {
	switch q {
	case rack.Relay, rack.Control, rack.Leak, rack.Contact, rack.FaultFlag, rack.Identified, rack.Hashing, rack.AsleepFlag, rack.LimitW, rack.HashPlanTHs:
		return step{}
	case rack.EnergyWh, rack.SupplyWh, rack.DCWh, rack.ACWh:
		return step{span: math.Inf(1)} // a counter moves all the time
	case rack.HashMeanTHs:
		return step{span: math.Inf(1)} // it follows of the others
	case rack.HashTHs:
		return step{0.1, 1}
	case rack.ToldW, rack.PowerW, rack.ApparentV, rack.SupplyW, rack.SupplyVA, rack.DCWatts, rack.ACWatts, rack.ACVA, rack.InWatts:
		return step{0.05, 10}
	case rack.CurrentA, rack.SupplyA, rack.DCAmps, rack.ACAmps, rack.InAmps:
		return step{0.05, 0.1}
	case rack.VoltageV, rack.SupplyV, rack.DCVolts, rack.ACVolts, rack.InVolts, rack.InputV:
		return step{0.02, 0.1}
	case rack.FrequHz, rack.SupplyHz, rack.ACHz:
		return step{0, 0.05}
	case rack.TempC, rack.DewC:
		return step{0, 1}
	case rack.HumidityPct, rack.LevelPct, rack.AirHPa:
		return step{0, 2}
	case rack.FanRPM:
		return step{0.1, 100}
	case rack.FlowLPM:
		return step{0.1, 0.5}
	case rack.PressureBar:
		return step{0.05, 0.05}
	default:
		return step{share: 0.05}
	}
}

// passed tells whether a value is further from the one told than the step.
func (s step) passed(told, now float64) bool {
	return math.Abs(now-told) > max(s.share*math.Abs(told), s.span)
}

// watch knows what was told last of each point. It is Run's own.
type watch map[rack.Point]rack.Reading

// tell notes what a batch carries.
func (w watch) tell(readings []rack.Reading) {
	for _, r := range readings {
		w[r.Point] = r
	}
}

// moved picks what has to be told: of each device every quantity whole of which one position has moved, because half an
// array would say that the other half does not exist.
func (w watch) moved(readings []rack.Reading) []rack.Reading {
	type array struct {
		device   string
		quantity rack.Quantity
	}
	of := func(p rack.Point) array { return array{p.Device, p.Quantity} }
	moved := map[array]bool{}
	for _, r := range readings {
		if w.news(r) {
			moved[of(r.Point)] = true
		}
	}
	var out []rack.Reading
	for _, r := range readings {
		if moved[of(r.Point)] {
			out = append(out, r)
		}
	}
	return out
}

// news tells whether a reading says something else than the one told.
func (w watch) news(r rack.Reading) bool {
	told, ok := w[r.Point]
	if !ok {
		return false // its first batch is the next of the period
	}
	if shown(told.Quality) != shown(r.Quality) {
		return true
	}
	return shown(r.Quality) && stepOf(r.Point.Quantity).passed(told.Value, r.Value)
}

// shown tells whether a value of that quality is published. A doubt that may be over at the next sample is no news.
func shown(q rack.Quality) bool { return q == rack.QualityOK || q == rack.QualitySuspect }

// look makes a batch of what has moved since it was told. While batches wait for the broker there is none: what an outage
// costs in memory and on the disk is reckoned by the period.
func (t *Telemetry) look(now time.Time) {
	if t.due.Sub(now) < t.o.Look/2 || len(t.ring.list) > 0 && now.Sub(t.ring.oldest()) >= storeAfter {
		return
	}
	if moved := t.watch.moved(t.o.Readings(now)); len(moved) > 0 {
		t.make(now, byDevice(moved))
		t.watch.tell(moved)
	}
}
