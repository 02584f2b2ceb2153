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
	if limit := deadPeriods*r.layout.period + notice; age > limit && p.ofOutlet() {
		return fmt.Sprintf("it is %.1f s old and passes as ok; after %.1f s it is stale", age.Seconds(), limit.Seconds())
	}
	o := r.outletAt(p)
	switch {
	case o == nil:
		return ""
	case p.quantity == "relay":
		return r.wrongRelay(p, o, at.Add(-age))
	case r.layout.period*deadPeriods+notice < at.Sub(r.blindSince(o, at)):
		return fmt.Sprintf("it passes as ok, and its meter has been dead for %.1f s", at.Sub(r.blindSince(o, at)).Seconds())
	case p.quantity == "p_w":
		return r.wrongWatts(p, o, at.Add(-age))
	}
	return ""
}

// ofOutlet tells the quantities that are sampled with the outlets' period.
func (p point) ofOutlet() bool {
	return slices.Contains([]string{"p_w", "s_va", "i_a", "relay"}, p.quantity)
}

// outletAt finds the outlet that a value is about; nil if it is about none.
func (r *run) outletAt(p point) *outlet {
	if !p.ofOutlet() {
		return nil
	}
	for _, u := range r.layout.pdus {
		if u.name == p.device && p.index <= len(u.outlets) {
			return u.outlets[p.index-1]
		}
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
func (r *run) wrongWatts(p point, o *outlet, at time.Time) string {
	from := at.Add(-sweep)
	if first := r.firstReading(); from.Before(first) {
		from = first
	}
	if !from.Before(at) || r.truth.disturbed(o, from, at) {
		return ""
	}
	low, high := r.truth.between(o, from, at.Add(time.Millisecond)) // the batch's time is whole milliseconds
	if v := *p.value; v < low*(1-meterShare)-meterW || v > high*(1+meterShare)+meterW {
		return fmt.Sprintf("%.1f W pass as ok; in truth it was between %.1f and %.1f W in the %.1f s before", v, low, high, at.Sub(from).Seconds())
	}
	return ""
}

// wrongRelay compares a relay's position with what the registers said in the seconds before.
func (r *run) wrongRelay(p point, o *outlet, at time.Time) string {
	i := slices.IndexFunc(r.banks, func(b *bank) bool { return b.pdu == o.pdu })
	states := r.banks[i].during(at.Add(-sweep), at.Add(time.Millisecond))
	if slices.ContainsFunc(states, func(x expander) bool { return x.closed(o) == (*p.value != 0) }) {
		return ""
	}
	return fmt.Sprintf("relay %v passes as ok, and the registers said otherwise for %.0f s", *p.value, sweep.Seconds())
}
