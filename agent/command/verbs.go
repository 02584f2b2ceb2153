package command

import (
	"time"

	"rackagent/agent/rack"
)

const (
	// listed is how many commands cmd.list gives if the sender does not say.
	listed = 50
	// identifyLimit is how long boards may take to say who they are (arbitrary: a read takes 0.1 s a board, and a
	// bus that hangs says so itself).
	identifyLimit = 60 * time.Second
)

// own carries out the verbs that touch no actuator. All but identify are done with their record.
func (d *Desk) own(now time.Time, cmd rack.Command, ack func()) {
	if cmd.If != nil {
		d.reject(now, cmd, ack, refuse(rack.CodePrecondition, "preconditions (if) cannot be judged for %s", cmd.Op))
		return
	}
	did, bad := d.attempt(now, cmd)
	switch {
	case bad != nil:
		d.reject(now, cmd, ack, bad)
	case cmd.Dry:
		nothing := rack.Plan{Command: cmd.ID, Made: now}
		d.conclude(now, cmd, ack, deed{outcome: rack.Outcome{Text: "nothing to plan, nothing done", Plan: &nothing}})
	case cmd.Op == rack.OpIdentify && d.crowded(cmd.Op):
		d.turnAway(now, cmd, ack, refuse(rack.CodeBusy, "%d commands are unfinished", len(d.open)))
	case cmd.Op == rack.OpIdentify:
		d.submit(&pending{cmd: cmd, acks: hold(ack)}, accepted(now, cmd, nil))
	default:
		d.conclude(now, cmd, ack, did)
	}
}

func (d *Desk) attempt(now time.Time, cmd rack.Command) (deed, *rack.Refusal) {
	switch cmd.Op {
	case rack.OpIdentify:
		return deed{}, d.identifiable(cmd.Target)
	case rack.OpGet:
		return d.get(cmd)
	case rack.OpList:
		return d.list(cmd.Args.N), nil
	case rack.OpCancel:
		return d.cancel(now, &cmd)
	case rack.OpApprove:
		return d.approve(now, cmd)
	case rack.OpLock, rack.OpUnlock:
		return d.lock(now, cmd)
	case rack.OpJournalAccept:
		return d.acceptLoss(now, cmd)
	default:
		return deed{}, refuse(rack.CodeUnsupported, "%s is not a verb of this agent", cmd.Op)
	}
}

// get publishes what is recorded of another command, under that one's id.
func (d *Desk) get(cmd rack.Command) (deed, *rack.Refusal) {
	id := cmd.Args.ID
	_, known, _ := d.o.Book.Get(id)
	switch {
	case !known && d.flight[id] == nil:
		return deed{}, refuse(rack.CodeUnknownTarget, "no command %s is recorded here", id)
	case !known && question(cmd): // it does not wait for the journal
		return deed{}, refuse(rack.CodeBusy, "%s is being recorded", id)
	}
	return deed{then: func() {
		e, known, _ := d.o.Book.Get(id) // the journal answers in order: what was in flight is written
		switch {
		case known && question(cmd):
			d.o.Publisher.Answer(d.present(e), true)
		case known:
			d.recall(e)
		}
	}}, nil
}

func (d *Desk) list(n int) deed {
	if n == 0 {
		n = listed
	}
	lines := []rack.Summary{}
	for _, e := range d.o.Book.List(n) {
		s := rack.Summary{Command: e.Command.ID, Op: e.Command.Op, Target: e.Command.Target, Received: e.Command.Received}
		if s.Target.Kind == "" { // a damaged record
			s.Target.Kind = rack.TargetRack
		}
		now := d.present(e)
		s.State, s.Code = now.State, now.Code
		lines = append(lines, s)
	}
	return deed{outcome: rack.Outcome{Listed: lines}}
}

// cancel stops another command before its next step. It undoes nothing.
func (d *Desk) cancel(now time.Time, cmd *rack.Command) (deed, *rack.Refusal) {
	id := cmd.Args.ID
	e, known, _ := d.o.Book.Get(id)
	p := d.flight[id]
	if bad := d.mayCancel(cmd, e, p); bad != nil {
		return deed{}, bad
	}
	if s := d.seconds[id]; s != nil && !s.closing {
		return d.withdraw(now, cmd, s), nil
	}
	switch {
	case known && e.Outcome != nil:
		return deed{}, refuse(rack.CodePrecondition, "%s has ended: %s", id, e.Outcome.State)
	case known && !e.Command.Op.MovesPower(), p != nil && p.plan == nil:
		return deed{}, refuse(rack.CodePrecondition, "%s has no step that could be left out", id)
	case !known && p == nil:
		return deed{}, refuse(rack.CodeUnknownTarget, "no command %s is recorded here", id)
	}
	return deed{outcome: rack.Outcome{Text: id + " takes no further step"}, then: func() {
		if p := d.flight[id]; p != nil {
			p.cancel = true
			return
		}
		d.o.Runner.Cancel(id)
	}}, nil
}

// mayCancel holds a cancel to the targets of its issuer's role: who may not touch a node may not stop what touches it. An
// unsigned one may stop nothing that is about a firm node, or waits for a second person: a cycle that is stopped in its open
// half leaves a server without power.
func (d *Desk) mayCancel(cmd *rack.Command, e rack.Entry, p *pending) *rack.Refusal {
	other, waits := e.Command, d.seconds[cmd.Args.ID] != nil
	if p != nil {
		other, waits = p.cmd, waits || p.second != nil
	}
	switch {
	case other.Target.Kind == "":
		return nil
	case cmd.Signed:
		return d.ring.covers(d.o.Layout, cmd, other.Target)
	case waits || touchesFirm(d.o.Layout, other.Op, other.Target):
		return refuse(rack.CodeFirmGuard, "an unsigned command stops nothing on a firm node: %s is about %s", cmd.Args.ID, other.Target)
	}
	return nil
}

// acceptLoss ends observing, on the word of a person at the rack.
func (d *Desk) acceptLoss(now time.Time, cmd rack.Command) (deed, *rack.Refusal) {
	switch {
	case cmd.Origin != rack.OriginLocal:
		return deed{}, refuse(rack.CodeUnsupported, "%s is taken on the local socket only", cmd.Op)
	case !d.o.Observing():
		return deed{}, refuse(rack.CodePrecondition, "the journal is not lost")
	}
	observed := rack.Record{Kind: rack.RecordObserved, At: now, ID: cmd.ID, By: cmd.Issuer, Reason: cmd.Args.Reason}
	return deed{outcome: rack.Outcome{Text: "the loss of the journal is accepted"}, records: []rack.Record{observed}}, nil
}

// identifiable refuses what hangs on no board.
func (d *Desk) identifiable(t rack.Target) *rack.Refusal {
	known := false
	switch t.Kind {
	case rack.TargetNode:
		_, known = d.o.Layout.Node(t.Name)
	case rack.TargetOutlet:
		_, known = d.o.Layout.Outlet(t.Outlet)
	default:
		return refuse(rack.CodeUnsupported, "identify takes a node or an outlet")
	}
	if !known {
		return refuse(rack.CodeUnknownTarget, "%s is not configured", t)
	}
	return nil
}

// identify asks the boards; what they say comes back through the inbox.
func (d *Desk) identify(cmd rack.Command) {
	d.o.Identifier.Identify(cmd.Target, func(boards map[string]rack.Identity, bad *rack.Refusal) {
		d.in.bring(func(c *contents) { c.found = append(c.found, finding{cmd.ID, boards, bad}) })
	})
}

// found ends an identify.
func (d *Desk) found(now time.Time, f finding) {
	u := d.open[f.id]
	if u == nil || u.ending != nil {
		return // too late
	}
	o := rack.Outcome{Command: f.id, State: rack.StateSucceeded, N: 2, At: now, Ident: f.boards}
	if f.bad != nil {
		o.State, o.Code, o.Text = rack.StateFailed, f.bad.Code, f.bad.Text
	}
	d.close(u, o)
}
