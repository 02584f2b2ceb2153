package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/drivers"
	"rackagent/drivers/miner"
)

// Ask reads what the miner says of itself.
func (u *minerUnit) Ask(ctx context.Context, q power.Question) (w power.Word, err error) {
	err = u.turns.Act(ctx, func(ctx context.Context) error {
		s, err := u.status(ctx)
		if err != nil {
			return err
		}
		w = wordOf(s)
		if q.Whole {
			return u.setting(ctx, q, &s, &w)
		}
		return nil
	})
	return w, err
}

func wordOf(s miner.Status) power.Word {
	w := power.Word{At: s.At}
	if s.State != miner.Unknown && s.State != "" {
		asleep, hashing := s.State == miner.Asleep, s.State == miner.Mining
		w.Asleep, w.Hashing = &asleep, &hashing
	}
	if s.Running != nil {
		w.Booted = s.At.Add(-*s.Running)
	}
	return w
}

// setting reads what the miner is told to do, and compares it.
func (u *minerUnit) setting(ctx context.Context, q power.Question, st *miner.Status, w *power.Word) error {
	s, err := u.miner.Setting(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(text) > miner.MaxSetting {
		return u.opts.Fault("read", "setting", drivers.Corrupt, fmt.Errorf("%d bytes, at most %d", len(text), miner.MaxSetting))
	}
	w.Setting = string(text)
	switch {
	case q.Limit != nil:
		w.Same = keeps(&s, st, *q.Limit)
	case q.Before != "":
		was, err := u.remembered(q.Before)
		if err != nil {
			return err
		}
		same := s.Same(was)
		w.Same = &same
	}
	return nil
}

// keeps tells whether a miner says that it keeps to a limit; nil: it says nothing of watts.
func keeps(s *miner.Setting, st *miner.Status, l power.Limit) *bool {
	var same bool
	switch {
	case l.Mode != "":
		same = strings.EqualFold(s.Mode, l.Mode) || strings.EqualFold(st.Mode, l.Mode) || s.Profile == l.Mode
	case st.LimitW != nil:
		same = *st.LimitW <= l.W
	case s.TargetW != nil:
		same = *s.TargetW <= l.W
	default:
		return nil
	}
	return &same
}

func (u *minerUnit) remembered(before string) (miner.Setting, error) {
	var s miner.Setting
	if err := json.Unmarshal([]byte(before), &s); err != nil {
		return s, u.opts.Fault("write", "setting", drivers.Corrupt, fmt.Errorf("what was kept of it cannot be read: %w", err))
	}
	return s, nil
}

// Tell says a verb. The guard has been passed when a call arrives here.
func (u *minerUnit) Tell(ctx context.Context, t power.Tell) (out power.Answer, err error) {
	err = u.turns.Act(ctx, func(ctx context.Context) error {
		a, err := u.say(ctx, t)
		out.Notes = a.Notes
		if err == nil {
			out.Taken = a.At
		}
		return err
	})
	return out, err
}

func (u *minerUnit) say(ctx context.Context, t power.Tell) (miner.Answer, error) {
	switch t.Do {
	case rack.DoSleep:
		return u.miner.Sleep(ctx, miner.Urgency{})
	case rack.DoWake:
		before, err := u.remembered(t.Before)
		if err != nil {
			return miner.Answer{}, err
		}
		return u.miner.Wake(ctx, before)
	case rack.DoLimit:
		return u.miner.Limit(ctx, miner.Limit{W: t.Limit.W, Mode: t.Limit.Mode}, miner.Urgency{})
	case rack.DoRelease:
		before, err := u.remembered(t.Before)
		if err != nil {
			return miner.Answer{}, err
		}
		return u.miner.Release(ctx, before)
	default:
		return miner.Answer{}, u.opts.Fault("write", string(t.Do), drivers.Unsupported, drivers.Unsupported)
	}
}

var _ power.Miner = (*minerUnit)(nil)
