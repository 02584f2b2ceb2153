package observer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// How long a command may live after its receipt.
const (
	life     = 300 * time.Second
	firmLife = 600 * time.Second
)

// leeway is how far the broker's record and the agent's receipt may lie apart: arbitrary.
const leeway = 100 * time.Millisecond

// ahead is how far the clocks of a sender and of an agent may lie apart.
const ahead = 5 * time.Second

// goodMessage reports accepted commands without a message that may be obeyed, and steps begun after their time.
func goodMessage(r *run) []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		for _, a := range e.accepted {
			if a.Command == nil || a.Command.Origin == "agent" {
				continue
			}
			why := ""
			if a.Command.Origin == "local" {
				why = r.noPerson(a.Command)
			} else {
				_, why = r.message(a)
			}
			if why != "" {
				out = append(out, r.report(a.At, 0, "command %s was accepted and %s, although %s", a.ID, r.effect(e), why))
			}
		}
		out = append(out, r.oneContent(e)...)
		out = append(out, r.begunLate(e)...)
	}
	return slices.Concat(out, r.outOfOrder(), r.firmWithoutName())
}

// message finds the message behind a record that may be obeyed, or tells why there is none.
func (r *run) message(a *record) (*delivery, string) {
	why := "no message with its content was delivered to the agent"
	for _, d := range r.mail.deliveries {
		if d.hash != a.Command.Hash || d.at.After(a.At.Add(leeway)) {
			continue
		}
		flaw := r.flaw(d, a)
		if flaw == "" {
			return d, ""
		}
		why = fmt.Sprintf("its message (record %d) may not be obeyed: %s", d.seq, flaw)
	}
	return nil, why
}

// flaw tells why a message may not be obeyed, or not as the command of a record; empty: it may.
func (r *run) flaw(d *delivery, a *record) string {
	c := a.Command
	switch {
	case d.topic != "cmd":
		return "it came on down/" + d.topic
	case len(d.payload) > maxCommand:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(d.payload), maxCommand)
	case d.retain:
		return "it was delivered as retained"
	case d.signed != nil && d.signed.err != nil:
		return d.signed.err.Error()
	case d.err != nil:
		return d.err.Error()
	}
	if why := r.nobody(d); why != "" {
		return why
	}
	switch {
	case d.order.AudBoot != "" && d.order.AudBoot != a.Boot:
		return fmt.Sprintf("it is for the life %s of the agent, not %s", d.order.AudBoot, a.Boot)
	case *d.order.Op != c.Op || *d.order.Target != c.Target || d.order.Dry != c.Dry:
		return fmt.Sprintf("it says %s of %s, the record %s of %s", *d.order.Op, *d.order.Target, c.Op, c.Target)
	case c.Signed != (d.signed != nil) || d.signed != nil && (c.Key != d.signed.kid || c.Issuer != *d.order.Iss):
		return fmt.Sprintf("the record has signed %t, key %q and issuer %q, which is not what it says", c.Signed, c.Key, c.Issuer)
	}
	return r.untimely(d)
}

// nobody tells why nobody stands behind a message who may command this; empty: somebody does, or nobody has to.
func (r *run) nobody(d *delivery) string {
	switch {
	case d.signed != nil:
		return r.forged(d)
	case !r.layout.unsigned:
		return "it is not signed, and unsigned commands are not allowed"
	case d.order.Aud != nil && *d.order.Aud != r.layout.site+"/"+r.layout.agent:
		return "it is for " + *d.order.Aud
	}
	return ""
}

// untimely tells why a message may not be obeyed at its moment; empty: it may.
func (r *run) untimely(d *delivery) string {
	if d.order.Iat != nil {
		if early := time.UnixMilli(*d.order.Iat).Sub(d.at); early > ahead+leeway {
			return fmt.Sprintf("it says that it was made %.3f s after it was delivered", early.Seconds())
		}
	}
	switch left := time.UnixMilli(*d.order.Exp).Sub(d.at); {
	case left < -leeway:
		return fmt.Sprintf("it had expired %.3f s before it was delivered", -left.Seconds())
	case left > r.lifeOf(d)+leeway:
		return fmt.Sprintf("it would live for %.0f s", left.Seconds())
	}
	return ""
}

// lifeOf is how long a command may live: by its target, and by the role of who signed it.
func (r *run) lifeOf(d *delivery) time.Duration {
	longest := life
	if r.layout.namesFirm(*d.order.Target) {
		longest = firmLife
	}
	if d.signed != nil {
		if of := r.layout.roles[r.layout.keys[d.signed.kid].role].life; of > 0 {
			longest = min(longest, of)
		}
	}
	return longest
}

// noPerson tells why nobody of the local socket may have commanded this; empty: somebody may. Whoever may open the
// socket may read, and where nobody is entered, accept a lost journal.
func (r *run) noPerson(c *command) string {
	if c.Op == "cmd.get" || c.Op == "cmd.list" || c.Op == "journal.accept" && len(r.layout.users) == 0 {
		return ""
	}
	why := fmt.Sprintf("no user of the local socket is %q", c.Issuer)
	for _, u := range r.layout.users {
		if u.issuer != c.Issuer {
			continue
		}
		if why = r.layout.forbids(u.role, c.Op, c.Target); why == "" {
			return ""
		}
	}
	return why
}

// count names one row of numbers: an issuer has one for commands at large, and one for each life of the agent.
type count struct{ issuer, boot string }

// outOfOrder reports accepted commands whose number was taken or passed by before. What the agent turned away without an
// outcome while its number was still to come may come again.
func (r *run) outOfOrder() []Violation {
	var out []Violation
	taken := map[count][]*record{}
	number := map[*record]int64{}
	for _, a := range r.book.records {
		if a.Kind != kindAccepted || a.Command == nil || a.Command.Origin != "mqtt" {
			continue
		}
		d, _ := r.message(a)
		if d == nil || d.signed == nil {
			continue
		}
		c := count{*d.order.Iss, d.order.AudBoot}
		number[a] = *d.order.Seq
		for _, old := range taken[c] {
			if old.ID == a.ID || number[old] < number[a] || number[old] > number[a] && r.mayComeAgain(a, old) {
				continue
			}
			out = append(out, r.report(a.At, 0, "command %s with number %d of %s was accepted after %s with number %d",
				a.ID, number[a], c.issuer, old.ID, number[old]))
			break
		}
		taken[c] = append(taken[c], a)
	}
	return out
}

// mayComeAgain tells whether a command was turned away without an outcome before another one took a higher number.
func (r *run) mayComeAgain(a, old *record) bool {
	return slices.ContainsFunc(r.mail.statuses, func(s *status) bool {
		return s.ID == a.ID && s.noOutcome() && !s.at.After(old.At.Add(leeway))
	})
}

// firmWithoutName reports writes that move an outlet of a firm node for a command that nobody signed, or whose issuer may
// not name firm nodes.
func (r *run) firmWithoutName() []Violation {
	var out []Violation
	for i, why := range r.reasons {
		if why.entry == nil || len(why.entry.accepted) == 0 || why.entry.accepted[0].Command == nil {
			continue
		}
		for _, m := range r.writes[i].moves {
			if m.outlet.node == nil || !m.outlet.node.firm {
				continue
			}
			if flaw := r.noNameForFirm(why.entry.accepted[0]); flaw != "" {
				w := r.writes[i]
				out = append(out, r.report(w.at, w.seq, "%s for command %s, %s", w.does(), why.entry.id, flaw))
			}
		}
	}
	return out
}

// noNameForFirm tells why a command may not move a firm node, whatever else is true; empty: it may.
func (r *run) noNameForFirm(a *record) string {
	switch a.Command.Origin {
	case "agent":
		return ""
	case "local":
		for _, u := range r.layout.users {
			if u.issuer == a.Command.Issuer && r.layout.roles[u.role].firm {
				return ""
			}
		}
		return "of somebody who may not move firm nodes"
	}
	d, _ := r.message(a)
	switch {
	case d == nil:
		return "" // reported already
	case d.signed == nil:
		return "which nobody signed: a firm node is moved in somebody's name"
	case !r.layout.roles[r.layout.keys[d.signed.kid].role].firm:
		return "whose issuer may not move firm nodes"
	}
	return ""
}

// effect tells what a command did to relays.
func (r *run) effect(e *entry) string {
	var did []string
	for i, why := range r.reasons {
		if why.entry == e {
			did = append(did, r.writes[i].does())
		}
	}
	if len(did) == 0 {
		return "did nothing yet"
	}
	return "did this: " + strings.Join(did, ", ")
}

// oneContent reports an id under which the journal took in two contents.
func (r *run) oneContent(e *entry) []Violation {
	opens := slices.Concat(e.waiting, e.accepted, e.rejected)
	for _, rec := range opens {
		if first := opens[0]; rec.Command != nil && first.Command != nil && rec.Command.Hash != first.Command.Hash {
			return []Violation{r.report(rec.At, 0, "command %s was taken in with another content than before", e.id)}
		}
	}
	return nil
}

// toldFirst tells whether the target of a step begins with something that is said to a miner.
func (e *entry) toldFirst(st *planStep) bool {
	for _, a := range e.accepted {
		if a.Plan == nil {
			continue
		}
		for _, t := range a.Plan.Targets {
			mine := slices.ContainsFunc(t.Steps, func(s planStep) bool { return st != nil && s.On == st.On && s.Do == st.Do })
			if mine && (t.Steps[0].Do == doSleep || t.Steps[0].Do == doWake) {
				return true
			}
		}
	}
	return false
}

// begunLate reports a command whose first write was handed over after it had expired.
func (r *run) begunLate(e *entry) []Violation {
	for i, why := range r.reasons {
		if why.entry != e {
			continue
		}
		w := r.writes[i]
		if e.toldFirst(why.step) {
			continue // its first step was to ask a miner, which nobody sees here
		}
		if a := e.accepted[0]; a.Command != nil && !a.Command.Exp.IsZero() && w.at.After(a.Command.Exp.Add(late)) {
			return []Violation{r.report(w.at, w.seq, "command %s had expired %.3f s before its first write, %s",
				e.id, w.at.Sub(a.Command.Exp).Seconds(), w.does())}
		}
		return nil // only the first write is bounded
	}
	return nil
}
