package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rackagent/agent/audit"
	"rackagent/agent/journal"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// AuditDir is the directory of the audit log below the state directory.
const AuditDir = "audit"

// trail is what the agent enters into the audit log, and where it gets it: from the records of the journal once they are
// on disk, from what the desk turns away without one, and from events.
type trail struct {
	*audit.Log

	mu   sync.Mutex
	open map[string]rack.Command // accepted or waiting, by id: ends carry nothing but the id
}

// openAudit prepares the log. Nothing of it is read before Run.
func (a *Agent) openAudit(found journal.Found) error {
	disk := a.world.Audit
	if disk == nil {
		disk = audit.Dir(filepath.Join(a.conf.StateDir, AuditDir))
	}
	l, err := audit.New(audit.Opts{
		Disk: disk, Boot: a.boot, Synced: func() bool { return a.world.Clock().OK }, History: !found.First, Recent: recent(a.journal.List(lookBack)),
		Published: a.anchored, Event: a.out.event, Alarm: a.out.alarm, Log: a.log,
	})
	if err != nil {
		return err
	}
	t := &trail{Log: l, open: make(map[string]rack.Command)}
	for _, e := range slices.Concat(found.Unfinished, found.Waiting) {
		t.open[e.Command.ID] = e.Command
	}
	conf := sha256.Sum256(a.conf.Dump())
	t.Enter(audit.Entry{Kind: audit.KindStart, At: a.born, Software: a.build.Version, Config: hex.EncodeToString(conf[:])})
	a.trail.Store(t)
	return nil
}

// anchored publishes an anchor for those who keep events; up/state has one with every heartbeat.
func (a *Agent) anchored(n audit.Anchor) {
	a.out.event(rack.Event{
		Kind: rack.EventAuditAnchor, Severity: rack.Info, At: time.Now(), Reason: n.String(),
		Text: "audit log: who keeps this number and hash can prove the log up to it",
	})
}

// anchor is the newest line on disk, for up/state; nil: there is none yet.
func (a *Agent) anchor() *wire.Anchor {
	t := a.trail.Load()
	if t == nil {
		return nil
	}
	n, ok := t.Head()
	if !ok {
		return nil
	}
	return &wire.Anchor{Seq: n.Seq, Hash: n.Hash}
}

// happened tells the audit log, then whoever listens.
func (a *Agent) happened(h Happening) {
	if t := a.trail.Load(); t != nil && h.Event != nil {
		t.event(*h.Event)
	}
	if a.world.Heard != nil {
		a.world.Heard(h)
	}
}

// event enters what is no matter of devices, buses, numbers or connections alone.
func (t *trail) event(e rack.Event) {
	entry := audit.Entry{
		Kind: audit.KindEvent, At: e.At, What: string(e.Kind), Target: e.Device, Command: e.Command, From: e.From, To: e.To, Why: e.Reason, Text: e.Text,
	}
	if !e.Outlet.IsZero() {
		entry.Target = rack.OutletTarget(e.Outlet).String()
	}
	switch e.Kind {
	case rack.EventHealth, rack.EventBusHung, rack.EventBusBack, rack.EventBusBad, rack.EventBusRecovery, rack.EventSlowTurn, rack.EventLink,
		rack.EventTelemetryLost, rack.EventOverLimit, rack.EventAudit, rack.EventAuditAnchor, rack.EventStarted:
		return // of a start, the log has said so
	case rack.EventStopping:
		entry = audit.Entry{Kind: audit.KindStop, At: e.At}
	case rack.EventRelayMoved, rack.EventFirmGuard, rack.EventWelded, rack.EventWiring, rack.EventJournal, rack.EventRecovered,
		rack.EventApproved, rack.EventBreakGlass:
	default: // nothing that a command did bounds how often these come
		entry.Loose = true
	}
	t.Enter(entry)
}

// book is the journal, with the audit log told of every record that is on disk.
type book struct {
	*journal.Journal
	t *trail
}

// Submit writes records and enters them.
func (b book) Submit(recs []rack.Record, done func(error)) {
	b.Journal.Submit(recs, func(err error) {
		if err == nil {
			for _, r := range recs {
				b.t.record(r)
			}
		}
		done(err)
	})
}

func (t *trail) record(r rack.Record) {
	switch r.Kind {
	case rack.RecordProgress, rack.RecordAcked:
		return
	}
	entry := audit.Entry{Kind: audit.KindRecord, What: string(r.Kind)}
	if c := t.about(r); c != nil {
		entry = ofCommand(*c)
		entry.State = rack.State(r.Kind)
	}
	entry.At, entry.Command = r.At, r.ID
	if o := r.Outcome; o != nil {
		entry.State, entry.Code, entry.Text = o.State, o.Code, o.Text
		// Who may do nothing may be refused as often as he likes: that must not push out what was done.
		entry.Loose = entry.Loose || o.State == rack.StateRejected && o.N <= 1
	}
	switch {
	case r.Order != nil:
		entry.Text = string(r.Order.Kind) + " " + r.Order.Target.String()
	case !r.Outlet.IsZero():
		entry.Target, entry.Text = rack.OutletTarget(r.Outlet).String(), string(r.Wiring)
	}
	if r.Reason != "" {
		entry.Why = r.Reason
	}
	if r.By != "" {
		entry.Issuer = r.By
	}
	t.Enter(entry)
}

// about is the command that a record is a state of; nil: it is none. Commands are kept until their end.
func (t *trail) about(r rack.Record) *rack.Command {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, known := t.open[r.ID], r.Command != nil
	if known {
		c = *r.Command
	}
	switch {
	case r.Outcome != nil:
		delete(t.open, r.ID)
	case known:
		t.open[r.ID] = c
	default:
		return nil
	}
	return &c
}

// refused enters what the desk turned away without a record. The id stays free.
func (t *trail) refused(c rack.Command, o rack.Outcome) {
	entry := ofCommand(c)
	entry.At, entry.State, entry.Code, entry.Text, entry.Loose = o.At, o.State, o.Code, o.Text, true
	t.Enter(entry)
}

// ofCommand is what a command itself tells. Its payload is entered as a hash.
func ofCommand(c rack.Command) audit.Entry {
	e := audit.Entry{
		Kind: audit.KindCommand, Command: c.ID, Origin: c.Origin, Issuer: c.Issuer, Op: c.Op, Payload: c.Hash, Dry: c.Dry, Why: c.Why,
		Key: c.Key, Role: c.Role, Unsigned: !c.Signed && c.Origin == rack.OriginMQTT, BreakGlass: c.BreakGlass, About: c.Args.ID,
		Loose: c.Op == rack.OpGet || c.Op == rack.OpList,
	}
	if c.Approval != nil {
		e.Approver = c.Approval.By
	}
	if c.Target.Kind != "" {
		e.Target = c.Target.String()
	}
	return e
}

// recent gives the states of the newest commands as the journal has them, the oldest first.
func recent(entries []rack.Entry) []audit.Entry {
	var out []audit.Entry
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		first := ofCommand(e.Command)
		first.At, first.State = e.Command.Received, rack.StateAccepted
		unheard := !e.Until.IsZero() && e.Command.Approval == nil // nobody approved it
		o := e.Outcome
		switch {
		case unheard:
			first.State = rack.StateWaiting
			out = append(out, first)
		case o == nil || o.State != rack.StateRejected:
			out = append(out, first)
		}
		if o != nil {
			first.At, first.State, first.Code, first.Text = o.At, o.State, o.Code, o.Text
			out = append(out, first)
		}
	}
	return out
}
