package power

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// observe takes a batch of readings. Control comes first: what relays read means something else once their bank
// is out of control.
func (m *Machine) observe(now time.Time, batch []rack.Reading) {
	for _, r := range batch {
		if r.Point.Quantity == rack.Control {
			m.observeControl(now, r)
		}
	}
	for _, r := range batch {
		if r.Point.Quantity == rack.SupplyW {
			id := rack.MeterID{PDU: r.Point.Device, N: r.Point.Index}
			m.world.Shared[id] = m.world.Shared[id].add(r)
			continue
		}
		o := rack.OutletID{PDU: r.Point.Device, N: r.Point.Index}
		v, ok := m.world.Outlets[o]
		if !ok {
			m.observeMiner(r)
			continue
		}
		switch r.Point.Quantity {
		case rack.PowerW:
			if r.Quality == rack.QualityOK && r.At.After(v.W.At) && !v.W.At.IsZero() && r.Raw != v.W.Raw {
				v.MovedAt = r.At
			}
			v.W = newer(v.W, r)
			v = m.observeLive(o, v)
		case rack.ApparentV:
			v.VA = newer(v.VA, r)
		case rack.CurrentA:
			v.A = newer(v.A, r)
		case rack.Relay:
			v = m.observeRelay(o, v, r)
		}
		m.world.Outlets[o] = v
	}
	m.observePeaks(now, batch)
	m.resolveDoubts(now)
	if now.Sub(m.judged) >= limitEvery-100*time.Millisecond {
		m.judged = now
		m.observeLimits(now)
		m.controlFeeds(now)
	}
}

// limitEvery is how often the levels of the feed are looked at; each look counts every node at every level.
const limitEvery = time.Second

// newer keeps the later of two readings: a poll that began before a write does not undo what the write read back.
func newer(old, r rack.Reading) rack.Reading {
	if r.At.Before(old.At) {
		return old
	}
	return r
}

func (m *Machine) observeRelay(o rack.OutletID, v OutletView, r rack.Reading) OutletView {
	old := v.Relay
	if r.At.Before(old.At) {
		return v
	}
	v.Relay = r
	if r.Quality != rack.QualityOK {
		return v
	}
	closed := r.Value != 0
	if closed {
		v.OpenSince = time.Time{}
	} else if gap := r.At.Sub(old.At); v.OpenSince.IsZero() || gap > m.world.limitAge(o.PDU) {
		v.OpenSince = r.At // nobody saw it in between: it may have been closed
	}
	if was, known := m.expect[o]; known && was != closed && !m.moving(o) {
		m.externalChange(o, was, closed)
	}
	if !m.moving(o) {
		m.expect[o] = closed
	}
	return v
}

// observeLive looks for a load behind an open relay: a welded contact, or other wiring than configured. Whatever it is,
// the outlet is not off while it lasts, so its off time counts from the last such sample.
func (m *Machine) observeLive(o rack.OutletID, v OutletView) OutletView {
	p, _ := m.world.Layout.PDU(o.PDU)
	open := v.Relay.Quality == rack.QualityOK && v.Relay.Value == 0 && !v.OpenSince.IsZero()
	late := v.W.Quality == rack.QualityOK && v.W.At.After(v.OpenSince.Add(p.Settling))
	live := open && late && v.W.Value >= noLoadVA
	if live {
		v.LiveAt = v.W.At
	}
	if live && !v.Live && !m.underWay(o) {
		node, _ := m.world.Layout.NodeOf(o)
		m.emit(rack.Event{
			Kind: rack.EventExternalChange, Severity: rack.Error, Device: o.PDU, Outlet: o, Node: node.Name, Reason: "load on an open relay",
			Text: fmt.Sprintf("outlet %s carries %.0f W although its relay reads open: a welded contact, or other wiring than configured", o, v.W.Value),
		})
	}
	v.Live = live
	return v
}

// underWay tells whether a step on the outlet will say itself what it finds.
func (m *Machine) underWay(o rack.OutletID) bool {
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if t.current != nil && t.current.step.On == o {
				return true
			}
		}
	}
	return false
}

// externalChange reports a relay that moved without a command of ours.
func (m *Machine) externalChange(o rack.OutletID, was, closed bool) {
	out, _ := m.world.Layout.Outlet(o)
	m.disturb(out.SharedMeter(), nil)
	if controlled, known := m.world.Controlled(m.world.Layout.BankOf(o)); known && !controlled {
		return // bank_lost has said it
	}
	node, _ := m.world.Layout.NodeOf(o)
	m.emit(rack.Event{
		Kind: rack.EventExternalChange, Severity: rack.Error, Device: o.PDU, Outlet: o, Node: node.Name, From: openOrClosed(was), To: openOrClosed(closed),
		Text: fmt.Sprintf("relay of outlet %s went from %s to %s without a command of this agent", o, openOrClosed(was), openOrClosed(closed)),
	})
}

// moving tells whether a write on the outlet is in a lane.
func (m *Machine) moving(o rack.OutletID) bool {
	for _, t := range m.waiting {
		if w := t.current; w != nil && w.state == stageWriting && w.step.On == o {
			return true
		}
	}
	return false
}

func (m *Machine) observeControl(now time.Time, r rack.Reading) {
	pdu := r.Point.Device
	bank, ok := m.bankAt(r.Point)
	if !ok {
		return
	}
	b, old := m.world.Boards[pdu], m.world.Banks[bank]
	m.world.Banks[bank] = newer(old, r)
	if r.Quality == rack.QualityAbsent && m.allAbsent(pdu) { // what comes back may be another board
		b.Identified, b.Unidentified = false, "the board was away"
	} else if old.Quality == rack.QualityAbsent && r.Quality != rack.QualityAbsent {
		m.do(Ask{PDU: pdu})
	}
	m.world.Boards[pdu] = b
	m.observeForeign(now, bank, old, r)
	if r.Quality != rack.QualityOK || r.At.Before(old.At) {
		return
	}
	first := old.At.IsZero()
	switch {
	case r.Value == 0 && (first || old.Value != 0):
		m.emit(rack.Event{
			Kind: rack.EventBankLost, Severity: rack.Critical, Device: bank.PDU,
			Text: fmt.Sprintf("the relay bank of %s reads inputs: it is out of control and its relays stand at rest; nothing is written to it without a command", bank),
		})
		m.do(Raise{rack.Alarm{Key: "bank." + bank.Key(), Since: now, Severity: rack.Critical, Text: "the relay bank of " + bank.String() + " is out of control"}})
	case r.Value != 0 && !first && old.Value == 0:
		m.bankRegained(bank)
	}
}

// allAbsent tells whether no relay bank of a PDU answers: one that is dead beside others does not make the board another.
func (m *Machine) allAbsent(pdu string) bool {
	p, _ := m.world.Layout.PDU(pdu)
	return !slices.ContainsFunc(p.Banks(), func(b rack.BankID) bool { return m.world.Banks[b].Quality != rack.QualityAbsent })
}

// bankAt finds the relay bank a Control reading is about.
func (m *Machine) bankAt(p rack.Point) (rack.BankID, bool) {
	pdu, _ := m.world.Layout.PDU(p.Device)
	for _, b := range pdu.Banks() {
		if b.Point() == p {
			return b, true
		}
	}
	return rack.BankID{}, false
}

// observeForeign reports a bank whose direction or polarity somebody else has written, once.
func (m *Machine) observeForeign(now time.Time, bank rack.BankID, old, r rack.Reading) {
	isForeign := func(x rack.Reading) bool { return x.Quality == rack.QualityBad && x.Reason == foreignReason() }
	if isForeign(r) == isForeign(old) || (r.Quality != rack.QualityOK && !isForeign(r)) {
		return
	}
	alarm := rack.Alarm{Key: "foreign." + bank.Key(), Since: now, Severity: rack.Critical, Text: "somebody else writes to the relay bank of " + bank.String(), Cleared: !isForeign(r)}
	if !alarm.Cleared {
		m.emit(rack.Event{
			Kind: rack.EventExternalChange, Severity: rack.Critical, Device: bank.PDU, Reason: r.Reason,
			Text: fmt.Sprintf("the relay bank of %s is not as this agent leaves it (direction, polarity or mode): nothing is written to it", bank),
		})
	}
	m.do(Raise{alarm})
}

func (m *Machine) bankRegained(bank rack.BankID) {
	m.emit(rack.Event{Kind: rack.EventBankRegained, Severity: rack.Info, Device: bank.PDU, Text: "the relay bank of " + bank.String() + " is under control again"})
	m.do(Raise{rack.Alarm{Key: "bank." + bank.Key(), Since: m.world.At, Severity: rack.Info, Text: "the relay bank of " + bank.String() + " is under control", Cleared: true}})
}

// identify takes over what a board says it is. A memory that could not be read once takes nothing back: only a board
// that was away, or one that says it is another product, is no longer who it was.
func (m *Machine) identify(now time.Time, in Identified) {
	b := m.world.Boards[in.PDU]
	if in.Err != nil {
		m.unidentified(in, b)
		return
	}
	changed := !b.Identified || b.Serial != in.Ident.Serial
	b.Unidentified = ""
	b.Identified, b.Serial, b.Product = true, in.Ident.Serial, in.Ident.Product
	m.world.Boards[in.PDU] = b
	p, ok := m.world.Layout.PDU(in.PDU)
	if !ok || !changed {
		return
	}
	m.do(Learnt{})
	alarm := rack.Alarm{Key: "serial." + in.PDU, Since: now, Severity: rack.Error, Text: "the board of " + in.PDU + " has another serial than configured", Cleared: p.Serial == "" || b.Serial == p.Serial}
	if !alarm.Cleared {
		m.emit(rack.Event{
			Kind: rack.EventWiring, Severity: rack.Error, Device: in.PDU, From: p.Serial, To: b.Serial,
			Text: fmt.Sprintf("the board of %s says serial %q, configured is %q: all its outlets count as firm until a person enters it", in.PDU, b.Serial, p.Serial),
		})
	}
	m.do(Raise{alarm})
}

func (m *Machine) unidentified(in Identified, b BoardView) {
	fault := drivers.FaultOf(in.Err)
	if b.Identified && fault != drivers.WrongDevice {
		return
	}
	if b.Identified {
		m.do(Learnt{})
	}
	p, _ := m.world.Layout.PDU(in.PDU)
	asked := p.Serial != "" || fault == drivers.WrongDevice // identity: none expects no word, but no word of another product either
	if asked && (b.Identified || b.Unidentified != fault.String()) {
		m.emit(rack.Event{
			Kind: rack.EventWiring, Severity: rack.Error, Device: in.PDU, Reason: in.Err.Error(),
			Text: "the board of " + in.PDU + " does not say who it is: all its outlets count as firm",
		})
	}
	b.Identified, b.Unidentified = false, fault.String()
	m.world.Boards[in.PDU] = b
}

// observePeaks keeps the highest minute of each node that is measured whole, where the batch tells something of it.
func (m *Machine) observePeaks(now time.Time, batch []rack.Reading) {
	seen := make(map[string]bool)
	for _, r := range batch {
		n, ok := m.world.Layout.NodeOf(rack.OutletID{PDU: r.Point.Device, N: r.Point.Index})
		if r.Point.Quantity != rack.PowerW || !ok || seen[n.Name] {
			continue
		}
		seen[n.Name] = true
		sum, whole := 0.0, len(n.Outlets) > 0
		for _, o := range n.Outlets {
			w, ok := m.world.Watts(o)
			sum, whole = sum+w, whole && ok
		}
		if !whole {
			continue
		}
		p := m.peaks[n.Name]
		if p == nil {
			p = new(peak)
			m.peaks[n.Name] = p
		}
		v := m.world.Nodes[n.Name]
		v.PeakW = p.add(now.Sub(m.born), sum)
		m.world.Nodes[n.Name] = v
	}
}

// limitGrace is how long after the start a level with unread relays is not judged, arbitrary.
const limitGrace = 30 * time.Second

// observeLimits reports levels whose reservations exceed their limit, once. Nothing is shed.
func (m *Machine) observeLimits(now time.Time) {
	if now.Sub(m.born) < limitGrace && !m.allRead() {
		return
	}
	sums := m.world.ledger(now)
	for _, f := range m.world.Layout.Feeds {
		l := sums.load(f)
		above := l.A > l.LimitA
		if above == m.over[f.Name] {
			continue
		}
		m.over[f.Name] = above
		text := fmt.Sprintf("feed %s carries %.1f A of reservations (%.0f W), its continuous limit is %.1f A", f.Name, l.A, l.W, l.LimitA)
		if above {
			m.emit(rack.Event{Kind: rack.EventOverLimit, Severity: rack.Warn, Device: f.Name, Text: text + ": nothing below it may be started"})
		}
		m.do(Raise{rack.Alarm{Key: "limit." + f.Name, Since: now, Severity: rack.Warn, Text: text, Cleared: !above}})
	}
}

func (m *Machine) allRead() bool {
	for _, v := range m.world.Outlets {
		if v.Relay.At.IsZero() || v.W.At.IsZero() {
			return false
		}
	}
	return true
}
