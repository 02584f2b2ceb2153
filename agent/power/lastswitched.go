package power

import (
	"slices"

	"rackagent/agent/rack"
)

// LastSwitched tells where each outlet's relay was last read back by a command of the past: true closed. entries are
// what the journal holds, newest first. An outlet is left out where the newest write on it was not read back, its
// command has no result, or its bank was taken over since as it stood: nobody knows then.
func LastSwitched(l *rack.Layout, entries []rack.Entry) map[rack.OutletID]bool {
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
		for _, o := range takenOver(l, e.Progress) { // before the command's own write, so behind it here
			decided[o] = true
		}
	}
	return known
}

// takenOver are the outlets of the banks that a command wrote whole.
func takenOver(l *rack.Layout, progress []rack.Progress) []rack.OutletID {
	var out []rack.OutletID
	for i := range progress {
		if progress[i].Fact != rack.FactAdopt {
			continue
		}
		p, _ := l.PDU(progress[i].PDU)
		for _, o := range p.Outlets {
			if o.Bank() == bankOf(&progress[i]) {
				out = append(out, o.ID)
			}
		}
	}
	return out
}

func outletsOf(p rack.Plan) []rack.OutletID {
	var out []rack.OutletID
	for _, t := range p.Targets {
		for _, st := range t.Steps {
			if st.Node == "" && !slices.Contains(out, st.On) {
				out = append(out, st.On)
			}
		}
	}
	return out
}

// lastStep finds the newest write of a command on an outlet. sure: it was read back. A command that was judged after a
// restart says nothing of its writes: what was measured then counts, and what was not is not known.
func lastStep(o *rack.Outcome, on rack.OutletID) (closed, sure, touched bool) {
	for _, t := range o.Targets {
		for _, st := range t.Steps {
			if st.On.Outlet != on {
				continue
			}
			switch {
			case st.Taken != nil:
				closed, sure, touched = st.Do == rack.DoEnergise, st.Confirmed != nil, true
			case t.Recovered || t.State == rack.StateUnknown:
				closed, sure, touched = st.Do == rack.DoEnergise, st.Settled != nil, true
			}
		}
	}
	return closed, sure, touched
}

// LeftShed lists the nodes, by name, that the feed controller of an earlier life has shed and that no command has been about since.
// entries are what the journal holds, newest first. The controller of this life does not bring them back.
func LeftShed(entries []rack.Entry) []string {
	var out []string
	decided := make(map[string]bool)
	for _, e := range entries {
		ours := e.Command.Origin == rack.OriginAgent && e.Command.Issuer == issuerFeed && e.Command.Op.OnlyLowers()
		for _, t := range e.Plan.Targets {
			if t.Node == "" || t.Refused != nil || decided[t.Node] {
				continue
			}
			decided[t.Node] = true
			if ours {
				out = append(out, t.Node)
			}
		}
	}
	slices.Sort(out)
	return out
}
