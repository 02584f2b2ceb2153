package power

import (
	"slices"

	"rackagent/agent/rack"
)

// LastSwitched tells where each outlet's relay was last read back by a command of the past: true closed. entries are
// what the journal holds, newest first. An outlet is left out where the newest write on it was not read back, or its
// command has no result: nobody knows then.
func LastSwitched(entries []rack.Entry) map[rack.OutletID]bool {
	known := make(map[rack.OutletID]bool)
	decided := make(map[rack.OutletID]bool)
	for _, e := range entries {
		for _, o := range outletsOf(e.Plan) {
			if decided[o] {
				continue
			}
			if e.Outcome == nil {
				decided[o] = true
				continue
			}
			closed, sure, touched := lastStep(e.Outcome, o)
			if !touched {
				continue // it never got to this outlet
			}
			decided[o] = true
			if sure {
				known[o] = closed
			}
		}
	}
	return known
}

func outletsOf(p rack.Plan) []rack.OutletID {
	var out []rack.OutletID
	for _, t := range p.Targets {
		for _, st := range t.Steps {
			if !slices.Contains(out, st.On) {
				out = append(out, st.On)
			}
		}
	}
	return out
}

// lastStep finds the newest write of a command on an outlet. sure: it was read back.
func lastStep(o *rack.Outcome, on rack.OutletID) (closed, sure, touched bool) {
	for _, t := range o.Targets {
		for _, st := range t.Steps {
			if st.On.Outlet == on && st.Taken != nil {
				closed, sure, touched = st.Do == rack.DoEnergise, st.Confirmed != nil, true
			}
		}
	}
	return closed, sure, touched
}
