package agent

import (
	"path/filepath"
	"time"

	"rackagent/agent/backlog"
	"rackagent/agent/journal"
	"rackagent/agent/link"
	"rackagent/agent/rack"
	"rackagent/agent/telemetry"
	"rackagent/agent/wire"
)

// newBacklog prepares what bridges an outage, unless the configuration has none or there is no broker.
func (a *Agent) newBacklog(epoch string) error {
	if a.conf.Backlog.BudgetMiB == 0 || a.world.Dial == nil {
		return nil
	}
	var disk backlog.Disk = backlog.Dir(filepath.Join(a.conf.StateDir, "backlog"))
	if a.world.BacklogDisk != nil {
		disk = a.world.BacklogDisk(disk)
	}
	var err error
	a.backlog, err = backlog.New(backlog.Opts{
		Disk: disk, Budget: int64(a.conf.Backlog.BudgetMiB) << 20, Epoch: epoch, Wait: a.world.BackfillWait,
		Send: func(b backlog.Batch, delivered func()) error {
			return a.link.Send(link.Message{Topic: "backfill", Payload: b.Payload, Class: link.ClassBackfill, Delivered: delivered})
		},
		Tell: func(g rack.Gap, delivered func()) error {
			return a.link.Send(link.Message{Topic: "gap", Payload: wire.EncodeGap(g), Class: link.ClassBackfill, Delivered: delivered})
		},
		Held: func(seq int64) bool { return a.tele.Holds(seq) },
		Up:   a.linkUp, Busy: a.out.commandRuns,
		Event: a.out.event, OnState: a.backlogChanged,
	})
	return err
}

// linkUp tells since when there is a connection.
func (a *Agent) linkUp() (since time.Time, up bool) {
	s := a.link.Stats()
	return s.Up, s.State == link.StateUp
}

// store gives batches to the backlog.
func (a *Agent) store(batches []telemetry.Batch, done func(error)) {
	out := make([]backlog.Batch, len(batches))
	for i, b := range batches {
		out[i] = backlog.Batch(b)
	}
	a.backlog.Put(out, done)
}

// backlogChanged keeps the alarm of a backlog that cannot store.
func (a *Agent) backlogChanged(s backlog.State) {
	a.out.alarm(rack.Alarm{Key: "backlog", Since: time.Now(), Severity: rack.Error, Cleared: s.OK, Text: "telemetry cannot be stored; an outage is bridged from memory only: " + s.Reason})
}

// yieldEvery is how long the journal's disk may stay full before the backlog yields once more: the journal looks for room
// once a minute.
const yieldEvery = time.Minute

// makeRoom has the backlog give way while the journal's disk is full: commands come before telemetry.
func (a *Agent) makeRoom() {
	if a.backlog == nil || a.journal == nil || a.journal.State().Disk != journal.DiskFull {
		return
	}
	a.backlog.Yield()
	time.AfterFunc(yieldEvery, a.makeRoom)
}

// BacklogStatus is what is stored of an outage and has not arrived.
type BacklogStatus struct {
	State  string `json:"state"` // off, ok, full, failed
	Why    string `json:"why,omitempty"`
	Bytes  int64  `json:"bytes"`
	Blocks int    `json:"blocks"`
	AgeS   *int   `json:"age_s,omitempty"` // of the oldest; absent: nothing is stored
}

func (a *Agent) backlogStatus() BacklogStatus {
	if a.backlog == nil {
		return BacklogStatus{State: "off"}
	}
	s := a.backlog.Stats()
	out := BacklogStatus{State: "ok", Why: s.State.Reason, Bytes: s.Bytes, Blocks: s.Blocks, AgeS: secondsSince(s.Oldest)}
	switch {
	case s.State.Full:
		out.State = "full"
	case !s.State.OK:
		out.State = "failed"
	}
	return out
}

func (n *numbers) backlog(g gauge) {
	if n.a.backlog == nil {
		return
	}
	s := n.a.backlog.Stats()
	g(boolean(s.State.OK), "rackagent_backlog_ok")
	g(float64(s.Bytes), "rackagent_backlog_bytes")
	g(float64(s.Blocks), "rackagent_backlog_blocks")
	age := 0.0
	if !s.Oldest.IsZero() {
		age = time.Since(s.Oldest).Seconds()
	}
	g(age, "rackagent_backlog_age_seconds")
	g(float64(s.Stored), "rackagent_backlog_stored_total")
	g(float64(s.Sent), "rackagent_backlog_sent_total")
	g(float64(s.Written), "rackagent_backlog_written_bytes_total")
	g(float64(s.Syncs), "rackagent_backlog_flushes_total")
	g(float64(s.Thinned), `rackagent_backlog_lost_total{why="thinned"}`)
	g(float64(s.Dropped), `rackagent_backlog_lost_total{why="dropped"}`)
}
