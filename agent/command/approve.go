package command

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"rackagent/agent/rack"
)

const (
	// approvalLimit is how long a command waits for its second person (contract, verb approve).
	approvalLimit = 5 * time.Minute
	// maxSecond bounds the commands that wait for one. Arbitrary: each is on a person's mind.
	maxSecond = 32
	maxOfOne  = 8 // of one issuer, so that one does not keep all others waiting
)

// second is a command that waits for a second person. It holds nothing: no node, no reservation.
type second struct {
	cmd     rack.Command
	until   time.Time
	word    rack.Outcome // what was told last
	n       int          // of its next state
	closing bool         // what becomes of it is with the journal
	again   time.Time    // the journal refused; not tried before
}

// needsSecond tells whether a command waits for a second person: force may open what feeds a firm node, and never by
// one person's word. Unsigned ones do not wait, as nobody is known to approve them against; the power logic refuses them.
func (d *Desk) needsSecond(cmd *rack.Command) bool {
	return cmd.Signed && !cmd.Dry && cmd.Args.Force && firm(d.o.Layout, cmd.Target)
}

// wait has a command recorded that waits. What would be refused anyway is refused at once: nobody is asked for nothing.
func (d *Desk) wait(now time.Time, cmd rack.Command, ack func()) {
	if bad := d.manyWait(cmd.Issuer); bad != nil {
		d.turnAway(now, cmd, ack, bad)
		return
	}
	tried := cmd
	tried.Dry = true
	if _, bad := d.o.Planner.Plan(now, tried); bad != nil {
		d.reject(now, cmd, ack, bad)
		return
	}
	until := now.Add(approvalLimit)
	if cmd.StartBy.Before(until) {
		until = cmd.StartBy
	}
	s := &second{cmd: cmd, until: until, word: d.waitingWord(now, &cmd, until), n: 2}
	d.submit(&pending{cmd: cmd, second: s, acks: hold(ack)},
		rack.Record{Kind: rack.RecordWaiting, At: now, ID: cmd.ID, Command: &cmd, Until: until, Lowers: cmd.Op.OnlyLowers()})
}

func (d *Desk) manyWait(issuer string) *rack.Refusal {
	own := 0
	for _, s := range d.seconds {
		if s.cmd.Issuer == issuer {
			own++
		}
	}
	switch {
	case len(d.seconds) >= maxSecond:
		return refuse(rack.CodeBusy, "%d commands wait for a second person", len(d.seconds))
	case own >= maxOfOne:
		return refuse(rack.CodeBusy, "%d commands of %s wait for a second person", own, issuer)
	}
	return nil
}

func (d *Desk) waitingWord(at time.Time, cmd *rack.Command, until time.Time) rack.Outcome {
	o := rack.Outcome{
		Command: cmd.ID, State: rack.StateWaiting, N: 1, Code: rack.CodeApprovalRequired, At: at, Until: until, Sha256: cmd.Hash.String(),
		Text: fmt.Sprintf("%s %s%s of %s waits for the approval of another person", cmd.Op, cmd.Target, cmd.Args.Words(), cmd.Issuer),
	}
	if cmd.Why != "" {
		o.Text += fmt.Sprintf("; the reason given is %q", cmd.Why)
	}
	return o
}

// waits tells that a command waits: its record is on disk.
func (d *Desk) waits(p *pending) {
	d.seconds[p.cmd.ID] = p.second
	d.announce(p, p.second.word)
}

// approve judges a second person's word, and plans anew what it is about: the rack has moved on since it was asked for.
// The approval, its result and what becomes of the command are one commit; a crash leaves all of it or none.
func (d *Desk) approve(now time.Time, cmd rack.Command) (deed, *rack.Refusal) {
	s, bad := d.approvable(now, &cmd)
	if bad != nil || cmd.Dry {
		return deed{}, bad
	}
	approved := s.cmd
	approved.Approval = &rack.Approval{By: cmd.Issuer, Key: cmd.Key, Command: cmd.ID, Sha256: s.cmd.Hash, At: now}
	plan, refused := d.o.Planner.Plan(now, approved)
	if refused != nil && outcomeless(refused.Code) {
		return deed{}, refused
	}
	s.closing = true
	did := deed{lowers: approved.Op.OnlyLowers(), failed: func() { s.closing = false }}
	if refused != nil {
		o := rack.Outcome{Command: approved.ID, State: rack.StateRejected, N: s.n, Code: refused.Code, Text: refused.Text, At: now, Earliest: refused.Earliest}
		did.outcome.Text = approved.ID + " is approved, and rejected all the same: " + refused.Text
		did.records = []rack.Record{rejected(now, &approved, &o)}
		did.then = func() { d.settled(s, o) }
		return did, nil
	}
	did.outcome.Text = fmt.Sprintf("%s %s of %s is approved", approved.Op, approved.Target, approved.Issuer)
	did.records = []rack.Record{accepted(now, approved, &plan)}
	did.then = func() {
		delete(d.seconds, approved.ID)
		d.event(now, rack.Event{
			Kind: rack.EventApproved, Severity: rack.Warn, Command: approved.ID, Reason: cmd.Issuer,
			Text: fmt.Sprintf("%s of %s by %s is approved by %s", approved.Op, approved.Target, approved.Issuer, cmd.Issuer),
		}, 1)
		d.begin(now, &pending{cmd: approved, plan: &plan})
	}
	return did, nil
}

// approvable finds the command that an approval is about, or says why it is none.
func (d *Desk) approvable(now time.Time, cmd *rack.Command) (*second, *rack.Refusal) {
	id := cmd.Args.ID
	s := d.seconds[id]
	if s == nil {
		return nil, d.noSecond(id)
	}
	switch {
	case !cmd.Signed:
		return nil, refuse(rack.CodeApprovalRequired, "an approval without a signature is nobody's")
	case cmd.Issuer == s.cmd.Issuer:
		return nil, refuse(rack.CodeApprovalRequired, "%s is of %s: nobody approves a command of their own", id, cmd.Issuer)
	case cmd.Args.Sha256 != s.cmd.Hash.String():
		return nil, refuse(rack.CodePrecondition, "%s has another content than the one that is approved", id)
	case !s.until.After(now):
		return nil, refuse(rack.CodePrecondition, "%s has lapsed", id)
	case s.closing:
		return nil, refuse(rack.CodePrecondition, "what becomes of %s is being recorded", id)
	case d.o.Observing():
		return nil, observing()
	}
	return s, d.ring.covers(d.o.Layout, cmd, s.cmd.Target)
}

// noSecond says why a command does not wait.
func (d *Desk) noSecond(id string) *rack.Refusal {
	e, known, _ := d.o.Book.Get(id)
	switch {
	case known:
		return refuse(rack.CodePrecondition, "%s does not wait for an approval: it is %s", id, d.present(e).State)
	case d.flight[id] != nil:
		return refuse(rack.CodeBusy, "%s is being recorded", id)
	default:
		return refuse(rack.CodeUnknownTarget, "no command %s is recorded here", id)
	}
}

// settled tells what has become of a command that waited, once it is on disk.
func (d *Desk) settled(s *second, o rack.Outcome) {
	delete(d.seconds, s.cmd.ID)
	d.deliver(o)
}

// withdraw ends a command that waits, by somebody's word.
func (d *Desk) withdraw(now time.Time, cmd *rack.Command, s *second) deed {
	if cmd.Dry {
		return deed{}
	}
	o := rack.Outcome{Command: s.cmd.ID, State: rack.StateRejected, N: s.n, Code: rack.CodeCancelled, Text: "cancelled while it waited for an approval", At: now}
	s.closing = true
	return deed{
		outcome: rack.Outcome{Text: s.cmd.ID + " waits no longer"}, records: []rack.Record{rejected(now, &s.cmd, &o)},
		then: func() { d.settled(s, o) }, failed: func() { s.closing = false },
	}
}

// lapse ends what nobody has approved in time, and tells when the next one would lapse.
func (d *Desk) lapse(now time.Time) time.Duration {
	next := time.Hour
	for _, id := range slices.Sorted(maps.Keys(d.seconds)) {
		s := d.seconds[id]
		due := s.until
		if s.again.After(due) {
			due = s.again
		}
		switch wait := due.Sub(now); {
		case s.closing:
		case wait > 0:
			next = min(next, wait)
		default:
			d.lapsed(now, s)
		}
	}
	return next
}

func (d *Desk) lapsed(now time.Time, s *second) {
	text := "nobody approved it in time"
	if s.n == rack.RecoveredN {
		text = "the agent was started anew while it waited for an approval"
	}
	o := rack.Outcome{Command: s.cmd.ID, State: rack.StateExpired, N: s.n, Code: rack.CodeExpired, Text: text, At: now}
	s.closing = true
	d.submit(&pending{
		cmd: s.cmd, outcome: &o, ends: true, then: func() { d.settled(s, o) },
		failed: func() { s.closing, s.again = false, now.Add(heartbeat) },
	}, rejected(now, &s.cmd, &o))
}

// adoptWaiting ends what an earlier life left waiting. How long it has waited nobody measured, and a start must not
// bring about anything: who still wants it sends it again.
func (d *Desk) adoptWaiting(now time.Time) {
	for _, e := range d.o.Waiting {
		s := &second{cmd: e.Command, until: now, word: d.waitingWord(e.Command.Received, &e.Command, e.Until), n: rack.RecoveredN}
		d.seconds[e.Command.ID] = s
	}
	d.o.Waiting = nil
}
