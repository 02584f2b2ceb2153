package power

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// silentMost is how much of what the rack draws may be unmeasured before nothing comes back by itself (the design's 20 %).
const silentMost = 0.2

// feedControl is what the machine knows of its feed controller.
type feedControl struct {
	bands  *bands
	silent bool // too much is not measured
}

// controlFeeds tells the controller what is measured, and begins what it wants.
func (m *Machine) controlFeeds(now time.Time) {
	if m.feeds.bands == nil || now.Sub(m.born) < limitGrace && !m.allRead() {
		return
	}
	draws := m.world.draws(now)
	levels, places := m.world.measuredLevels(draws)
	m.tellSilent(now, draws)
	may := m.own.may.Feeds && !m.observing && m.arm(now)
	var loads []bandLoad
	if may && m.feeds.bands.wants(levels) {
		loads = m.bandLoads(now, draws, places)
	}
	sheds, back, told := m.feeds.bands.step(now, levels, loads, m.feeds.silent)
	for _, b := range told {
		if may || !b.bare && b.node == "" {
			m.tellBand(now, b)
		}
	}
	if !may {
		return
	}
	for _, s := range sheds {
		m.shed(now, s)
	}
	for _, node := range back {
		if m.bringBack(now, node) {
			m.feeds.bands.rise(now, node)
			break
		}
	}
}

// wants tells whether the controller needs to know what may be shed or brought back.
func (b *bands) wants(levels []bandLevel) bool {
	return len(b.shed) > 0 || b.anyActing() || slices.ContainsFunc(levels, func(l bandLevel) bool { _, share := l.fullest(); return share >= actAt })
}

// bandLoads lists the miners with what they draw, what they are worth, and what may be done to them.
func (m *Machine) bandLoads(now time.Time, draws []draw, places [][]bandPart) []bandLoad {
	var out []bandLoad
	l := m.world.ledger(now)
	for _, n := range m.world.Layout.Nodes {
		if n.Class.Firm() {
			continue
		}
		ld := bandLoad{node: n.Name, worth: m.world.worth(n)}
		watts := 0.0
		for i, d := range draws {
			if d.node == n.Name {
				watts += d.watts
				ld.blind = ld.blind || d.whole
				ld.parts = merge(ld.parts, places[i])
			}
		}
		ld.draws = watts > m.world.asleepLimit(n)
		ld.foreign = m.foreignLowers(n.Name)
		busy, cuts := m.busyOwn(n.Name)
		ld.busy = busy
		if ld.draws {
			ld.sleeps = !busy && n.API != nil && m.plannable(now, l, n, rack.OpSleep)
			ld.cuts = !cuts && !allOpen(&m.world, n, nil) && m.plannable(now, l, n, rack.OpCut)
		}
		out = append(out, ld)
	}
	return out
}

// merge adds the places of one more outlet of a node.
func merge(to, parts []bandPart) []bandPart {
	for _, p := range parts {
		i := slices.IndexFunc(to, func(q bandPart) bool { return q.level == p.level && q.line == p.line })
		if i < 0 {
			to = append(to, p)
			continue
		}
		to[i].amps += p.amps
		to[i].full = max(to[i].full, p.full)
	}
	return to
}

// foreignLowers tells whether somebody else's command is lowering a node.
func (m *Machine) foreignLowers(node string) bool {
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if j.cmd.Origin != rack.OriginAgent && t.result == nil && t.plan.Node == node && (j.cmd.Op.OnlyLowers() || j.cmd.Op == rack.OpLimit) {
				return true
			}
		}
	}
	return false
}

func (m *Machine) plannable(now time.Time, l *ledger, n rack.Node, op rack.Op) bool {
	r := ofNode(n)
	p := planTarget(now, l, rack.Command{Op: op, Target: rack.NodeTarget(n.Name), Origin: rack.OriginAgent}, r)
	return p.Refused == nil && len(p.Steps) > 0
}

// worth is what a miner is worth to whoever pays for the power.
func (s *Snapshot) worth(n rack.Node) worth {
	v := s.Nodes[n.Name]
	w := worth{restart: n.MinOff + coldStart}
	if n.API == nil {
		return w
	}
	w.restart = n.API.WakeBy
	limit := freshFor * n.API.Period
	awake := v.Asleep.Fresh(s.At, limit) && v.Asleep.Value == 0
	w.idle = awake && v.Hashing.Fresh(s.At, limit) && v.Hashing.Value == 0
	if sum, _, ok := s.sum(n); ok && !w.idle && v.Rate.Fresh(s.At, limit) && v.Rate.Value > 0 {
		w.jth = sum / v.Rate.Value
	}
	return w
}

// coldStart is what a miner takes to its full rate after its outlet was closed (domain reference, 3 to 10 min).
const coldStart = 10 * time.Minute

// shed begins what the controller wants of one node.
func (m *Machine) shed(now time.Time, s shedding) {
	c := rack.Command{Op: rack.OpSleep, Target: rack.NodeTarget(s.node), Issuer: issuerFeed, Why: s.why}
	if s.cut {
		c.Op = rack.OpCut
	}
	if bad := m.beginOwn(now, c); bad != nil {
		m.emit(rack.Event{
			Kind: rack.EventOwn, Severity: rack.Error, Node: s.node, Reason: string(bad.Code),
			Text: fmt.Sprintf("%s could not be shed: %s (%s)", s.node, bad.Text, s.why),
		})
	}
}

// bringBack begins the return of a node that the controller has shed, if its plan is not refused.
func (m *Machine) bringBack(now time.Time, node string) bool {
	n, _ := m.world.Layout.Node(node)
	c := rack.Command{Op: rack.OpEnergise, Target: rack.NodeTarget(node), Issuer: issuerFeed, Why: fmt.Sprintf(
		"all levels above %s are below %.0f %% since %s or longer, and stay below %.0f %% with it", node, 100*releaseAt, calmFor, 100*actAt)}
	if s := m.feeds.bands.shed[node]; s != nil && !s.cut && !m.allClosed(n) {
		m.feeds.bands.forget(node) // somebody else has opened it
		return false
	}
	_, slept := m.world.kept(n, rack.OrderSlept)
	if slept {
		c.Op = rack.OpWake
		if !m.allClosed(n) {
			c.Op = rack.OpStart
		}
	}
	return m.beginOwn(now, c) == nil
}

func (m *Machine) allClosed(n rack.Node) bool {
	return !slices.ContainsFunc(n.Outlets, func(o rack.OutletID) bool { closed, known := m.world.Closed(o); return !closed || !known })
}

// tellBand tells that a level is near its limit, or back.
func (m *Machine) tellBand(now time.Time, b banded) {
	if b.node != "" {
		m.emit(rack.Event{Kind: rack.EventOwn, Severity: rack.Error, Node: b.node, Reason: "does not come back", Text: b.text})
		return
	}
	e := rack.Event{Kind: rack.EventFeedBack, Severity: rack.Info, Device: b.level, Text: b.text}
	a := rack.Alarm{Key: "feed." + b.level, Since: now, Severity: rack.Error, Text: b.text, Cleared: !b.high}
	switch {
	case b.bare:
		e.Kind, e.Severity, e.Reason, a.Severity = rack.EventFeedHigh, rack.Critical, "nothing to shed", rack.Critical
		a.Text = "feed " + b.level + ": " + b.text
	case b.high:
		e.Kind, e.Severity = rack.EventFeedHigh, rack.Error
		if !m.own.may.Feeds {
			e.Text += "; feed_control.shed is off: nothing is shed"
		}
	}
	m.emit(e)
	m.do(Raise{a})
}

// tellSilent tells that too much of what the rack draws is not measured, or that it is again.
func (m *Machine) tellSilent(now time.Time, draws []draw) {
	share := silentShare(draws)
	silent := share > silentMost
	if silent == m.feeds.silent {
		return
	}
	m.feeds.silent = silent
	text := fmt.Sprintf("%.0f %% of what the rack draws is not measured: reservations stand in for it, and nothing comes back by itself", 100*share)
	sev := rack.Error
	if !silent {
		sev = rack.Info
	}
	m.emit(rack.Event{Kind: rack.EventFeedSilent, Severity: sev, Text: text})
	m.do(Raise{rack.Alarm{Key: "feed-silent", Since: now, Severity: rack.Error, Text: text, Cleared: !silent}})
}
