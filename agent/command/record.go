package command

import (
	"time"

	"rackagent/agent/rack"
)

// pending is a command on its way into the journal.
type pending struct {
	cmd      rack.Command
	plan     *rack.Plan    // to be carried out
	outcome  *rack.Outcome // what it ends with at once; nil: accepted
	then     func()        // what follows once outcome is on disk; nil: nothing
	order    func(func())  // the order that must be in force before outcome is told; nil: none, or it is handed on
	acks     []func()      // of the message and of its repeats
	repeated bool          // the same message came again meanwhile
	cancel   bool          // cmd.cancel came meanwhile
	ends     bool          // the end of a command recorded before
	second   *second       // it waits for a second person
	failed   func()        // what follows if the journal refuses; nil: nothing
}

// submit hands records to the journal; what follows is done when it answers. A question has no records: it is
// answered at once.
func (d *Desk) submit(p *pending, recs ...rack.Record) {
	if question(p.cmd) {
		d.finish(p)
		return
	}
	if !p.ends {
		d.flight[p.cmd.ID] = p
	}
	d.o.Book.Submit(recs, func(err error) {
		d.in.bring(func(c *contents) { c.recorded = append(c.recorded, answer{p, err}) })
	})
}

func accepted(now time.Time, cmd rack.Command, plan *rack.Plan) rack.Record {
	return rack.Record{
		Kind: rack.RecordAccepted, At: now, ID: cmd.ID, Command: &cmd, Plan: plan,
		// A cancel takes steps away, and so does a lock. All three may use the last of a full disk.
		Lowers: cmd.Op.OnlyLowers() || cmd.Op == rack.OpCancel || cmd.Op == rack.OpLock,
	}
}

func ended(o rack.Outcome) rack.Record {
	return rack.Record{Kind: rack.RecordEnded, At: o.At, ID: o.Command, Outcome: &o}
}

// reject has a refusal recorded as the outcome of the command, unless it is one that leaves the id free.
func (d *Desk) reject(now time.Time, cmd rack.Command, ack func(), bad *rack.Refusal) {
	if outcomeless(bad.Code) {
		d.turnAway(now, cmd, ack, bad)
		return
	}
	cmd.Uncounted = cmd.Key != "" && !d.seqs.took(&cmd)
	o := rack.Outcome{
		Command: cmd.ID, State: rack.StateRejected, N: 1, Code: bad.Code, Text: bad.Text, At: now, Earliest: bad.Earliest,
	}
	d.submit(&pending{cmd: cmd, outcome: &o, acks: hold(ack)}, rejected(now, &cmd, &o))
}

func rejected(now time.Time, cmd *rack.Command, o *rack.Outcome) rack.Record {
	return rack.Record{Kind: rack.RecordRejected, At: now, ID: cmd.ID, Command: cmd, Outcome: o}
}

// deed is what one of the desk's own verbs comes to.
type deed struct {
	outcome rack.Outcome  // its content
	records []rack.Record // beside those of the command
	then    func()        // once all is on disk
	failed  func()        // if it is not
	lowers  bool          // what follows can only lower power: it may use the last of a full disk
	order   func(func())  // hands on the order among records; its argument is to be called when the order is in force
}

// conclude accepts and ends a command in one.
func (d *Desk) conclude(now time.Time, cmd rack.Command, ack func(), did deed) {
	o := did.outcome
	o.Command, o.State, o.N, o.At = cmd.ID, rack.StateSucceeded, 1, now
	first := accepted(now, cmd, o.Plan)
	first.Lowers = first.Lowers || did.lowers
	recs := append([]rack.Record{first}, did.records...)
	d.submit(&pending{cmd: cmd, outcome: &o, then: did.then, failed: did.failed, order: did.order, acks: hold(ack)}, append(recs, ended(kept(o)))...)
}

// listGone stands in the record in place of a list.
const listGone = "the list is not kept; ask again under a new id"

// kept is what the journal keeps of an outcome: all but a list, which is made of other records and can be asked for anew.
func kept(o rack.Outcome) rack.Outcome {
	if o.Listed != nil {
		o.Listed, o.Text = nil, listGone
	}
	return o
}

// recorded takes the journal's answer.
func (d *Desk) recorded(now time.Time, a answer) {
	p := a.to
	if p.ends && p.then == nil {
		d.closed(now, p, a.err)
		return
	}
	if !p.ends {
		if d.flight[p.cmd.ID] != p {
			return // answered before
		}
		delete(d.flight, p.cmd.ID)
		if a.err == nil {
			d.seqs.keep(&p.cmd)
		}
	}
	if a.err != nil && p.failed != nil {
		p.failed()
	}
	switch {
	case a.err != nil && p.ends: // failed has seen to it
	case p.ends:
		p.then()
	case a.err != nil:
		d.unrecorded(now, p, a.err)
	case p.second != nil:
		d.waits(p)
	case p.order != nil:
		d.keep(p)
	case p.outcome != nil:
		d.finish(p)
	default:
		d.begin(now, p)
	}
}

// unrecorded turns a command away that the journal did not take. Whatever it was to be, it has not happened.
func (d *Desk) unrecorded(now time.Time, p *pending, err error) {
	code := d.o.RefusalOf(err)
	if code == rack.CodeNone {
		code = rack.CodeJournalFull
	}
	text := "the journal did not take the command: " + err.Error()
	if o := p.outcome; o != nil && o.State == rack.StateRejected {
		text = "the journal did not take the rejection: " + string(o.Code) + ": " + o.Text
	}
	d.turnAway(now, p.cmd, p.release, refuse(code, "%s", text))
}

// finish tells an outcome that is on disk, or that of a question.
func (d *Desk) finish(p *pending) {
	if question(p.cmd) {
		d.say(p.cmd, *p.outcome)
	} else {
		d.deliver(*p.outcome)
	}
	if p.repeated {
		d.o.Publisher.Publish(*p.outcome, true, nil)
	}
	p.release()
	if p.then != nil {
		p.then()
	}
}

// begin tells that a command is accepted and hands it on. The order matters, see the package comment.
func (d *Desk) begin(now time.Time, p *pending) {
	o := rack.Outcome{Command: p.cmd.ID, State: rack.StateAccepted, N: p.cmd.AcceptedN(), At: now}
	d.open[p.cmd.ID] = &unfinished{cmd: p.cmd, last: o, spoke: now, since: now}
	d.announce(p, o)
	if p.plan == nil {
		d.identify(p.cmd)
		return
	}
	d.o.Runner.Start(p.cmd, *p.plan)
	if p.cancel {
		d.o.Runner.Cancel(p.cmd.ID)
	}
}

// announce publishes the first state of a command, again for one that repeated it, and has it acknowledged.
func (d *Desk) announce(p *pending, o rack.Outcome) {
	d.o.Publisher.Publish(o, false, nil)
	if p.repeated {
		d.o.Publisher.Publish(o, true, nil)
	}
	p.release()
}

func (p *pending) release() {
	for _, ack := range p.acks {
		ack()
	}
	p.acks = nil
}
