package journal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// Found is what a start finds. Nothing in it moves an actuator (S1).
type Found struct {
	First     bool   // no earlier start got as far as this one: there is no history
	Lost      bool   // this start found a journal that cannot be read, or none where one must be
	Observing bool   // a loss has not been accepted: no command that moves power may be taken
	Reason    string // of Lost or Observing, in words
	Aside     string // name of the file set aside, in Opts.Dir; empty: none

	Unfinished []rack.Entry   // accepted, without a terminal result; never continued. Oldest first
	Waiting    []rack.Entry   // for a second person's approval. Oldest first
	Unacked    []rack.Outcome // terminal results and rejections that the broker has not acknowledged. Oldest first
	Orders     []rack.Order   // in force
	Withdrawn  []rack.Record  // outlets withdrawn from switching: kind withdraw, with Outlet and Reason
	Wiring     []rack.Record  // newest of each outlet: kind wiring, with Outlet, Wiring, Serial and Reason

	// Seqs is how far each issuer of signed commands had counted.
	Seqs map[rack.SeqOf]int64

	Migrated bool   // the journal was of an older schema; the old file is kept beside it (FORMAT.md)
	Kept     string // name of that old file, in Opts.Dir
	Newer    bool   // a later program wrote the journal: it is left alone, nothing is recorded, no command is taken

	// Damaged names the records that could not be read. What depends on them is already in the fields above in
	// the reading that allows less: a command ended unknown, an outlet withdrawn, a wiring unproven, a curtail,
	// drain or lock in force. A damaged limit is in no other field.
	Damaged []*DamageError

	// Last is the time of the newest record; zero: none. A clock that shows less is not set.
	Last time.Time
}

func (c *contents) found() Found {
	f := Found{Seqs: c.marks().highest(), Orders: c.orders, Withdrawn: c.withdrawn, Wiring: c.wiring, Damaged: c.damaged, Last: c.last}
	if c.observing != nil {
		f.Observing, f.Reason, f.Aside = true, c.observing.Reason, c.observing.Aside
	}
	for _, l := range c.entries {
		f.Damaged = append(f.Damaged, damages(l.err)...)
		switch {
		case l.standing.waiting && !l.standing.known():
			if l.err == nil {
				f.Waiting = append(f.Waiting, l.entry)
			}
		case !l.standing.closed():
			if l.err == nil {
				f.Unfinished = append(f.Unfinished, l.entry)
			}
		case !l.standing.acked:
			f.Unacked = append(f.Unacked, *l.entry.Outcome)
		}
	}
	return f
}

// damages takes apart what assemble joined.
func damages(err error) []*DamageError {
	switch e := err.(type) { //nolint:errorlint // exactly what assemble makes
	case *DamageError:
		return []*DamageError{e}
	case interface{ Unwrap() []error }:
		var out []*DamageError
		for _, one := range e.Unwrap() {
			out = append(out, damages(one)...)
		}
		return out
	default:
		return nil
	}
}

// index makes the writer's index of the entries. An entry whose command cannot be read is kept as if it
// expired at this start.
func (c *contents) index(now time.Time) index {
	var x index
	for _, l := range c.entries {
		exp := l.entry.Command.Exp
		if exp.IsZero() {
			exp = now
		}
		x.add(&age{id: l.entry.Command.ID, exp: exp, closed: l.standing.closed(), acked: l.standing.acked, refused: l.standing.onlyRefused()})
	}
	return x
}

func sortBySeq(entries []loaded) {
	slices.SortFunc(entries, func(a, b loaded) int { return cmp.Compare(a.seq, b.seq) })
}

// orderOf reads an order's kind and target from its key; nil where the value is what counts.
func orderOf(subject string) *rack.Order {
	kind, rest, _ := strings.Cut(subject, "/")
	target, err := rack.ParseTarget(rest)
	k := rack.OrderKind(kind)
	if err != nil || !orderKind(k) || k == rack.OrderLimit || k == rack.OrderSlept || k == rack.OrderLimited {
		return nil
	}
	return &rack.Order{Kind: rack.OrderKind(kind), Target: target}
}
