package journal

import (
	"errors"
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// item is one record ready to be written: checked, encoded, and independent of the caller's memory.
type item struct {
	kind       rack.RecordKind
	subject    string
	id         string // of the command, for the kinds of bucketCommand
	exp        time.Time
	spare      bool // may use the last reserve
	movesPower bool
	hash       rack.Hash // of the command's payload: what waited and what follows it are one command
	mark       mark
	value      []byte
	seq        uint64 // given on writing
}

// ErrNoOutcome refuses to record a rejection that is no outcome: busy, rate_limited and observing leave the id
// free to be sent again.
var ErrNoOutcome = errors.New("journal: busy, rate_limited and observing are no outcome of a command")

// prepare checks a record by itself and encodes it.
func (j *Journal) prepare(r rack.Record) (item, error) {
	r.Boot = j.o.Boot
	if r.At.IsZero() {
		r.At = j.o.Now()
	}
	r.At = r.At.UTC().Round(0)
	if err := wellFormed(&r); err != nil {
		return item{}, err
	}
	value, err := encode(r)
	if err != nil {
		return item{}, err
	}
	it := item{kind: r.Kind, subject: subjectOf(&r), id: r.ID, spare: spare(&r), value: value}
	if r.Command != nil {
		it.exp, it.hash, it.mark = r.Command.Exp, r.Command.Hash, markOf(r.Command)
		it.movesPower = r.Kind == rack.RecordAccepted && r.Command.Op.MovesPower() && !r.Command.Dry
	}
	return it, nil
}

// wellFormed checks what can be said about a record without looking at others.
func wellFormed(r *rack.Record) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s %s: %s", ErrInvalid, r.Kind, r.ID, fmt.Sprintf(format, args...))
	}
	bucket, _, known := place(r.Kind)
	switch {
	case !known:
		return bad("no such kind")
	case bucket == bucketCommand && !rack.ValidCommandID(r.ID):
		return bad("id is not that of a command")
	case bucket == bucketCommand && r.Command != nil && r.Command.ID != r.ID:
		return bad("command %q", r.Command.ID)
	case bucket == bucketCommand && r.Outcome != nil && r.Outcome.Command != r.ID:
		return bad("outcome of %q", r.Outcome.Command)
	case bucket == bucketCommand && r.Plan != nil && r.Plan.Command != r.ID:
		return bad("plan of %q", r.Plan.Command)
	}
	switch r.Kind {
	case rack.RecordWaiting:
		if r.Command == nil || r.Until.IsZero() {
			return bad("the command or the moment it lapses is missing")
		}
		if r.Lowers && r.Command.Op.AddsPower() {
			return bad("%s does not only lower power", r.Command.Op)
		}
	case rack.RecordAccepted:
		return acceptable(r, bad)
	case rack.RecordRejected:
		return rejectable(r, bad)
	case rack.RecordProgress:
		if r.Progress == nil || r.Progress.Fact == "" {
			return bad("no fact")
		}
	case rack.RecordEnded:
		if r.Outcome == nil || !endState(r.Outcome.State) {
			return bad("no terminal result of an accepted command")
		}
	case rack.RecordAcked:
	default:
		return aboutTheRack(r, bad)
	}
	return nil
}

type complaint func(format string, args ...any) error

func acceptable(r *rack.Record, bad complaint) error {
	switch {
	case r.Command == nil:
		return bad("no command")
	case r.Plan == nil && r.Command.Op.MovesPower():
		return bad("%s without a plan", r.Command.Op)
	case r.Lowers && r.Command.Op.AddsPower():
		return bad("%s does not only lower power", r.Command.Op)
	}
	return nil
}

func rejectable(r *rack.Record, bad complaint) error {
	if r.Command == nil || r.Outcome == nil {
		return bad("command or outcome is missing")
	}
	switch r.Outcome.Code {
	case rack.CodeBusy, rack.CodeRateLimited, rack.CodeObserving:
		return fmt.Errorf("%w: %s %s", ErrNoOutcome, r.ID, r.Outcome.Code)
	}
	if s := r.Outcome.State; s != rack.StateRejected && s != rack.StateExpired {
		return bad("state %q", s)
	}
	return nil
}

// endState tells the states an accepted command may end in.
func endState(s rack.State) bool {
	switch s {
	case rack.StateSucceeded, rack.StatePartial, rack.StateFailed, rack.StateCancelled, rack.StateUnknown, rack.StateExpired:
		return true
	default:
		return false
	}
}

func aboutTheRack(r *rack.Record, bad complaint) error {
	switch r.Kind {
	case rack.RecordOrder, rack.RecordReleased:
		if r.Order == nil || !orderKind(r.Order.Kind) {
			return bad("no order")
		}
	case rack.RecordWiring:
		if !validOutlet(r.Outlet) || !wiringKind(r.Wiring) {
			return bad("outlet %s, wiring %q", r.Outlet, r.Wiring)
		}
	case rack.RecordWithdraw:
		if !validOutlet(r.Outlet) || r.Reason == "" {
			return bad("outlet %s, reason %q", r.Outlet, r.Reason)
		}
	case rack.RecordObserved:
		if r.By == "" || r.Reason == "" {
			return bad("who accepted it, and why, must be said")
		}
	}
	return nil
}

func orderKind(k rack.OrderKind) bool {
	return k == rack.OrderLimit || k == rack.OrderCurtail || k == rack.OrderDrain || k == rack.OrderLock || k == rack.OrderSlept || k == rack.OrderLimited ||
		k == rack.OrderArmed
}

func wiringKind(w rack.Wiring) bool {
	return w == rack.WiringProven || w == rack.WiringDeclared || w == rack.WiringUnproven
}

func validOutlet(o rack.OutletID) bool {
	back, err := rack.ParseOutletID(o.String())
	return err == nil && back == o
}
