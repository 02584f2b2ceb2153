package observer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// sweep is how old a value may be that a batch shows without an age: 2 s, and the time a meter adds it up.
	sweep = 3 * time.Second
	// meterShare and meterW are how far a value may be from the truth: arbitrary, four times the unrest of the
	// simulated loads, and more than their meters' noise.
	meterShare = 0.02
	meterW     = 2.0
	// deadPeriods is how many periods without a sample make a value stale.
	deadPeriods = 3
	// notice is how much longer the agent may take to see that: arbitrary, one failed transfer.
	notice = time.Second
	// longAgo bounds an age in ms, so that it fits a duration: 11 days.
	longAgo = 1e9
)

// freshOnly reports values in batches that are null without a word, untrue, or old.
func freshOnly(r *run) []Violation {
	var out []Violation
	for _, b := range r.mail.batches {
		for _, device := range slices.Sorted(maps.Keys(b.D)) {
			for _, quantity := range slices.Sorted(maps.Keys(b.D[device])) {
				for i, v := range b.D[device][quantity] {
					p := point{b, device, quantity, i + 1, v}
					if why := r.dubious(p); why != "" {
						out = append(out, r.report(b.at, b.seq, "%s: %s", p.name(), why))
					}
				}
			}
		}
	}
	for _, u := range r.mail.unread {
		if !strings.Contains(u.topic, "/up/cmd/") {
			out = append(out, r.report(u.at, u.seq, "the message on %s cannot be read: %v", u.topic, u.err))
		}
	}
	return out
}

// point is one value of a batch.
type point struct {
	batch    *batch
	device   string
	quantity string
	index    int
	value    *float64
}

func (p point) name() string { return fmt.Sprintf("%s.%s.%d", p.device, p.quantity, p.index) }

// dubious tells what is wrong with a value; empty: nothing.
func (r *run) dubious(p point) string {
	x, named := p.batch.X[p.name()]
	switch {
	case p.value == nil && !named:
		return "it is null, and nothing says why"
	case p.value == nil, named && x.Quality != "ok":
		return ""
	}
	at, age := time.UnixMilli(p.batch.TS), time.Duration(0)
	if x.AgeMS != nil {
		age = time.Duration(min(max(*x.AgeMS, 0), longAgo)) * time.Millisecond
	}
	if limit := deadPeriods*r.layout.period + notice; age > limit && p.sampled() {
		return fmt.Sprintf("it is %.1f s old and passes as ok; after %.1f s it is stale", age.Seconds(), limit.Seconds())
	}
	at = at.Add(-age)
	switch p.quantity {
	case "relay":
		return r.wrongRelay(p, at)
	case "ctl":
		return r.wrongControl(p, at)
	}
	metered := r.meteredAt(p)
	if len(metered) == 0 {
		return ""
	}
	if dead := at.Add(age).Sub(r.blindSince(metered[0], at.Add(age))); r.layout.period*deadPeriods+notice < dead {
		return fmt.Sprintf("it passes as ok, and its meter has been dead for %.1f s", dead.Seconds())
	}
	if p.quantity == "p_w" || p.quantity == "sup_p_w" {
		return r.wrongWatts(p, at, metered)
	}
	return ""
}

// sampled tells the quantities that are sampled with the outlets' period.
func (p point) sampled() bool {
	return slices.Contains([]string{"p_w", "s_va", "i_a", "relay", "ctl", "sup_p_w", "sup_s_va", "sup_i_a"}, p.quantity)
}

// board finds the PDU that a value is about; nil if it is about none.
func (r *run) board(p point) *pdu {
	i := slices.IndexFunc(r.layout.pdus, func(u *pdu) bool { return u.name == p.device })
	if i < 0 {
		return nil
	}
	return r.layout.pdus[i]
}

// meteredAt finds the outlets whose power a value tells of: one, or all of a supply bank.
func (r *run) meteredAt(p point) []*outlet {
	u := r.board(p)
	switch {
	case u == nil || !p.sampled():
	case strings.HasPrefix(p.quantity, "sup_") && p.index <= len(u.supplies):
		return u.supplies[p.index-1].outlets
	case !strings.HasPrefix(p.quantity, "sup_") && p.index <= len(u.outlets):
		return u.outlets[p.index-1:][:1]
	}
	return nil
}

// blindSince is since when an outlet's meter cannot be read; the moment itself if it can.
func (r *run) blindSince(o *outlet, at time.Time) time.Time {
	if since, ok := r.truth.blind(o, at); ok {
		return since
	}
	return at
}

// wrongWatts compares a value with the truth of the seconds before it.
func (r *run) wrongWatts(p point, at time.Time, outlets []*outlet) string {
	from := at.Add(-sweep)
	if first := r.firstReading(); from.Before(first) {
		from = first
	}
	switch {
	case p.quantity == "p_w" && outlets[0].supply != nil:
		return "the outlet has no meter of its own, and its watts pass as ok"
	case !from.Before(at) || r.truth.disturbed(outlets[0], from, at):
		return ""
	}
	low, high := r.truth.between(from, at.Add(time.Millisecond), outlets...) // the batch's time is whole milliseconds
	if v := *p.value; v < low*(1-meterShare)-meterW || v > high*(1+meterShare)+meterW {
		return fmt.Sprintf("%.1f W pass as ok; in truth it was between %.1f and %.1f W in the %.1f s before", v, low, high, at.Sub(from).Seconds())
	}
	return ""
}

// wrongRelay compares a relay's position with what the registers said in the seconds before.
func (r *run) wrongRelay(p point, at time.Time) string {
	u := r.board(p)
	if u == nil || p.index > len(u.outlets) {
		return ""
	}
	o := u.outlets[p.index-1]
	if r.bankIn(o.bank, at, func(x chip) bool { return x.closed(o) == (*p.value != 0) }) {
		return ""
	}
	return fmt.Sprintf("relay %v passes as ok, and the registers said otherwise for %.0f s", *p.value, sweep.Seconds())
}

// wrongControl compares what is told of a bank's direction with what it said in the seconds before. Where other hands
// changed the part, only contacts told of it: a coil without current may be a pin that is an input.
func (r *run) wrongControl(p point, at time.Time) string {
	u := r.board(p)
	if u == nil || p.index > len(u.banks) {
		return ""
	}
	b := u.banks[p.index-1]
	adrift := func(x chip) bool { return x.direction&b.bits() == b.bits() }
	idle := func(x chip) bool { return !slices.ContainsFunc(b.outlets, x.coil) }
	fits := func(x chip) bool { return !adrift(x) }
	if *p.value == 0 {
		fits = func(x chip) bool { return adrift(x) || b.kind != operation && idle(x) }
	}
	if r.bankIn(b, at, fits) {
		return ""
	}
	return fmt.Sprintf("control %v passes as ok, and the direction of %s said otherwise for %.0f s", *p.value, b.label(), sweep.Seconds())
}

// bankIn tells whether a bank may have been in a state within the seconds before a moment.
func (r *run) bankIn(u *relays, at time.Time, f func(chip) bool) bool {
	i := slices.IndexFunc(r.banks, func(b *bank) bool { return b.relays == u })
	return slices.ContainsFunc(r.banks[i].during(at.Add(-sweep), at.Add(time.Millisecond)), f)
}
