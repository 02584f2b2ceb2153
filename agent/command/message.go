package command

import (
	"fmt"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// message takes one message through the checks.
func (d *Desk) message(now time.Time, in Inbound) {
	cmd, bad := d.read(now, in)
	switch {
	case bad != nil && !bad.Answerable:
		d.tell(now, 1, bad.Code, bad.Text)
		release(in.Ack)
	case !d.gates.of(cmd).take(now, cmd):
		d.tooFast(now, cmd, in.Ack)
	case d.repeat(now, cmd, in.Ack):
	case strings.HasPrefix(cmd.ID, rack.OwnID):
		d.turnAway(now, cmd, in.Ack, refuse(rack.CodeIDConflict, "ids that begin with %s are for what the agent does by itself", rack.OwnID))
	case len(d.flight) >= maxFlight && !question(cmd):
		d.turnAway(now, cmd, in.Ack, refuse(rack.CodeBusy, "%d commands are being recorded", len(d.flight)))
	case bad != nil:
		d.deny(now, cmd, in.Ack, refuse(bad.Code, "%s", bad.Text))
	default:
		d.admit(now, cmd, in.Ack)
	}
}

// deny answers a command that cannot be read, or that its sender has no right to. It leaves no record: else whoever may do
// nothing could fill the disk.
func (d *Desk) deny(now time.Time, cmd rack.Command, ack func(), bad *rack.Refusal) {
	d.say(cmd, turnedAway(now, cmd.ID, bad.Code, bad.Text))
	release(ack)
}

// tooFast turns a command away that came too soon after others. A flood is not answered by another one.
func (d *Desk) tooFast(now time.Time, cmd rack.Command, ack func()) {
	bad := refuse(rack.CodeRateLimited, "over %d commands per second", ratePerS)
	if cmd.Origin == rack.OriginMQTT && !d.answers.take(now) {
		d.tell(now, 1, bad.Code, bad.Text)
		d.forget(&cmd)
		release(ack)
		return
	}
	d.turnAway(now, cmd, ack, bad)
}

// admit judges a new, well formed command and has it recorded.
func (d *Desk) admit(now time.Time, cmd rack.Command, ack func()) {
	if bad := d.entitled(&cmd); bad != nil {
		d.deny(now, cmd, ack, bad)
		return
	}
	if bad := d.judge(now, &cmd); bad != nil {
		d.reject(now, cmd, ack, bad)
		return
	}
	if cmd.BreakGlass {
		d.emit(now, rack.Event{
			Kind: rack.EventBreakGlass, Severity: rack.Critical, Command: cmd.ID, Reason: cmd.Why,
			Text: fmt.Sprintf("%s broke the glass for %s %s", cmd.Issuer, cmd.Op, cmd.Target),
		})
	}
	if !cmd.Op.MovesPower() {
		d.own(now, cmd, ack)
		return
	}
	switch {
	case d.o.Observing():
		d.turnAway(now, cmd, ack, observing())
	case d.crowded(cmd.Op):
		d.turnAway(now, cmd, ack, refuse(rack.CodeBusy, "%d commands are unfinished", len(d.open)))
	case d.needsSecond(&cmd):
		d.wait(now, cmd, ack)
	default:
		d.plan(now, cmd, ack)
	}
}

func (d *Desk) crowded(op rack.Op) bool {
	n := len(d.open) + len(d.flight)
	if op.OnlyLowers() {
		return n >= maxLowers
	}
	return n >= maxOpen
}

// plan asks for a plan and has it recorded beside the command. A dry run ends with the plan.
func (d *Desk) plan(now time.Time, cmd rack.Command, ack func()) {
	plan, bad := d.o.Planner.Plan(now, cmd)
	switch {
	case bad != nil:
		d.reject(now, cmd, ack, bad)
	case cmd.Dry:
		d.conclude(now, cmd, ack, deed{outcome: rack.Outcome{Text: "planned, nothing done", Plan: &plan}})
	default:
		d.submit(&pending{cmd: cmd, plan: &plan, acks: hold(ack)}, accepted(now, cmd, &plan))
	}
}

// repeat answers a message whose id is known or on its way into the journal. It tells whether it did.
func (d *Desk) repeat(now time.Time, cmd rack.Command, ack func()) bool {
	if p, ok := d.flight[cmd.ID]; ok {
		if p.cmd.Hash != cmd.Hash {
			d.conflict(now, cmd, ack)
			return true
		}
		p.repeated = true
		p.acks = append(p.acks, hold(ack)...) // not before the record is on disk
		return true
	}
	e, known, err := d.o.Book.Get(cmd.ID)
	switch {
	case !known && err == nil:
		return false
	case !known:
		code := rack.CodeJournalFull
		if d.o.Observing() {
			code = rack.CodeObserving
		}
		d.turnAway(now, cmd, ack, refuse(code, "the journal cannot tell whether this id is a repeat: %v", err))
	case e.Command.Hash != cmd.Hash:
		d.conflict(now, cmd, ack)
	default:
		d.recall(e)
		release(ack)
	}
	return true
}

// recall publishes what is known about a command, marked as no news.
func (d *Desk) recall(e rack.Entry) {
	var delivered func()
	if e.Outcome != nil && !e.Acked {
		delivered = d.deliveredFunc(e.Command.ID)
	}
	d.o.Publisher.Publish(d.present(e), true, delivered)
}

// present is the last word on a command that is on disk.
func (d *Desk) present(e rack.Entry) rack.Outcome {
	if e.Outcome != nil && d.flight[e.Command.ID] == nil { // in flight: its order is on disk and not in force yet
		return *e.Outcome
	}
	if u, ok := d.open[e.Command.ID]; ok {
		return u.last
	}
	if s, ok := d.seconds[e.Command.ID]; ok {
		return s.word
	}
	if e.Waiting {
		return d.waitingWord(e.Command.Received, &e.Command, e.Until)
	}
	return rack.Outcome{Command: e.Command.ID, State: rack.StateAccepted, N: e.Command.AcceptedN(), At: e.Command.Received}
}

func (d *Desk) conflict(now time.Time, cmd rack.Command, ack func()) {
	d.event(now, rack.Event{
		Kind: rack.EventMessageDropped, Severity: rack.Warn, Command: cmd.ID, Reason: string(rack.CodeIDConflict),
		Text: "another command came under an id that is taken",
	}, 1)
	d.turnAway(now, cmd, ack, refuse(rack.CodeIDConflict, "this id belongs to another command, whose outcome stands"))
}

// outcomeless tells the rejections that are no outcome of the command: the id stays free.
func outcomeless(c rack.Code) bool {
	switch c {
	case rack.CodeBusy, rack.CodeRateLimited, rack.CodeObserving, rack.CodeIDConflict, rack.CodeJournalFull:
		return true
	default:
		return false
	}
}

// turnedAway is a rejection that is no outcome. Its n is 0, below that of any state that may follow.
func turnedAway(now time.Time, id string, code rack.Code, text string) rack.Outcome {
	return rack.Outcome{Command: id, State: rack.StateRejected, N: 0, Code: code, Text: text, At: now}
}

// turnAway answers without a record.
func (d *Desk) turnAway(now time.Time, cmd rack.Command, ack func(), bad *rack.Refusal) {
	o := turnedAway(now, cmd.ID, bad.Code, bad.Text)
	o.Earliest = bad.Earliest
	d.forget(&cmd)
	d.say(cmd, o)
	release(ack)
}

// forget leaves nothing of a command that gets no record: its number may come again.
func (d *Desk) forget(cmd *rack.Command) {
	if cmd.Key != "" {
		d.seqs.giveBack(cmd)
	}
}

// say tells a word on a command once, without following it: a question's to the one who asked. Any goroutine may call it.
func (d *Desk) say(cmd rack.Command, o rack.Outcome) {
	if d.o.Refused != nil && o.State == rack.StateRejected {
		d.o.Refused(cmd, o)
	}
	if question(cmd) {
		d.o.Publisher.Answer(o, false)
		return
	}
	d.o.Publisher.Publish(o, false, nil)
}

// question tells the commands that only read and whose answer only the one who asks is waiting for. They leave no
// record, see the package comment.
func question(cmd rack.Command) bool {
	return cmd.Origin == rack.OriginLocal && (cmd.Op == rack.OpGet || cmd.Op == rack.OpList)
}

// tell makes an event of messages that are not answered.
func (d *Desk) tell(now time.Time, n int, code rack.Code, text string) {
	d.event(now, rack.Event{Kind: rack.EventMessageDropped, Severity: rack.Warn, Reason: string(code), Text: text}, n)
}

// event passes one event about n messages on, unless there were too many of late: then it is counted into the next.
func (d *Desk) event(now time.Time, e rack.Event, n int) {
	d.untold += n - 1
	if !d.events.take(now) {
		d.untold++
		return
	}
	d.emit(now, e)
}

func (d *Desk) emit(now time.Time, e rack.Event) {
	e.At = now
	if d.untold > 0 {
		e.Text = fmt.Sprintf("%s (and %d more messages were refused)", e.Text, d.untold)
		d.untold = 0
	}
	d.o.Event(e)
}

func release(ack func()) {
	if ack != nil {
		ack()
	}
}

func hold(ack func()) []func() {
	if ack == nil {
		return nil
	}
	return []func(){ack}
}
