package command

import (
	"maps"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// heartbeat is how often an unfinished command is told even if nothing changed. The contract says 10 s; the
// difference is for a slow link.
const heartbeat = 8 * time.Second

// unfinished is an accepted command.
type unfinished struct {
	cmd   rack.Command // zero for one that the agent began itself
	last  rack.Outcome // its targets are all that were told so far
	spoke time.Time
	since time.Time
	// ending is the result of one of the desk's own verbs while it is not on disk; asked tells that the journal has it.
	ending *rack.Outcome
	asked  bool
}

// adopt takes what an earlier life left.
func (d *Desk) adopt(now time.Time) {
	for _, o := range d.o.Unacked {
		d.deliver(o)
	}
	for _, e := range d.o.Unfinished {
		if e.Command.Op.MovesPower() {
			continue
		}
		u := &unfinished{cmd: e.Command, last: d.present(e), spoke: now, since: now}
		d.open[e.Command.ID] = u
		d.close(u, rack.Outcome{
			Command: e.Command.ID, State: rack.StateUnknown, N: rack.RecoveredN, At: now, Text: "interrupted by a restart",
		})
	}
	d.adoptWaiting(now)
	d.o.Unacked, d.o.Unfinished = nil, nil // the journal has them
}

// report takes a word on a command from the one who carries it out.
func (d *Desk) report(now time.Time, o rack.Outcome) {
	u := d.open[o.Command]
	if u == nil && d.told(o) {
		return
	}
	if o.State.Terminal() {
		delete(d.open, o.Command)
		d.deliver(o)
		return
	}
	if u == nil {
		u = &unfinished{since: now}
		d.open[o.Command] = u
	}
	u.last, u.spoke = follow(u.last, o), now
	d.o.Publisher.Publish(o, false, nil)
}

// told tells whether the terminal result of a command that is not open is out already, so that nothing may follow.
func (d *Desk) told(o rack.Outcome) bool {
	if _, ok := d.results[o.Command]; ok {
		return true
	}
	e, known, _ := d.o.Book.Get(o.Command)
	if o.State.Terminal() {
		return known && e.Acked
	}
	return known && e.Outcome != nil
}

// deliver publishes a terminal result, which is on disk, and follows it until the broker has it.
func (d *Desk) deliver(o rack.Outcome) {
	d.results[o.Command] = d.o.Publisher.Publish(o, false, d.deliveredFunc(o.Command))
}

// redeliver publishes a terminal result again, as it is on disk.
func (d *Desk) redeliver(id string) {
	e, known, err := d.o.Book.Get(id)
	switch {
	case known && e.Outcome != nil:
		d.deliver(*e.Outcome)
	case !known && err == nil: // the journal was lost or set aside, and nobody can tell any more
		delete(d.results, id)
	default: // it cannot be read now; beat tries again
		d.results[id] = false
	}
}

func (d *Desk) deliveredFunc(id string) func() {
	return func() { d.in.bring(func(c *contents) { c.delivered = append(c.delivered, id) }) }
}

// delivered notes that the broker has a terminal result. If that cannot be recorded the result is published once
// more after the next start.
func (d *Desk) delivered(now time.Time, id string) {
	delete(d.results, id)
	d.o.Book.Submit([]rack.Record{{Kind: rack.RecordAcked, At: now, ID: id}}, func(error) {})
}

// resend publishes all terminal results anew.
func (d *Desk) resend() {
	for _, id := range slices.Sorted(maps.Keys(d.results)) {
		d.redeliver(id)
	}
}

// close has the end of an own verb recorded.
func (d *Desk) close(u *unfinished, o rack.Outcome) {
	u.ending, u.asked = &o, true
	d.submit(&pending{cmd: u.cmd, outcome: &o, ends: true}, ended(o))
}

// closed tells the end of an own verb that is on disk; beat tries again with one that is not.
func (d *Desk) closed(now time.Time, p *pending, err error) {
	u := d.open[p.outcome.Command]
	if u == nil || u.ending == nil {
		return // told before
	}
	if err == nil {
		d.report(now, *u.ending)
		return
	}
	u.asked = false
	// A write that was reported as failed may be on disk all the same; what is there is the result.
	if e, known, _ := d.o.Book.Get(u.cmd.ID); known && e.Outcome != nil {
		d.report(now, *e.Outcome)
	}
}

// beat does what time asks for and tells when it will ask again.
func (d *Desk) beat(now time.Time) time.Duration {
	next := d.lapse(now) // an hour if nothing waits: whatever comes wakes the desk
	for _, id := range slices.Sorted(maps.Keys(d.open)) {
		u := d.open[id]
		if wait := u.spoke.Add(heartbeat).Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		next = min(next, heartbeat)
		d.remind(now, u)
	}
	return min(next, d.again(now))
}

// again offers the results that found no room with the publisher, and tells of refused messages that were only
// counted. It says when to come again.
func (d *Desk) again(now time.Time) time.Duration {
	var waiting []string
	for id, held := range d.results {
		if !held {
			waiting = append(waiting, id)
		}
	}
	if len(waiting) == 0 && d.untold == 0 {
		d.retryAt = time.Time{}
		return time.Hour
	}
	if d.retryAt.IsZero() {
		d.retryAt = now.Add(heartbeat)
	}
	if wait := d.retryAt.Sub(now); wait > 0 {
		return wait
	}
	d.retryAt = now.Add(heartbeat)
	slices.Sort(waiting)
	for _, id := range waiting {
		d.redeliver(id)
	}
	if d.untold > 0 {
		d.tell(now, 0, rack.CodeRateLimited, "messages were refused faster than events can tell")
	}
	return heartbeat
}

// remind repeats the state of an unfinished command, with the n it has: no target changed.
func (d *Desk) remind(now time.Time, u *unfinished) {
	u.spoke = now
	o := u.last
	o.At, o.Targets = now, nil
	d.o.Publisher.Publish(o, false, nil)
	switch {
	case u.ending != nil && !u.asked:
		d.close(u, *u.ending)
	case u.ending == nil && u.cmd.Op == rack.OpIdentify && now.Sub(u.since) >= identifyLimit:
		d.close(u, rack.Outcome{
			Command: u.cmd.ID, State: rack.StateFailed, N: 2, At: now, Code: rack.CodeDeviceTimeout,
			Text: "the boards did not answer within " + identifyLimit.String(),
		})
	}
}
