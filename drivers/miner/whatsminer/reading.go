package whatsminer

import (
	"context"
	"math"
	"strconv"

	"rackagent/drivers/miner"
)

// setMember is the member of Setting.More with the limit that was asked for: watts, or none.
const (
	setMember = "limit_set"
	setNone   = "none"
)

// reading is the mode and the limit that a unit tells of at one moment.
type reading struct {
	mode  string   // empty: it does not say
	limit *float64 // that is in force, W; by the mode, where none was asked for; nil: it does not say
	set   *float64 // that was asked for, W; 0: none; nil: it does not say
}

// limitOf is a limit in force. A stopped unit tells 0, which limits nothing (MiningOS worker for Whatsminer).
func limitOf(w *float64) *float64 {
	if w == nil || !(*w >= 1) || *w >= noLimit {
		return nil
	}
	return w
}

// setOf is a limit that was asked for, from a member that is a text: empty, 0 and 99999 are none.
func setOf(present bool, w *float64) *float64 {
	if !present {
		return nil
	}
	if w = limitOf(w); w == nil {
		return new(float64)
	}
	return w
}

// setting is what a sleep or a limit would interrupt.
func (r reading) setting(dialect, pools string) miner.Setting {
	s := miner.Setting{Dialect: dialect, Mode: r.mode, TargetW: r.limit, Pools: pools}
	switch {
	case r.set == nil:
	case *r.set == 0:
		s.More = map[string]string{setMember: setNone}
	default:
		s.More = map[string]string{setMember: strconv.FormatFloat(*r.set, 'f', -1, 64)}
	}
	return s
}

// readingOf is the other way round.
func readingOf(s miner.Setting) reading {
	r := reading{mode: s.Mode, limit: limitOf(s.TargetW)}
	switch text := s.More[setMember]; text {
	case "":
	case setNone:
		r.set = new(float64)
	default:
		if w, err := strconv.ParseFloat(text, 64); err == nil {
			r.set = limitOf(&w)
		}
	}
	return r
}

// empty tells that nothing is known.
func (r reading) empty() bool { return r.mode == "" && r.limit == nil && r.set == nil }

// otherMode tells that the mode is known to differ.
func (r reading) otherMode(before reading) bool {
	return before.mode != "" && r.mode != "" && r.mode != before.mode
}

// otherLimit is the limit to send where it is known to differ. What was asked for is compared where a unit tells it. What is
// in force is compared within one mode only: with the mode it changes by itself.
func (r reading) otherLimit(before reading) (watts int, send bool) {
	asked := before.set != nil && r.set != nil
	inForce := r.mode == before.mode && r.limit != nil && before.limit != nil && *r.limit != *before.limit
	switch {
	case asked && *before.set > 0:
		return int(math.Floor(*before.set)), *before.set != *r.set
	case asked:
		return noLimit, *r.set > 0
	case before.set != nil && *before.set == 0:
		return noLimit, inForce
	case before.limit != nil:
		return int(math.Floor(*before.limit)), inForce
	}
	return 0, false
}

// unread tells that something remembered cannot be compared.
func (r reading) unread(before reading) bool {
	limit := before.limit != nil && (r.limit == nil || r.mode != before.mode)
	if before.set != nil {
		limit = r.set == nil && limit
	}
	return before.mode != "" && r.mode == "" || limit
}

// changer is a unit whose mode and limit can be read and set, by either version.
type changer interface {
	reading(ctx context.Context) (reading, error)
	setMode(ctx context.Context, a *miner.Answer, mode string) error
	setWatts(ctx context.Context, a *miner.Answer, watts int) error
}

const noteUnread = "the mode or the limit does not read back yet: they were not compared with what is remembered"

// bringBack sets what is remembered, where it is known to differ: each of the two writes restarts the mining process. All of
// it is absolute, so that it may be repeated.
func bringBack(ctx context.Context, c changer, a *miner.Answer, now, before reading) error {
	if now.otherMode(before) {
		if err := c.setMode(ctx, a, before.mode); err != nil {
			return err
		}
		var err error
		if now, err = c.reading(ctx); err != nil {
			a.Notes = append(a.Notes, noteUnread)
			return nil
		}
	}
	if watts, send := now.otherLimit(before); send {
		return c.setWatts(ctx, a, watts)
	}
	if now.unread(before) {
		a.Notes = append(a.Notes, noteUnread)
	}
	return nil
}

// bringBackAfterWake does so for a unit that was woken this moment, and may not answer for tens of seconds.
func bringBackAfterWake(ctx context.Context, c changer, a *miner.Answer, before reading) error {
	if before.empty() {
		return nil
	}
	now, err := c.reading(ctx)
	if err != nil {
		a.Notes = append(a.Notes, noteUnread)
		return nil
	}
	return bringBack(ctx, c, a, now, before)
}
