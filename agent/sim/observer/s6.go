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

// goodMessage reports accepted commands without a message that may be obeyed, and steps begun after their time.
func goodMessage(r *run) []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		for _, a := range e.accepted {
			if a.Command == nil || a.Command.Origin == "local" || a.Command.Origin == "agent" {
				continue
			}
			if why := r.noMessage(a); why != "" {
				out = append(out, r.report(a.At, 0, "command %s was accepted and %s, although %s", a.ID, r.effect(e), why))
			}
		}
		out = append(out, r.oneContent(e)...)
		out = append(out, r.begunLate(e)...)
	}
	return out
}

// noMessage tells why none of the messages behind a record may be obeyed; empty: one may.
func (r *run) noMessage(a *record) string {
	why := "no message with its content was delivered to the agent"
	for _, d := range r.mail.deliveries {
		if d.hash != a.Command.Hash || d.at.After(a.At.Add(leeway)) {
			continue
		}
		flaw := r.flaw(d, a.Command)
		if flaw == "" {
			return ""
		}
		why = fmt.Sprintf("its message (record %d) may not be obeyed: %s", d.seq, flaw)
	}
	return why
}

// flaw tells why a message may not be obeyed, or not as this command; empty: it may.
func (r *run) flaw(d *delivery, c *command) string {
	switch {
	case d.topic != "cmd":
		return "it came on down/" + d.topic
	case len(d.payload) > maxCommand:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(d.payload), maxCommand)
	case d.retain:
		return "it was delivered as retained"
	case d.err != nil:
		return d.err.Error()
	case !r.layout.unsigned:
		return "it is not signed, and unsigned commands are not allowed"
	case d.order.Aud != "" && d.order.Aud != r.layout.site+"/"+r.layout.agent:
		return "it is for " + d.order.Aud
	case *d.order.Op != c.Op || *d.order.Target != c.Target || d.order.Dry != c.Dry:
		return fmt.Sprintf("it says %s of %s, the record %s of %s", *d.order.Op, *d.order.Target, c.Op, c.Target)
	}
	exp := time.UnixMilli(*d.order.Exp)
	switch left := exp.Sub(d.at); {
	case left < -leeway:
		return fmt.Sprintf("it had expired %.3f s before it was delivered", -left.Seconds())
	case left > r.lifeOf(*d.order.Target)+leeway:
		return fmt.Sprintf("it would live for %.0f s", left.Seconds())
	}
	return ""
}

// lifeOf is how long a command on a target may live.
func (r *run) lifeOf(target string) time.Duration {
	kind, name, _ := strings.Cut(target, "/")
	for _, o := range r.layout.outlets {
		if o.node != nil && o.node.firm && (kind == "outlet" && o.id.String() == name || kind == "node" && o.node.name == name) {
			return firmLife
		}
	}
	return life
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
	opens := slices.Concat(e.accepted, e.rejected)
	for _, rec := range opens {
		if first := opens[0]; rec.Command != nil && first.Command != nil && rec.Command.Hash != first.Command.Hash {
			return []Violation{r.report(rec.At, 0, "command %s was taken in with another content than before", e.id)}
		}
	}
	return nil
}

// begunLate reports a command whose first write was handed over after it had expired.
func (r *run) begunLate(e *entry) []Violation {
	for i, why := range r.reasons {
		if why.entry != e {
			continue
		}
		w := r.writes[i]
		if a := e.accepted[0]; a.Command != nil && !a.Command.Exp.IsZero() && w.at.After(a.Command.Exp.Add(late)) {
			return []Violation{r.report(w.at, w.seq, "command %s had expired %.3f s before its first write, %s",
				e.id, w.at.Sub(a.Command.Exp).Seconds(), w.does())}
		}
		return nil // only the first write is bounded
	}
	return nil
}
