package journal

import (
	"errors"
	"fmt"

	"rackagent/agent/rack"
)

// standing is how far one command has come, as its keys tell it.
type standing struct {
	waiting, accepted, rejected, ended, acked bool
}

func (s standing) known() bool { return s.accepted || s.rejected }

// closed tells whether the command has its terminal result.
func (s standing) closed() bool { return s.rejected || s.ended }

// onlyRefused tells an entry that was never more than a refusal.
func (s standing) onlyRefused() bool { return s.rejected && !s.waiting }

// ErrKnown refuses to accept or reject an id twice.
var ErrKnown = errors.New("journal: command is known already")

// ErrNotAccepted refuses progress, an end or an acknowledgement for an id that was never accepted.
var ErrNotAccepted = errors.New("journal: command was never accepted")

// ErrSecondEnd refuses a second terminal result, and progress after the first.
var ErrSecondEnd = errors.New("journal: command has its terminal result already")

// ErrNotEnded refuses the acknowledgement of a terminal result that is not there.
var ErrNotEnded = errors.New("journal: command has no terminal result yet")

// ErrOtherCommand refuses to accept or reject, under the id of a command that waits, another one.
var ErrOtherCommand = errors.New("journal: another command waits under this id")

// errAlready marks a repeated acknowledgement: harmless, and not worth a write.
var errAlready = errors.New("journal: acknowledged already")

// after gives the standing once a record of this kind is added, or why it may not be (S5).
func (s standing) after(k rack.RecordKind) (standing, error) {
	switch k {
	case rack.RecordWaiting:
		if s.waiting || s.known() {
			return s, ErrKnown
		}
	case rack.RecordAccepted, rack.RecordRejected:
		if s.known() {
			return s, ErrKnown
		}
	case rack.RecordProgress, rack.RecordEnded:
		if s.ended {
			return s, ErrSecondEnd
		}
		if !s.accepted {
			return s, ErrNotAccepted
		}
	case rack.RecordAcked:
		if !s.known() {
			return s, ErrNotAccepted
		}
		if !s.closed() {
			return s, ErrNotEnded
		}
		if s.acked {
			return s, errAlready
		}
	}
	return s.with(k), nil
}

// with adds a record without asking.
func (s standing) with(k rack.RecordKind) standing {
	switch k {
	case rack.RecordWaiting:
		s.waiting = true
	case rack.RecordAccepted:
		s.accepted = true
	case rack.RecordRejected:
		s.rejected = true
	case rack.RecordEnded:
		s.ended = true
	case rack.RecordAcked:
		s.acked = true
	}
	return s
}

// part is one record of one command as read: kind comes from the key, so it is known even if err is set.
type part struct {
	kind rack.RecordKind
	seq  uint64
	rec  rack.Record
	err  error
}

// errMisplaced reports a key that is none of ours, or an intact value under another record's key.
var errMisplaced = fmt.Errorf("%w: not the record of its key", ErrDamaged)

// readPart takes a key apart, decodes its value and checks that it belongs there.
func readPart(k, v []byte) (subject string, p part) {
	subject, p.seq, p.kind, _ = splitKey(k)
	if p.kind == "" {
		p.err = errMisplaced
		return subject, p
	}
	p.rec, p.err = decode(v)
	if p.err == nil && (p.rec.Kind != p.kind || subjectOf(&p.rec) != subject) {
		p.rec, p.err = rack.Record{}, errMisplaced
	}
	return subject, p
}

// DamageError names a record that could not be read.
type DamageError struct {
	Kind    rack.RecordKind
	Subject string // id of the command, "KIND/TARGET" of an order, the outlet, or "journal"
	Err     error  // wraps ErrDamaged
}

// Error reads: journal: accepted of 01JD9XB7: damaged value: checksum.
func (e *DamageError) Error() string {
	return fmt.Sprintf("journal: %s of %s: %v", e.Kind, e.Subject, e.Err)
}

// Unwrap gives the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// assemble puts a command's records, in order, together. With a damaged one among them the error is a
// *DamageError, and an outcome that cannot be read, or can no longer come, is unknown.
func assemble(id string, parts []part) (rack.Entry, standing, error) {
	e := rack.Entry{Command: rack.Command{ID: id}}
	var s standing
	var damage error
	for i := range parts {
		p := &parts[i]
		s = s.with(p.kind)
		if p.err != nil {
			damage = errors.Join(damage, &DamageError{Kind: p.kind, Subject: id, Err: p.err})
			continue
		}
		add(&e, &p.rec)
	}
	e.Acked = s.acked
	if e.Outcome == nil && (damage != nil || s.closed()) {
		e.Outcome = damagedOutcome(id)
	}
	return e, s, damage
}

func add(e *rack.Entry, r *rack.Record) {
	switch r.Kind {
	case rack.RecordWaiting:
		e.Boot, e.Waiting, e.Until = r.Boot, true, r.Until
		if r.Command != nil {
			e.Command = *r.Command
		}
	case rack.RecordAccepted, rack.RecordRejected:
		e.Boot, e.Waiting = r.Boot, false
		if r.Command != nil {
			e.Command = *r.Command
		}
		if r.Plan != nil {
			e.Plan = *r.Plan
		}
		if r.Kind == rack.RecordRejected {
			e.Outcome = r.Outcome
		}
	case rack.RecordProgress:
		if r.Progress != nil {
			e.Progress = append(e.Progress, *r.Progress)
		}
	case rack.RecordEnded:
		e.Outcome = r.Outcome
	}
}

// damagedOutcome is the outcome of a command whose record cannot be read.
func damagedOutcome(id string) *rack.Outcome {
	return &rack.Outcome{
		Command: id,
		State:   rack.StateUnknown,
		N:       rack.RecoveredN,
		Text:    "the record of this command in the journal is damaged",
	}
}
