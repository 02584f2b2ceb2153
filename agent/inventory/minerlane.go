package inventory

import (
	"context"
	"encoding/json"
	"fmt"

	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/drivers"
	"rackagent/drivers/miner"
)

// Ask reads what the miner says of itself.
func (u *minerUnit) Ask(ctx context.Context, before string, whole bool) (w power.Word, err error) {
	err = u.turns.Act(ctx, func(ctx context.Context) error {
		s, err := u.status(ctx)
		if err != nil {
			return err
		}
		w = wordOf(s)
		if whole {
			return u.setting(ctx, before, &w)
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
func (u *minerUnit) setting(ctx context.Context, before string, w *power.Word) error {
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
	if before != "" {
		was, err := u.remembered(before)
		if err != nil {
			return err
		}
		same := s.Same(was)
		w.Same = &same
	}
	return nil
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
	default:
		return miner.Answer{}, u.opts.Fault("write", string(t.Do), drivers.Unsupported, drivers.Unsupported)
	}
}

var _ power.Miner = (*minerUnit)(nil)
